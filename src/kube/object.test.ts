import { describe, expect, it } from "@jest/globals";
import { keyOf, parseKey } from "./object.ts";
import { containerPath, leasePath, secretPath } from "./paths.ts";

describe("keys and paths", () => {
  it.each(["ns/name", "name"])("reads back the key %s", (key) => {
    const { namespace, name } = parseKey(key);
    expect(keyOf({ metadata: { namespace, name } })).toBe(key);
    expect(name).toBe("name");
  });

  it("builds paths of the core group and of others", () => {
    expect(containerPath()).toBe("/apis/berth.dev/v1alpha1/containers");
    expect(containerPath("a", "b", "status")).toBe("/apis/berth.dev/v1alpha1/namespaces/a/containers/b/status");
    expect(secretPath("a", "b")).toBe("/api/v1/namespaces/a/secrets/b");
    expect(leasePath("a")).toBe("/apis/coordination.k8s.io/v1/namespaces/a/leases");
  });
});
