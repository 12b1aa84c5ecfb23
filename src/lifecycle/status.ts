/**
 * The status that a user reads: a pure function of the object, of what is on the node and of how the last step went.
 * What it leaves out is removed from the resource.
 */
import type { Container, ContainerStatus } from "../api/index.ts";
import type { Attachment } from "../network/index.ts";
import type { StartFailure } from "../oci/index.ts";
import { usedCheckpoint } from "./checkpoint/restore.ts";
import { conditionsOf } from "./conditions.ts";
import { isOutdated, restarts, type Desired, type Instance, type Observed } from "./decide.ts";
import { healthOf, whyUnhealthy } from "./health.ts";
import type { Pressure } from "./limits.ts";
import type { Obstacle } from "./obstacle.ts";
import { type End, isAbout, type Verdict, type Waiting } from "./record.ts";

/** Characters of an error's text that a status shows. */
const MAX_TEXT = 4096;

/** The reason of a removal that failed half-way. */
export const REMOVAL_FAILED = "RemovalFailed";

const TRIED_AGAIN = "This is tried again until it can be done.";

/** What the status is made from. */
export interface StatusInput {
  readonly object: Container;
  readonly desired: Desired;
  readonly observed: Observed;
  readonly nodeName: string;
  readonly network?: Attachment;
  readonly waiting?: Waiting;
  /** The verdict on a start that left no record. */
  readonly verdict?: Verdict;
  /** Why the spec can't be applied. */
  readonly refusal?: StartFailure;
  /** What can't be given back, and why: it is in the way of all else. */
  readonly obstacle?: Pick<Obstacle, "purpose" | "message">;
  /** A limit of the node that concerns the container. */
  readonly pressure?: Pressure;
  readonly now: Date;
}

type Summary = Pick<ContainerStatus, "state"> & Partial<ContainerStatus> & { final?: boolean };

/** The status to write for an object; the same arguments but for `now` give the same status, save for a condition's transition time. */
export function statusOf(input: StatusInput): ContainerStatus {
  const { object, observed, desired } = input;
  const instance = observed.current;
  const { final, ...summary } = summaryOf(input);
  const status: ContainerStatus = {
    ...identity(instance, input.nodeName),
    ...(desired.kind === "present" && desired.restoredFrom !== undefined ? { restoredFrom: desired.restoredFrom } : {}),
    ...(instance === undefined ? {} : history(instance)),
    ...networkStatus(input.network),
    ...healthStatus(instance),
    ...summary,
    observedGeneration: object.metadata.generation,
  };
  return { ...status, conditions: conditionsOf(input, status, final === true) };
}

/** The status of an object of which nothing is known while containerd is away. */
export function withoutRuntime(object: Container, error: Error, now: Date): ContainerStatus {
  const { metadata, spec, status } = object;
  const present = { kind: "present", generation: metadata.generation, spec, refused: false, done: false } as const;
  const message = `containerd can't be reached: ${error.message}. The start goes on when it is back.`;
  return statusOf({
    object,
    desired: metadata.deletionTimestamp === undefined ? present : { kind: "deleting" },
    observed: { leftovers: [] },
    nodeName: status?.nodeName ?? spec.nodeName,
    waiting: { reason: "RuntimeUnavailable", message },
    now,
  });
}

/** The status of a container of which nothing can be told yet, where the controller has said that nobody knows. */
export function stillUnknown({ metadata, status }: Container, error: Error, now: Date): ContainerStatus {
  const reason = "RuntimeUnavailable";
  const message = `containerd can't be reached: ${error.message}. What became of the container is told when it is back.`;
  const conditions = (status?.conditions ?? []).map((condition) => {
    if (condition.type !== "Ready") return condition;
    const lastTransitionTime = condition.status === "Unknown" ? condition.lastTransitionTime : now.toISOString();
    return { ...condition, status: "Unknown" as const, reason, message, lastTransitionTime };
  });
  return { ...status, state: "Unknown", reason, message, conditions, observedGeneration: metadata.generation };
}

function identity(instance: Instance | undefined, nodeName: string): Partial<ContainerStatus> {
  if (instance === undefined) return { nodeName };
  const { applied, id } = instance.record;
  return {
    nodeName,
    containerID: `containerd://${id}`,
    imageDigest: applied.image.digest,
    runtime: applied.spec.runtime ?? "runc",
  };
}

/** What a container's record tells of its runs. */
function history(instance: Instance): Partial<ContainerStatus> {
  const { state } = instance.record;
  const alive = instance.task !== undefined && state.run !== undefined;
  const restoredFrom = usedCheckpoint(state);
  return {
    restartCount: state.restartCount,
    ...(state.restartedAt === undefined ? {} : { restartedAt: state.restartedAt }),
    ...(restoredFrom === undefined ? {} : { restoredFrom }),
    ...(alive ? { pid: instance.task.pid, startedAt: state.run.startedAt } : {}),
    ...(!alive && state.lastEnd?.startedAt !== undefined ? { startedAt: state.lastEnd.startedAt } : {}),
    ...(state.lastEnd === undefined ? {} : endStatus(state.lastEnd)),
  };
}

function endStatus(end: End): Partial<ContainerStatus> {
  return { exitCode: end.exitCode, oomKilled: end.oomKilled, finishedAt: end.finishedAt };
}

function networkStatus(network: Attachment | undefined): Partial<ContainerStatus> {
  if (network === undefined || network.ipAddresses.length === 0) return {};
  const { ipAddresses, gateway, macAddress, ports } = network;
  return {
    network: {
      ipAddresses: [...ipAddresses],
      ...(gateway === undefined ? {} : { gateway }),
      ...(macAddress === undefined ? {} : { macAddress }),
      ...(ports.length === 0 ? {} : { ports: ports.map((port) => ({ ...port })) }),
    },
  };
}

/** The health of the current run, or of one that ended for want of it. */
function healthStatus(instance: Instance | undefined): Partial<ContainerStatus> {
  if (instance === undefined) return {};
  const { state, health: kept } = instance.record;
  const isCause = state.lastEnd?.reason === "Unhealthy" && kept !== undefined && kept.run === state.lastEnd.startedAt;
  const health = state.run !== undefined ? healthOf(instance.record)?.health : isCause ? kept : undefined;
  if (health === undefined) return {};
  const { status, failingStreak, output } = health;
  return { health: { status, failingStreak, ...(output === undefined ? {} : { output }) } };
}

function summaryOf(input: StatusInput): Summary {
  const { desired, observed, waiting, verdict, refusal } = input;
  const { current: instance } = observed;
  if (desired.kind !== "present") return removing(input, "Dead") ?? { state: "Removing", reason: "Deleting" };
  const refused: Partial<Summary> =
    refusal === undefined ? {} : { reason: refusal.reason, message: refusal.message, final: refusal.final };
  if (instance?.task !== undefined) {
    return { ...running(instance), ...notApplied(instance, desired), ...deferred(waiting), ...refused };
  }
  const last = instance === undefined ? verdict : instance.record.state.verdict;
  const failure = last !== undefined && isAbout(last, desired) ? last : undefined;
  // What a failed start has left does not hide why it failed.
  const stuck = removing(input, isOwn(input) ? "Dead" : "Pending");
  if (stuck !== undefined && failure === undefined) return stuck;
  if (refusal !== undefined) return failed(refusal);
  if (observed.leftovers.length > 0) return { state: "Pending", reason: "Recreating" };
  if (waiting !== undefined)
    return { state: "Pending", ...waiting, ...(failure === undefined ? {} : attemptsOf(failure)) };
  if (failure !== undefined) return { ...failed(failure.failure), ...attemptsOf(failure) };
  if (instance !== undefined) return { ...ended(instance, desired), ...unrested(input) };
  return neverRun(desired);
}

/** Also with a record: its first start was given up. */
function neverRun({ spec }: Desired & { kind: "present" }): Summary {
  if (spec.desiredState === "Stopped")
    return { state: "Pending", reason: "Stopped", message: "Not started: spec.desiredState is Stopped." };
  return { state: "Pending", reason: "Starting" };
}

/** A removal that failed half-way: what is in its way. Undefined while there is none. */
function removing({ obstacle }: StatusInput, state: "Dead" | "Pending"): Summary | undefined {
  if (obstacle?.purpose !== "removal") return undefined;
  const message = clip(`The container can't be removed yet: ${obstacle.message}. ${TRIED_AGAIN}`);
  return { state, reason: REMOVAL_FAILED, message };
}

/** Whether the container that can't be removed was made for this object, not for an earlier one of its name. */
function isOwn({ object, observed: { current, leftovers } }: StatusInput): boolean {
  return [current, ...leftovers].some((instance) => instance?.record.applied.uid === object.metadata.uid);
}

/** A container that has ended, but still holds what it should give back. */
function unrested({ obstacle }: StatusInput): Partial<Summary> {
  if (obstacle === undefined) return {};
  return { message: clip(`The container has ended, but can't give back ${obstacle.message}. ${TRIED_AGAIN}`) };
}

function running(instance: Instance): Summary {
  const paused = instance.task?.status === "paused";
  if (instance.record.state.stopping !== undefined) return { state: paused ? "Paused" : "Running", reason: "Stopping" };
  if (paused) return { state: "Paused", reason: "Paused" };
  const health = healthOf(instance.record)?.health;
  if (health?.status !== "Unhealthy") return { state: "Running", reason: "Started" };
  return { state: "Running", reason: "Unhealthy", message: clip(whyUnhealthy(health)) };
}

/** Why a change that a running container could take is not made yet; it is by itself. */
function deferred(waiting: Waiting | undefined): Partial<Summary> {
  if (waiting === undefined) return {};
  const { reason, message } = waiting;
  return { reason, message: clip(`The container runs on as it was, for the change of its spec waits: ${message}`) };
}

/** Why a change that a running container could take was not made; no verdict on the container, so no exit code. */
function notApplied(instance: Instance, desired: Desired & { kind: "present" }): Partial<Summary> {
  const { verdict } = instance.record.state;
  if (verdict === undefined || !isAbout(verdict, desired) || !isOutdated(instance, desired)) return {};
  const { failure, nextRetryAt } = verdict;
  return {
    reason: failure.reason,
    message: clip(`The container runs on as it was, for the change of its spec can't be made: ${failure.message}`),
    error: clip(failure.error),
    ...(nextRetryAt === undefined ? {} : { nextRetryAt }),
    final: failure.final,
  };
}

function failed(failure: StartFailure): Summary {
  return {
    state: failure.state,
    reason: failure.reason,
    message: clip(failure.message),
    error: clip(failure.error),
    ...(failure.exitCode === undefined ? {} : { exitCode: failure.exitCode }),
    final: failure.final,
  };
}

/** A runtime may say any amount; the resource holds so much of it. */
function clip(text: string): string {
  return text.length > MAX_TEXT ? `${text.slice(0, MAX_TEXT)}…` : text;
}

/** How the attempts to start stand. Kept while the next one waits for its image: it is told from here which one that is. */
function attemptsOf(verdict: Verdict): Partial<Summary> {
  return {
    startAttempts: verdict.attempts,
    ...(verdict.nextRetryAt === undefined ? {} : { nextRetryAt: verdict.nextRetryAt }),
    ...(verdict.restartedAt === undefined ? {} : { restartedAt: verdict.restartedAt }),
  };
}

function ended(instance: Instance, desired: Desired & { kind: "present" }): Summary {
  const { state } = instance.record;
  const end = state.lastEnd;
  if (end === undefined) return neverRun(desired);
  if (desired.spec.desiredState === "Stopped" || state.stopped === true) return { state: "Exited", reason: end.reason };
  if (end.requested || restarts(desired.spec, state)) {
    return {
      state: "Restarting",
      reason: end.reason,
      ...(state.nextRetryAt === undefined ? {} : { nextRetryAt: state.nextRetryAt }),
    };
  }
  return { state: "Exited", reason: end.reason, ...endedForCheckpoint(end) };
}

function endedForCheckpoint({ checkpoint }: End): Partial<Summary> {
  if (checkpoint === undefined) return {};
  const message = `ContainerCheckpoint "${checkpoint}" has ended it (leaveRunning: false): berth.dev/restartedAt starts it afresh, spec.restoreFrom from the checkpoint`;
  return { message };
}
