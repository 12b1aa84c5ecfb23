/** What an object's status tells the agent of its own past: where a start left no record, there is nothing else to go by. */
import { type Container, RESTARTED_AT } from "../api/index.ts";
import { sentenceOf } from "./conditions.ts";
import type { Verdict } from "./record.ts";

/** The verdict that an object's status tells of, where its start left no record; undefined when it tells of none. */
export function verdictOf(object: Container): Verdict | undefined {
  const { status } = object;
  if (status?.startAttempts === undefined || status.startAttempts === 0) return undefined;
  const final = status.nextRetryAt === undefined;
  return {
    failure: {
      exitCode: status.exitCode ?? 128,
      reason: status.reason ?? "RuntimeError",
      state: status.state === "Exited" ? "Exited" : "Pending",
      final,
      message: status.message ?? sentenceOf(status),
      error: status.error ?? "",
    },
    attempts: status.startAttempts,
    ...(status.nextRetryAt === undefined ? {} : { nextRetryAt: status.nextRetryAt }),
    generation: status.observedGeneration ?? 0,
    ...(status.restartedAt === undefined ? {} : { restartedAt: status.restartedAt }),
  };
}

/** Whether the object has ended for good, so that only a new wish starts it again; what its namespace forbids may yet be allowed. */
export function isDone(object: Container): boolean {
  return endedForGood(object) && object.status?.reason !== "Forbidden";
}

/** Whether the object has ended for good, as far as its status tells: nothing since calls for another run. */
export function endedForGood(object: Container): boolean {
  if (object.status?.restartedAt !== object.metadata.annotations?.[RESTARTED_AT]) return false;
  return (object.status?.conditions ?? []).some(
    ({ type, status, observedGeneration }) =>
      (type === "Complete" || type === "Failed") &&
      status === "True" &&
      observedGeneration === object.metadata.generation,
  );
}
