/**
 * The one place that says what to do next: a pure function of what is wished, what is seen and the time. It names a
 * single step; after it, everything is looked at afresh.
 */
import { type ContainerSpec, recreationNeeded } from "../api/index.ts";
import type { TaskState } from "../containerd/index.ts";
import { shouldRestart } from "../oci/index.ts";
import { retryDelayMs } from "./failure.ts";
import { healthOf } from "./health.ts";
import { isAbout, type Record, type RunState, type Verdict } from "./record.ts";

/** A container's record with its task, where it has one. */
export interface Instance {
  readonly record: Record;
  readonly task?: TaskState;
  /** It runs in a network that the container which it names has left: only a start puts it into the new one. */
  readonly moved?: true;
}

/** What is on the node for one key. */
export interface Observed {
  /** The newest incarnation made for the object. */
  readonly current?: Instance;
  /** Earlier incarnations, and those of an earlier object of the same name. */
  readonly leftovers: readonly Instance[];
}

/** What is wished for one key. */
export type Desired =
  /** No object: all that is left of it goes. */
  | { readonly kind: "absent" }
  /** An object that is being deleted: the same, then its finalizer. */
  | { readonly kind: "deleting" }
  | {
      readonly kind: "present";
      readonly generation: number;
      /** With its static defaults. */
      readonly spec: ContainerSpec;
      readonly restartedAt?: string;
      /** The object's spec can't be applied: what runs is left as it is, nothing is made. */
      readonly refused: boolean;
      /** The object's status says that it has ended for good; without a record, only a new wish starts it again. */
      readonly done: boolean;
      /** The value of `spec.restoreFrom`, when a start has used it already. */
      readonly restoredFrom?: string;
      /** The verdict on a start that left no record. */
      readonly verdict?: Verdict;
      /** The change of what runs waits for something: all else that is wished goes on. */
      readonly deferred?: true;
    };

/** The next step. */
export type Step =
  | { readonly verb: "none" }
  | { readonly verb: "wait"; readonly until: string }
  | { readonly verb: "create" }
  | {
      readonly verb: "startAgain";
      readonly instance: Instance;
      readonly counts: boolean;
      /** Somebody asked for it: the restart policy's count and wait begin anew. */
      readonly asked: boolean;
      readonly refreshImage: boolean;
    }
  | {
      readonly verb: "stop";
      readonly instance: Instance;
      /** Why, where it is no wish of the spec's. */
      readonly reason?: "unhealthy";
      readonly restartedAt?: string;
    }
  | {
      readonly verb:
        | "recordEnd"
        | "recordLoss"
        | "adopt"
        | "discardTask"
        | "kill"
        | "pause"
        | "resume"
        | "update"
        | "rest"
        | "remove";
      readonly instance: Instance;
    };

/** Milliseconds until a task is asked for its state again that could not be told. */
const LOOK_AGAIN_MS = 1000;

/** Milliseconds by which a clock is adjusted without having been wrong. */
const ADJUSTMENT_MS = 1000;

const NONE: Step = { verb: "none" };

/** What time it is. */
export interface Now {
  /** By the clock, which may be set at any time. */
  readonly date: Date;
  /** Milliseconds since the node's boot. */
  readonly uptimeMs: number;
}

/** Names the next step for one key. Level-triggered: the same arguments give the same step, whatever went before. */
export function decide(desired: Desired, observed: Observed, now: Now): Step {
  const leftover = observed.leftovers[0];
  if (leftover !== undefined) return endAndRemove(leftover, now);
  const instance = observed.current;
  if (desired.kind !== "present") return instance === undefined ? NONE : endAndRemove(instance, now);
  if (instance === undefined) return create(desired, now);

  if (instance.record.state.removing === true) return endAndRemove(instance, now);
  const pending = taskStep(instance, now);
  if (pending !== undefined) return pending;
  // A spec that can't be applied leaves what runs as it is; what was applied before goes on being kept.
  const spec = desired.refused ? instance.record.applied.spec : desired.spec;
  if (recreationNeeded(instance.record.applied.spec, spec)) return endAndRemove(instance, now);
  const held = isOutdated(instance, desired) ? untilUpdate(instance, desired, now) : NONE;
  if (held === undefined) return { verb: "update", instance };
  if (instance.task === undefined) return withoutTask(instance, spec, desired, now);
  const step = withTask(instance, instance.task, spec, desired);
  return step === NONE ? held : step;
}

/** Why a change that a container takes in place is not made now; undefined when it can be. */
function untilUpdate(instance: Instance, desired: Desired & { kind: "present" }, now: Now): Step | undefined {
  return desired.deferred === true ? NONE : afterVerdict(instance.record.state.verdict, desired, now);
}

/** No record: a start, unless the last one's verdict says not yet, or not at all. */
function create(desired: Desired & { kind: "present" }, now: Now): Step {
  if (desired.refused || desired.spec.desiredState === "Stopped") return NONE;
  return afterVerdict(desired.verdict, desired, now) ?? (desired.done ? NONE : { verb: "create" });
}

/** What the last verdict on a start says of now: nothing (undefined) when it is about an earlier wish, or its wait is over. */
function afterVerdict(
  verdict: Verdict | undefined,
  desired: Desired & { kind: "present" },
  now: Now,
): Step | undefined {
  if (verdict === undefined || !isAbout(verdict, desired)) return undefined;
  if (verdict.nextRetryAt === undefined) return NONE;
  return waitUntil(verdict.nextRetryAt, retryDelayMs(verdict.attempts), now);
}

/** A wait that is longer than it can be tells that the clock was set back meanwhile: nobody knows how long it is, so it is over. */
function waitUntil(time: string, longestMs: number, { date }: Now): Step | undefined {
  const waitMs = Date.parse(time) - date.getTime();
  return waitMs > 0 && waitMs <= longestMs + ADJUSTMENT_MS ? { verb: "wait", until: time } : undefined;
}

function waitFor(ms: number, { date }: Now): Step {
  return { verb: "wait", until: new Date(date.getTime() + ms).toISOString() };
}

/** Steps that a task's own state calls for, before any wish: an end to record, a stop under way, a crash to clear up after. */
function taskStep(instance: Instance, now: Now): Step | undefined {
  const { task } = instance;
  const { run, stopping, discarding } = instance.record.state;
  switch (task?.status) {
    case undefined:
      return run === undefined ? undefined : { verb: "recordLoss", instance };
    case "stopped":
      return { verb: discarding === true ? "discardTask" : "recordEnd", instance };
    case "created":
      return { verb: "discardTask", instance };
    case "unknown":
      // The shim is going, whose end containerd announces, or did not answer in time, of which nothing will tell.
      return waitFor(LOOK_AGAIN_MS, now);
    case "running":
    case "paused":
    case "pausing":
      if (run === undefined || run.pid !== task.pid) return { verb: "adopt", instance };
      if (stopping === undefined) return undefined;
      if (stopping.deadlineMs > now.uptimeMs) return waitFor(stopping.deadlineMs - now.uptimeMs, now);
      return { verb: "kill", instance };
  }
}

/** Whether what is wished has not been applied to an instance yet. */
export function isOutdated(instance: Instance, desired: Desired): boolean {
  return desired.kind === "present" && !desired.refused && desired.generation !== instance.record.applied.generation;
}

/** Ends an instance's task as a stop does, then removes all of it. */
function endAndRemove(instance: Instance, now: Now): Step {
  const pending = taskStep(instance, now);
  if (pending !== undefined) return pending;
  return { verb: instance.task === undefined ? "remove" : "stop", instance };
}

function withTask(
  instance: Instance,
  task: TaskState,
  spec: ContainerSpec,
  desired: Desired & { kind: "present" },
): Step {
  const { restartedAt } = desired;
  if (restartedAt !== undefined && restartedAt !== instance.record.state.restartedAt) {
    return { verb: "stop", instance, restartedAt };
  }
  if (instance.moved === true) return { verb: "stop", instance };
  switch (spec.desiredState) {
    case "Stopped":
      return { verb: "stop", instance };
    case "Paused":
      return task.status === "running" ? { verb: "pause", instance } : NONE;
    default:
      if (task.status !== "running") return { verb: "resume", instance };
      return restartsForHealth(instance.record) ? { verb: "stop", instance, reason: "unhealthy" } : NONE;
  }
}

function withoutTask(instance: Instance, spec: ContainerSpec, desired: Desired & { kind: "present" }, now: Now): Step {
  const { state } = instance.record;
  if (spec.desiredState === "Stopped") return isAtRest(state, true) ? NONE : { verb: "rest", instance };
  const held = afterVerdict(state.verdict, desired, now);
  if (held !== undefined) return held === NONE && !isAtRest(state, false) ? { verb: "rest", instance } : held;
  const again = (counts: boolean, asked: boolean, refreshImage = false): Step => {
    return { verb: "startAgain", instance, counts, asked, refreshImage };
  };
  if (state.stopped === true) return again(false, true, true);
  if (state.starting === true) return again(false, false);
  if (desired.restartedAt !== undefined && desired.restartedAt !== state.restartedAt) return again(true, true);
  const end = state.lastEnd;
  if (end === undefined || end.requested) return again(false, true);
  if (!restarts(spec, state)) return isAtRest(state, false) ? NONE : { verb: "rest", instance };
  return afterBackoff(state, now) ?? again(true, false);
}

function afterBackoff({ nextRetryAt, backoffMs }: RunState, now: Now): Step | undefined {
  return nextRetryAt === undefined ? undefined : waitUntil(nextRetryAt, backoffMs, now);
}

/** Whether the restart policy wants another run after the last end. */
export function restarts(spec: ContainerSpec, state: RunState): boolean {
  const end = state.lastEnd;
  return (
    end !== undefined &&
    !end.requested &&
    end.checkpoint === undefined &&
    shouldRestart({
      policy: spec.restartPolicy ?? "Always",
      failed: end.exitCode !== 0 || end.reason === "Unhealthy",
      restarts: state.policyRestarts ?? 0,
      maxRestarts: spec.maxRestarts ?? 0,
    })
  );
}

/** Whether the healthcheck wants the current run to end. */
function restartsForHealth(record: Record): boolean {
  const found = healthOf(record);
  return found?.check.onUnhealthy === "Restart" && found.health.status === "Unhealthy";
}

/** A container at rest holds no network (its ports and address are free for others) and waits for no restart. */
function isAtRest(state: RunState, stopped: boolean): boolean {
  return state.holdsNetwork !== true && state.nextRetryAt === undefined && (!stopped || state.stopped === true);
}

/** No object. */
export const ABSENT: Desired = { kind: "absent" };

/** What a record says was wished last: this is what a node without an API server goes by. */
export function recordedWish({ current }: Observed): Desired {
  if (current === undefined) return ABSENT;
  const { applied, state } = current.record;
  // A restart whose stop had begun is one that was wished.
  const restartedAt = state.stopping?.restartedAt ?? state.stoppedFor ?? state.restartedAt;
  return {
    kind: "present",
    generation: applied.generation,
    spec: applied.spec,
    refused: false,
    done: false,
    ...(restartedAt === undefined ? {} : { restartedAt }),
  };
}
