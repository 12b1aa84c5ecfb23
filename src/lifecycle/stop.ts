/** Stops, pauses and resumes: what is asked of a running task. None of them waits for the answer; the task's end is an event. */
import { signalName, stopSignal } from "../oci/index.ts";
import type { Instance } from "./decide.ts";
import { giveBack } from "./obstacle.ts";
import type { Parts } from "./parts.ts";
import { SIGKILL, signalTask, thaw } from "./task.ts";

/** Seconds between the stop signal and SIGKILL, as in Docker. */
const DEFAULT_GRACE_SECONDS = 10;

/** What a stop is for, where that is no wish of the spec's. */
export interface StopCause {
  readonly reason?: "removal" | "unhealthy" | undefined;
  /** The value of the annotation that asks for a restart. */
  readonly restartedAt?: string | undefined;
}

/** Sends the stop signal and sets the deadline at which SIGKILL follows. A paused container is thawed, or it could not obey. */
export async function stop(
  parts: Parts,
  { record, task, moved }: Instance,
  { reason, restartedAt }: StopCause,
): Promise<void> {
  const { applied } = record;
  const signal = stopSignal(applied.spec.stopSignal, applied.image.stopSignal);
  const graceMs = (applied.spec.terminationGracePeriodSeconds ?? DEFAULT_GRACE_SECONDS) * 1000;
  const moves = moved === true ? ", to start it in the new network of the container whose network it joins" : "";
  const why = reason === "unhealthy" ? ", for it is unhealthy" : moves;
  parts.announce(applied, "Normal", "Killing", `Stopping the container with ${signalName(signal)}${why}`);
  await signalTask(parts, record.id, graceMs === 0 ? SIGKILL : signal);
  if (task?.status === "paused") await thaw(parts, record.id);
  // The mark follows the signal: should the agent die between them, the next one sends the signal again.
  const deadlineMs = parts.uptime() + graceMs;
  await parts.records.saveState(record.id, {
    ...record.state,
    stopping: {
      deadlineMs,
      ...(reason === "unhealthy" ? { unhealthy: true } : {}),
      ...(restartedAt === undefined ? {} : { restartedAt }),
    },
    ...(reason === "removal" ? { removing: true } : {}),
  });
}

/** Ends a task that has outlived its grace period, with all its processes. */
export async function kill(parts: Parts, { record, task }: Instance): Promise<void> {
  await signalTask(parts, record.id, SIGKILL);
  if (task?.status === "paused") await thaw(parts, record.id);
}

/** Freezes a running container's processes. */
export async function pause(parts: Parts, { record }: Instance): Promise<void> {
  await parts.containerd.tasks.pause({ containerId: record.id });
}

/** Thaws a paused container. */
export async function resume(parts: Parts, { record }: Instance): Promise<void> {
  await parts.containerd.tasks.resume({ containerId: record.id });
}

/**
 * Lets an ended container that will not be started again by itself rest: its address and ports are free for others, and
 * no restart waits. `stopped` says that the rest was asked for.
 * @throws Obstacle when the network can't be given back now
 */
export async function rest(parts: Parts, { record }: Instance, stopped: boolean): Promise<void> {
  await giveBack("rest", { "its network": () => parts.network.detach(record.id) });
  const { nextRetryAt: _, holdsNetwork: __, ...state } = record.state;
  await parts.records.saveState(record.id, { ...state, ...(stopped ? { stopped: true, backoffMs: 0 } : {}) });
}
