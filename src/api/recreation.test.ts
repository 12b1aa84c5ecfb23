import { describe, expect, it } from "@jest/globals";
import { recreationNeeded, restoreHindrances } from "./recreation.ts";
import type { ContainerSpec } from "./types.ts";

const SPEC: ContainerSpec = { nodeName: "node-1", image: "example.com/hello:1" };

describe("recreationNeeded", () => {
  it.each<[string, Partial<ContainerSpec>]>([
    ["desiredState", { desiredState: "Paused" }],
    ["restartPolicy and maxRestarts", { restartPolicy: "OnFailure", maxRestarts: 3 }],
    ["resources", { resources: { limits: { cpu: 1 } } }],
    ["pidsLimit", { pidsLimit: 10 }],
    ["how it is stopped", { terminationGracePeriodSeconds: 1, stopSignal: "SIGINT" }],
    ["healthcheck", { healthcheck: { exec: { command: ["true"] } } }],
    ["logging", { logging: { maxFiles: 1 } }],
  ])("changes in place: %s", (_name, change) => {
    expect(recreationNeeded(SPEC, { ...SPEC, ...change })).toBe(false);
  });

  it.each<[string, Partial<ContainerSpec>]>([
    ["image", { image: "example.com/hello:2" }],
    ["args", { args: ["a"] }],
    ["an empty argument", { args: [""] }],
    ["network", { network: { mode: "Host" } }],
    ["privileges", { securityContext: { allowPrivilegeEscalation: false } }],
    ["a volume", { volumes: [{ name: "v", emptyDir: {} }] }],
    ["runtime", { runtime: "crun" }],
  ])("recreates: %s", (_name, change) => {
    expect(recreationNeeded(SPEC, { ...SPEC, ...change })).toBe(true);
  });

  it("looks at neither written-out defaults, empty values nor the order of fields", () => {
    const same: ContainerSpec = {
      image: SPEC.image,
      nodeName: SPEC.nodeName,
      network: { mode: "Bridge", dns: {} },
      tty: false,
      env: [],
      securityContext: { privileged: false },
    };
    expect(recreationNeeded({ ...SPEC, securityContext: {} }, same)).toBe(false);
  });

  it("keeps the order of a list, which means something", () => {
    const env = [{ name: "A" }, { name: "B", value: "$(A)" }];
    expect(recreationNeeded({ ...SPEC, env }, { ...SPEC, env: env.toReversed() })).toBe(true);
  });
});

describe("restoreHindrances", () => {
  it("are none where the process has no part in it", () => {
    const wished: Partial<ContainerSpec> = {
      nodeName: "node-1",
      image: "example.com/mirror/hello:1",
      restoreFrom: "c",
      restartPolicy: "Never",
      resources: { limits: { memory: "1Gi" } },
      ports: [{ containerPort: 80, hostPort: 8080 }],
      network: { mode: "None", dns: { nameservers: ["10.0.0.1"] } },
      volumes: [{ name: "v", hostPath: { path: "/srv" } }],
    };
    expect(restoreHindrances({ ...SPEC, volumes: [{ name: "v", emptyDir: {} }] }, { ...SPEC, ...wished })).toEqual([]);
  });

  it("are all fields that differ", () => {
    const wished: Partial<ContainerSpec> = {
      command: ["other"],
      env: [{ name: "A", value: "1" }],
      user: "app",
      volumeMounts: [{ name: "v", mountPath: "/v" }],
      network: { mode: "Host" },
    };
    expect(restoreHindrances(SPEC, { ...SPEC, ...wished })).toEqual([
      "command",
      "env",
      "user",
      "volumeMounts",
      "network.mode",
    ]);
  });
});
