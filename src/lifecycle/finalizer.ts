/** The finalizer that keeps a deleted object until its container is gone. */
import { type Container, FINALIZER } from "../api/index.ts";
import { ApiError, containerPath, isConflict, isNotFound, keyOf, type KubeApi } from "../kube/index.ts";
import type { ContainerCache } from "./reconcile.ts";

/** HTTP status of an object that the server finds invalid: a finalizer can't be added once deletion has begun. */
const UNPROCESSABLE = 422;

/** Whether an object is kept by the finalizer. */
function hasFinalizer({ metadata }: Container): boolean {
  return metadata.finalizers?.includes(FINALIZER) === true;
}

/**
 * Puts the finalizer on an object that lacks it. It may be done beside the start: should the object go before, the watch
 * says so, and what was started is removed all the same.
 * @throws ApiError, ApiUnavailable
 */
export async function ensureFinalizer(api: KubeApi, cache: ContainerCache, object: Container): Promise<void> {
  const { finalizers = [], deletionTimestamp } = object.metadata;
  if (deletionTimestamp !== undefined || hasFinalizer(object)) return;
  await patchFinalizers(api, cache, object, [...finalizers, FINALIZER]);
}

/** Takes the finalizer off, which lets the server delete the object. Answers whether this call has done it. */
export async function dropFinalizer(api: KubeApi, cache: ContainerCache, object: Container): Promise<boolean> {
  if (!hasFinalizer(object)) return false;
  const { finalizers = [] } = object.metadata;
  const others = finalizers.filter((finalizer) => finalizer !== FINALIZER);
  return patchFinalizers(api, cache, object, others);
}

/** The list is replaced as a whole, so the patch holds only for the version that it was made from; a newer one comes by the watch. */
async function patchFinalizers(
  api: KubeApi,
  cache: ContainerCache,
  object: Container,
  finalizers: string[],
): Promise<boolean> {
  const { namespace, name, uid, resourceVersion } = object.metadata;
  const metadata = { uid, resourceVersion, finalizers };
  try {
    await cache.write(keyOf(object), () => api.mergePatch<Container>(containerPath(namespace, name), { metadata }));
    return true;
  } catch (error) {
    const refused = error instanceof ApiError && error.code === UNPROCESSABLE;
    if (!refused && !isNotFound(error) && !isConflict(error)) throw error;
    return false;
  }
}
