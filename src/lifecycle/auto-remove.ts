/** `spec.autoRemove`: an object whose container has ended, or can't be started, is deleted once all is told of it. */
import { type Container, RESTARTED_AT } from "../api/index.ts";
import { ApiError, containerPath, isConflict, isNotFound } from "../kube/index.ts";
import type { Desired, Observed } from "./decide.ts";
import type { Reconcile } from "./reconcile.ts";
import { isAbout, type Verdict } from "./record.ts";

/** Milliseconds until an object is looked at again that changed under its deletion; its change comes by the watch. */
const LOOK_AGAIN_MS = 1000;

/**
 * Whether an object that asks for `autoRemove` may go: its container has ended for good, or its start has failed for good.
 * To be asked when no step is left to do. One whose spec can't be applied stays: that it is to be removed is part of it.
 */
export function isOver(desired: Desired, { current, leftovers }: Observed): boolean {
  if (desired.kind !== "present" || desired.refused || desired.spec.autoRemove !== true) return false;
  if (leftovers.length > 0 || current?.task !== undefined) return false;
  const isFinal = (verdict: Verdict | undefined): boolean =>
    verdict !== undefined && verdict.nextRetryAt === undefined && isAbout(verdict, desired);
  if (current === undefined) return desired.done || isFinal(desired.verdict);
  const { state } = current.record;
  const isAtRest = state.run === undefined && state.starting !== true && state.holdsNetwork !== true;
  return isAtRest && state.nextRetryAt === undefined && (state.lastEnd !== undefined || isFinal(state.verdict));
}

/**
 * Deletes an object whose last status is written: first an Event says so, then the deletion, which holds only for the
 * object as it was judged. What was its own goes as with any deletion. Whatever a crash cuts short is done again.
 * @throws ApiError, ApiUnavailable
 */
export async function autoRemove({ cache, parts, queue }: Reconcile, key: string, judged: Container): Promise<void> {
  const now = cache.get(key);
  if (now === undefined || !isSameWish(now, judged)) return;
  const { namespace, name, uid, resourceVersion } = now.metadata;
  const { exitCode, reason } = now.status ?? {};
  const message = `Removing the Container, for spec.autoRemove is set and it is over: ${reason ?? "ended"}, exit code ${exitCode ?? 0}`;
  try {
    await parts.report(now.metadata, "Normal", "Removed", message);
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    // An API server that takes no Events must not keep the object for ever.
    parts.logger.warn({ err: error, key }, "the removal could not be told of");
  }
  try {
    await parts.api.delete(containerPath(namespace, name), { preconditions: { uid, resourceVersion } });
  } catch (error) {
    if (isNotFound(error)) return;
    if (!isConflict(error)) throw error;
    queue.addAt(key, new Date(parts.clock().getTime() + LOOK_AGAIN_MS));
  }
}

/** Whether nothing of what is wished has changed. */
function isSameWish({ metadata: now }: Container, { metadata: judged }: Container): boolean {
  return (
    now.uid === judged.uid &&
    now.generation === judged.generation &&
    now.deletionTimestamp === undefined &&
    now.annotations?.[RESTARTED_AT] === judged.annotations?.[RESTARTED_AT]
  );
}
