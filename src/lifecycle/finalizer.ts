/** The finalizer that keeps a deleted object until its container is gone. */
import { FINALIZER, type ObjectMeta } from "../api/index.ts";
import { ApiError, containerPath, isConflict, isNotFound, keyOf, type KubeApi } from "../kube/index.ts";
import { bothOf } from "./failure.ts";
import { WRITE_TIMEOUT_MS } from "./status-writer.ts";

/** An object of any kind of ours, and the cache that its writes go through. */
type Owned = { metadata: ObjectMeta };
type Patcher = Pick<KubeApi, "mergePatch">;
type Cache<T> = { write(key: string, request: () => Promise<T>): Promise<T> };

/** HTTP status of an object that the server finds invalid: a finalizer can't be added once deletion has begun. */
const UNPROCESSABLE = 422;

/** Whether an object is kept by the finalizer. */
function hasFinalizer({ metadata }: Owned): boolean {
  return metadata.finalizers?.includes(FINALIZER) === true;
}

/**
 * Puts the finalizer on an object that lacks it, beside some work with the object. Should the object go before, the watch
 * says so, and what was started is removed all the same. When what the work wrote came in between, it is tried once more:
 * own writes are no news that would bring the object back.
 * @throws what the work throws; ApiError, ApiUnavailable
 */
export async function withFinalizer<T extends Owned, R>(
  api: Patcher,
  cache: Cache<T> & { get(key: string): T | undefined },
  object: T,
  work: Promise<R>,
): Promise<R> {
  const [result] = await bothOf(work, ensureFinalizer(api, cache, object));
  const now = cache.get(keyOf(object));
  const { uid, resourceVersion } = object.metadata;
  if (now?.metadata.uid === uid && now.metadata.resourceVersion !== resourceVersion) {
    await ensureFinalizer(api, cache, now);
  }
  return result;
}

/**
 * Puts the finalizer on an object that lacks it.
 * @param path the object's, a Container's unless given
 * @throws ApiError, ApiUnavailable
 */
export async function ensureFinalizer<T extends Owned>(
  api: Patcher,
  cache: Cache<T>,
  object: T,
  path = pathOf(object),
): Promise<void> {
  const { finalizers = [], deletionTimestamp } = object.metadata;
  if (deletionTimestamp !== undefined || hasFinalizer(object)) return;
  await patchFinalizers(api, cache, object, [...finalizers, FINALIZER], path);
}

/** Takes the finalizer off, which lets the server delete the object. Answers whether this call has done it. */
export async function dropFinalizer<T extends Owned>(
  api: Patcher,
  cache: Cache<T>,
  object: T,
  path = pathOf(object),
): Promise<boolean> {
  if (!hasFinalizer(object)) return false;
  const { finalizers = [] } = object.metadata;
  const others = finalizers.filter((finalizer) => finalizer !== FINALIZER);
  return patchFinalizers(api, cache, object, others, path);
}

function pathOf({ metadata }: Owned): string {
  return containerPath(metadata.namespace, metadata.name);
}

/** The list is replaced as a whole, so the patch holds only for the version that it was made from; a newer one comes by the watch. */
async function patchFinalizers<T extends Owned>(
  api: Patcher,
  cache: Cache<T>,
  object: T,
  finalizers: string[],
  path: string,
): Promise<boolean> {
  const { uid, resourceVersion } = object.metadata;
  const metadata = { uid, resourceVersion, finalizers };
  try {
    // One whose answer got lost may have been carried out: the next object of this name must not wait long for that.
    await cache.write(keyOf(object), () => api.mergePatch<T>(path, { metadata }, { timeoutMs: WRITE_TIMEOUT_MS }));
    return true;
  } catch (error) {
    const refused = error instanceof ApiError && error.code === UNPROCESSABLE;
    if (!refused && !isNotFound(error) && !isConflict(error)) throw error;
    return false;
  }
}
