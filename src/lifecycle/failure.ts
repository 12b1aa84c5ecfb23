/** How failures of a start's steps become verdicts. */
import { isUnavailable } from "../containerd/index.ts";
import { classifyStartError, StartError, type StartStep } from "../oci/index.ts";
import { isAbout, type Verdict } from "./record.ts";

/** A start's waits between attempts: 1 s, doubling to 5 min (the kubelet's image backoff has the same bound). */
const RETRY_BASE_MS = 1000;
const RETRY_MAX_MS = 300_000;

/**
 * Runs one step of a start; what it throws becomes a StartError that carries exit code, reason and whether a retry makes
 * sense. That containerd is away is no verdict on a container: it passes through.
 */
export async function at<T>(step: StartStep, action: () => T | Promise<T>): Promise<T> {
  try {
    return await action();
  } catch (error) {
    if (error instanceof StartError || isUnavailable(error)) throw error;
    throw new StartError(classifyStartError(error, step), { cause: error });
  }
}

/** Waits for two independent steps; when one fails, only after the other has ended too, so that what it acquired can be undone. */
export async function bothOf<A, B>(first: Promise<A>, second: Promise<B>): Promise<[A, B]> {
  const settled = await Promise.allSettled([first, second]);
  const failed = settled.find((result) => result.status === "rejected");
  if (failed !== undefined) throw failed.reason;
  return Promise.all([first, second]);
}

/** The verdict on a failed start, with the time of the next try where there is one: at once if what it lacked is there now. */
export function verdictAfter(
  error: StartError,
  wish: { readonly generation: number; readonly restartedAt?: string | undefined },
  earlier: Verdict | undefined,
  now: Date,
  atOnce = false,
): Verdict {
  const attempts = (earlier !== undefined && isAbout(earlier, wish) ? earlier.attempts : 0) + 1;
  const { failure } = error;
  const again = attempts > 1 && failure.reason === "ErrImagePull";
  return {
    failure: again ? { ...failure, reason: "ImagePullBackOff" } : failure,
    attempts,
    generation: wish.generation,
    ...(wish.restartedAt === undefined ? {} : { restartedAt: wish.restartedAt }),
    ...(failure.final
      ? {}
      : { nextRetryAt: new Date(now.getTime() + (atOnce ? 0 : retryDelayMs(attempts))).toISOString() }),
  };
}

/** Milliseconds from a failed attempt, the first being 1, to the next. */
export function retryDelayMs(attempts: number): number {
  return Math.min(RETRY_MAX_MS, RETRY_BASE_MS * 2 ** Math.min(attempts - 1, 20));
}
