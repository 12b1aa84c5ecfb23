/** What an object's status tells the agent of its own past: where a start left no record, there is nothing else to go by. */
import { type Container, type ContainerStatus, MARK_REASONS, RESTARTED_AT } from "../api/index.ts";
import { sentenceOf } from "./conditions.ts";
import { DISK_PRESSURE } from "./limits.ts";
import type { Verdict } from "./record.ts";

/** Whether a status is the controller's word, for an agent that was not seen to live. */
export function isMarked(status: ContainerStatus | undefined): boolean {
  return status?.reason !== undefined && (MARK_REASONS as readonly string[]).includes(status.reason);
}

/** The agent's own reason and words. Where the controller has written over them, the conditions that it leaves alone have them. */
function ownWords(status: ContainerStatus): Pick<ContainerStatus, "reason" | "message"> {
  if (!isMarked(status)) return status;
  return status.conditions?.find(({ type }) => type !== "Ready" && type !== DISK_PRESSURE) ?? {};
}

/** The verdict that an object's status tells of, where its start left no record; undefined when it tells of none. */
export function verdictOf(object: Container): Verdict | undefined {
  const { status } = object;
  if (status?.startAttempts === undefined || status.startAttempts === 0) return undefined;
  const final = status.nextRetryAt === undefined;
  const { reason, message } = ownWords(status);
  return {
    failure: {
      exitCode: status.exitCode ?? 128,
      reason: reason ?? "RuntimeError",
      state: status.state === "Exited" ? "Exited" : "Pending",
      final,
      message: message ?? sentenceOf(status),
      error: status.error ?? "",
    },
    attempts: status.startAttempts,
    ...(status.nextRetryAt === undefined ? {} : { nextRetryAt: status.nextRetryAt }),
    generation: status.observedGeneration ?? 0,
    ...(status.restartedAt === undefined ? {} : { restartedAt: status.restartedAt }),
  };
}

/**
 * Whether the object has ended for good, so that only a new wish starts it again. One that was refused, without any try,
 * has not: what its namespace forbids may yet be allowed, what one agent does not know a newer one may. Asked again, it is
 * refused again, or is not.
 */
export function isDone(object: Container): boolean {
  return endedForGood(object) && !wasRefused(object);
}

function wasRefused({ status }: Container): boolean {
  return status?.reason === "Forbidden" || (status?.reason === "InvalidSpec" && (status.startAttempts ?? 0) === 0);
}

/** Whether the object has ended for good, as far as its status tells: nothing since calls for another run. */
export function endedForGood(object: Pick<Container, "metadata" | "status">): boolean {
  if (object.status?.restartedAt !== object.metadata.annotations?.[RESTARTED_AT]) return false;
  return (object.status?.conditions ?? []).some(
    ({ type, status, observedGeneration }) =>
      (type === "Complete" || type === "Failed") &&
      status === "True" &&
      observedGeneration === object.metadata.generation,
  );
}
