import { describe, expect, it } from "@jest/globals";
import { withDefaults } from "./defaults.ts";
import type { ContainerSpec } from "./types.ts";
import { unsupported } from "./unsupported.ts";

const SPEC: ContainerSpec = { nodeName: "node-1", image: "example.com/hello:1" };
const mount = { name: "v", mountPath: "/v" };

describe("unsupported", () => {
  it.each<[string, string, Partial<ContainerSpec>]>([
    [
      "spec.volumes[1].emptyDir.sizeLimit",
      "volumes.emptyDir.sizeLimit on disk",
      {
        volumes: [
          { name: "v", emptyDir: {} },
          { name: "w", emptyDir: { sizeLimit: "1Mi" } },
        ],
      },
    ],
  ])("names %s", (field, what, asked) => {
    expect(unsupported(withDefaults({ ...SPEC, ...asked }))).toEqual([
      { field, message: `${what} is not supported yet` },
    ]);
  });

  it("lets through what works, with all its defaults", () => {
    const spec: ContainerSpec = {
      ...SPEC,
      env: [{ name: "A", valueFrom: { secretKeyRef: { name: "s", key: "k" } } }],
      network: { mode: "Bridge", name: "lan", links: [{ container: "db" }], ipAddress: "10.0.0.2" },
      securityContext: { privileged: true, procMount: "Unmasked", seccompProfile: { type: "Unconfined" } },
      devices: [{ hostPath: "/dev/fuse" }],
      hostPID: true,
      volumes: [
        { name: "v", emptyDir: { medium: "Memory", sizeLimit: "1Mi" } },
        { name: "w", hostPath: { path: "/srv" } },
        { name: "x", configMap: { name: "c" } },
        { name: "y", secret: { secretName: "s" } },
        { name: "z", volume: { name: "data" } },
      ],
      volumeMounts: [{ ...mount, readOnly: true, subPath: "a", mountPropagation: "HostToContainer" }],
      ulimits: [{ name: "nofile", soft: 1, hard: 1 }],
      shmSize: "1Mi",
      tty: true,
      stdin: true,
      restoreFrom: "checkpoint",
    };
    expect(unsupported(withDefaults(spec))).toEqual([]);
  });

  it("names all at once", () => {
    const volumes = ["v", "w"].map((name) => ({ name, emptyDir: { sizeLimit: "1Mi" } }));
    expect(unsupported({ ...SPEC, volumes }).map(({ field }) => field)).toEqual([
      "spec.volumes[0].emptyDir.sizeLimit",
      "spec.volumes[1].emptyDir.sizeLimit",
    ]);
  });
});
