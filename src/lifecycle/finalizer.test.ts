import { expect, it } from "@jest/globals";
import { type Container, FINALIZER } from "../api/index.ts";
import { ApiError, type KubeApi, keyOf } from "../kube/index.ts";
import { withFinalizer } from "./finalizer.ts";

/** An API server that takes a patch only for the version it has, and a cache of what it answered. */
function server() {
  const metadata = { name: "web", namespace: "default", uid: "u", generation: 1, resourceVersion: "1" };
  let object = { metadata } as Container;
  let seen = object;
  const write = (change: Partial<Container["metadata"]>): Container => {
    const resourceVersion = String(Number(object.metadata.resourceVersion) + 1);
    object = { ...object, metadata: { ...object.metadata, ...change, resourceVersion } };
    return object;
  };
  const mergePatch = (_: string, patch: { metadata: Partial<Container["metadata"]> }): Promise<Container> => {
    if (patch.metadata.resourceVersion !== object.metadata.resourceVersion) {
      return Promise.reject(new ApiError(409, "Conflict", "changed meanwhile"));
    }
    return Promise.resolve(write(patch.metadata));
  };
  return {
    object,
    api: { mergePatch } as unknown as KubeApi,
    cache: {
      get: (key: string) => (key === keyOf(seen) ? seen : undefined),
      write: async (_: string, request: () => Promise<Container>) => (seen = await request()),
    },
    /** A write of this process's own. */
    own: () => (seen = write({})),
    foreign: () => write({}),
    finalizers: () => object.metadata.finalizers,
  };
}

it("is put on an object whose own status was written first: nothing would bring it back", async () => {
  const { api, cache, object, own, finalizers } = server();
  own();
  await withFinalizer(api, cache, object, Promise.resolve());
  expect(finalizers()).toEqual([FINALIZER]);
});

it("is left to the watch when somebody else has changed the object", async () => {
  const { api, cache, object, foreign, finalizers } = server();
  foreign();
  expect(await withFinalizer(api, cache, object, Promise.resolve("done"))).toBe("done");
  expect(finalizers()).toBeUndefined();
});
