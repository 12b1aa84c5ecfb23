/** When an ended container runs again: the rules of Docker's restart manager. */

const FIRST_DELAY_MS = 100;
const MAX_DELAY_MS = 60_000;
/** A run this long counts as a success, after which the wait is as short as the first. */
const LONG_RUN_MS = 10_000;

/**
 * The wait before the next restart, in milliseconds: 100 ms, doubling to a minute; after a run of 10 s or more it begins
 * anew.
 *
 * @param delayBefore the wait before the run that has ended, in milliseconds; 0 when there was none
 * @param ranForMs how long that run took
 */
export function nextDelay(delayBefore: number, ranForMs: number): number {
  if (delayBefore <= 0 || ranForMs >= LONG_RUN_MS) return FIRST_DELAY_MS;
  return Math.min(delayBefore * 2, MAX_DELAY_MS);
}

export interface RestartQuestion {
  readonly policy: "Always" | "OnFailure" | "Never";
  /** Whether the run has failed: by its exit code, or by what the healthcheck says. */
  readonly failed: boolean;
  /** Restarts by the policy since the last start that was asked for: Docker's restart manager is a new one then. */
  readonly restarts: number;
  /** For `OnFailure`; 0 means no limit. */
  readonly maxRestarts: number;
  /** Only what is wished to run is restarted. */
  readonly desiredState?: "Running" | "Stopped" | "Paused";
}

/** Whether the restart policy wants another run after one that ended by itself. */
export function shouldRestart({
  policy,
  failed,
  restarts,
  maxRestarts,
  desiredState = "Running",
}: RestartQuestion): boolean {
  if (desiredState === "Stopped") return false;
  switch (policy) {
    case "Always":
      return true;
    case "Never":
      return false;
    case "OnFailure":
      return failed && (maxRestarts === 0 || restarts < maxRestarts);
  }
}
