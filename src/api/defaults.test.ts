import { describe, expect, it } from "@jest/globals";
import { imagePullPolicy, withDefaults } from "./defaults.ts";
import type { ContainerSpec } from "./types.ts";

const SPEC: ContainerSpec = { nodeName: "node-1", image: "example.com/hello:1" };

describe("withDefaults", () => {
  it("fills in what the contract says, and no default that depends on another field", () => {
    expect(withDefaults(SPEC)).toEqual({
      ...SPEC,
      desiredState: "Running",
      restartPolicy: "Always",
      terminationGracePeriodSeconds: 10,
      runtime: "runc",
      tty: false,
      stdin: false,
      autoRemove: false,
      hostPID: false,
      hostIPC: false,
      network: { mode: "Bridge" },
      logging: { maxSize: "10Mi", maxFiles: 3 },
    });
  });

  it("reaches into objects and lists that are there", () => {
    const spec = withDefaults({
      ...SPEC,
      network: { dns: {} },
      logging: { maxFiles: 1 },
      ports: [{ containerPort: 80 }],
    });
    expect(spec.network).toEqual({ mode: "Bridge", dns: {} });
    expect(spec.logging).toEqual({ maxSize: "10Mi", maxFiles: 1 });
    expect(spec.ports).toEqual([{ containerPort: 80, protocol: "TCP" }]);
    expect(spec.securityContext).toBeUndefined();
  });

  it("keeps what is given, leaves its argument alone and is the same each time", () => {
    const given: ContainerSpec = {
      ...SPEC,
      restartPolicy: "Never",
      args: ["a"],
      volumes: [{ name: "v", emptyDir: {} }],
    };
    const before = structuredClone(given);
    const spec = withDefaults(given);
    expect(given).toEqual(before);
    expect(spec).toMatchObject({ ...given, network: { mode: "Bridge" } });
    expect(spec.volumes).not.toBe(given.volumes);
    expect(withDefaults(given)).toBe(spec);
  });

  it("is idempotent", () => {
    const once = withDefaults({ ...SPEC, healthcheck: { httpGet: { port: 80 } } });
    expect(withDefaults(once)).toEqual(once);
  });
});

describe("imagePullPolicy", () => {
  it.each([
    ["busybox", "Always"],
    ["busybox:latest", "Always"],
    ["registry.example.com:5000/busybox", "Always"],
    ["busybox:1.36", "IfNotPresent"],
    ["registry.example.com:5000/busybox:1", "IfNotPresent"],
    [`busybox@sha256:${"a".repeat(64)}`, "IfNotPresent"],
    [`busybox:latest@sha256:${"a".repeat(64)}`, "IfNotPresent"],
  ])("of %s is %s", (image, policy) => {
    expect(imagePullPolicy({ nodeName: "node-1", image })).toBe(policy);
  });

  it("is what is given", () => {
    expect(imagePullPolicy({ ...SPEC, imagePullPolicy: "Never" })).toBe("Never");
  });
});
