import { describe, expect, it } from "@jest/globals";
import { linuxResources, requestsOf, updatedResources } from "./resources.ts";

const V1 = { cgroupVersion: 1, swapLimit: true } as const;
const V2 = { cgroupVersion: 2, swapLimit: true } as const;
const MI = 1024 * 1024;

describe("linuxResources", () => {
  it("is empty where nothing is wished", () => {
    expect(linuxResources({}, V1)).toEqual({});
    expect(linuxResources({ resources: { limits: {}, requests: { cpu: 0, memory: "0" } } }, V2)).toEqual({});
  });

  it("limits memory and swap together to twice the memory, where the kernel can", () => {
    const spec = { resources: { limits: { memory: "64Mi" } } };
    expect(linuxResources(spec, V1)).toEqual({ memory: { limit: 64 * MI, swap: 128 * MI } });
    expect(linuxResources(spec, { cgroupVersion: 1 })).toEqual({ memory: { limit: 64 * MI } });
  });

  it("takes a memory request for the soft limit", () => {
    expect(linuxResources({ resources: { requests: { memory: "32Mi" } } }, V1)).toEqual({
      memory: { reservation: 32 * MI },
    });
  });

  it.each([
    ["2", { shares: 2048, quota: 200_000, period: 100_000 }],
    ["500m", { shares: 512, quota: 50_000, period: 100_000 }],
    // 0.29 × 100 000 is less than 29 000 in floating point.
    [0.29, { shares: 296, quota: 29_000, period: 100_000 }],
    // The kernel takes no less.
    ["1m", { shares: 2, quota: 1000, period: 100_000 }],
  ])("a cpu limit of %s", (cpu, expected) => {
    expect(linuxResources({ resources: { limits: { cpu } } }, V1)).toEqual({ cpu: expected });
  });

  it("takes a cpu request for the share", () => {
    expect(linuxResources({ resources: { requests: { cpu: "100m" } } }, V1)).toEqual({ cpu: { shares: 102 } });
    expect(linuxResources({ resources: { requests: { cpu: "1000" } } }, V1)).toEqual({ cpu: { shares: 262_144 } });
    const both = { resources: { limits: { cpu: 1 }, requests: { cpu: "250m" } } };
    expect(linuxResources(both, V1).cpu).toEqual({ shares: 256, quota: 100_000, period: 100_000 });
  });

  it("takes a pids limit of 0 or less for none", () => {
    expect(linuxResources({ pidsLimit: 50 }, V1)).toEqual({ pids: { limit: 50 } });
    expect(linuxResources({ pidsLimit: 0 }, V1)).toEqual({ pids: { limit: -1 } });
  });

  it.each([
    [{ limits: { memory: "6291455" } }, "spec.resources.limits.memory: 6291455 bytes are too few: give at least 6Mi"],
    [{ requests: { memory: "1Mi" } }, "spec.resources.requests.memory: 1048576 bytes are too few"],
    [
      { limits: { memory: "64Mi" }, requests: { memory: "65Mi" } },
      "spec.resources.requests.memory: 65Mi is more than spec.resources.limits.memory (64Mi)",
    ],
    [{ limits: { cpu: "1" }, requests: { cpu: "1001m" } }, "spec.resources.requests.cpu: 1001m is more than"],
    [{ limits: { cpu: "-1" } }, "spec.resources.limits.cpu: "],
    [{ limits: { memory: "lots" } }, "spec.resources.limits.memory: "],
  ])("refuses %j", (resources, message) => {
    expect(() => linuxResources({ resources }, V1)).toThrow(message);
  });

  it("lets the smallest memory and equal requests pass", () => {
    const resources = { limits: { memory: "6Mi", cpu: 1 }, requests: { memory: "6Mi", cpu: 1 } };
    expect(linuxResources({ resources }, V1).memory).toEqual({ limit: 6 * MI, reservation: 6 * MI, swap: 12 * MI });
  });
});

describe("updatedResources", () => {
  it("lifts every limit that is no longer wished", () => {
    expect(updatedResources({}, V1)).toEqual({
      memory: { limit: -1, swap: -1, reservation: -1 },
      cpu: { shares: 1024, quota: -1, period: 100_000 },
      pids: { limit: -1 },
    });
    expect(updatedResources({}, V2)).toEqual({
      memory: { limit: -1, swap: -1 },
      cpu: { quota: -1, period: 100_000 },
      pids: { limit: -1 },
      unified: { "memory.low": "0", "cpu.weight": "100" },
    });
  });

  it("always moves swap with memory, or the kernel refuses to raise memory", () => {
    const spec = { resources: { limits: { memory: "128Mi", cpu: 1 }, requests: { memory: "64Mi" } }, pidsLimit: 9 };
    for (const facts of [V1, V2]) {
      expect(updatedResources(spec, facts)).toEqual({
        memory: { limit: 128 * MI, swap: 256 * MI, reservation: 64 * MI },
        cpu: { shares: 1024, quota: 100_000, period: 100_000 },
        pids: { limit: 9 },
      });
    }
  });

  it("leaves swap alone where the kernel does not account for it", () => {
    const spec = { resources: { limits: { memory: "128Mi" } } };
    expect(updatedResources(spec, { cgroupVersion: 1 }).memory).toEqual({ limit: 128 * MI, reservation: -1 });
  });
});

describe("requestsOf", () => {
  it("is the request, else the limit, else nothing", () => {
    const both = { limits: { cpu: 2, memory: "1Gi" }, requests: { cpu: "500m", memory: "64Mi" } };
    expect(requestsOf({ resources: both })).toEqual({ milliCPU: 500, memoryBytes: 64 * MI });
    expect(requestsOf({ resources: { limits: both.limits } })).toEqual({ milliCPU: 2000, memoryBytes: 1024 * MI });
    expect(requestsOf({ pidsLimit: 3 })).toEqual({ milliCPU: 0, memoryBytes: 0 });
  });

  it("counts whole thousandths of a CPU, rounded up: sums are exact", () => {
    const asked = ["0.1", "0.29", "100u"].map((cpu) => requestsOf({ resources: { requests: { cpu } } }).milliCPU);
    expect(asked).toEqual([100, 290, 1]);
  });
});
