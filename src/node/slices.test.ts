// systemd's names of cgroups, and the properties that are a budget's limits.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "@jest/globals";
import { limitCgroup } from "./cgroup-limits.ts";
import { cgroupPathOf, slicePath, sliceBelow } from "./slices.ts";

describe("a cgroup of systemd's", () => {
  it("lies where its name says", () => {
    expect(slicePath("berth.slice")).toBe("/berth.slice");
    expect(slicePath("a-b-c.slice")).toBe("/a.slice/a-b.slice/a-b-c.slice");
    expect(sliceBelow("/berth.slice", "")).toBe("berth.slice");
    expect(sliceBelow("/a.slice/a-b.slice", "batch/night")).toBe("a-b-batch-night.slice");
  });

  it("is found by what the runtime was given", () => {
    expect(cgroupPathOf("/berth/batch/id-1")).toBe("/berth/batch/id-1");
    expect(cgroupPathOf("berth.slice:berth:id-1")).toBe("/berth.slice/berth-id-1.scope");
    expect(cgroupPathOf("berth-batch.slice:berth:id-1")).toBe("/berth.slice/berth-batch.slice/berth-id-1.scope");
  });
});

describe("a slice's limits", () => {
  let dir = "";
  let asked: string[] = [];
  beforeEach(() => {
    dir = mkdtempSync(join(tmpdir(), "slices-"));
    asked = [];
  });
  afterEach(() => {
    rmSync(dir, { recursive: true });
  });
  const limit = (version: 1 | 2, limits: Parameters<typeof limitCgroup>[2]): Promise<void> => {
    const hierarchies = [{ mountPoint: dir, controllers: ["memory", "cpu", "pids"] }];
    return limitCgroup({ version, hierarchies }, "/berth.slice", limits, (path, property) => {
      asked.push(`${path} ${property}`);
      return Promise.resolve();
    });
  };

  it("are properties that systemd keeps", async () => {
    await limit(2, { memoryBytes: 2 ** 23, milliCPU: 1000, pids: 7 });
    await limit(1, { milliCPU: 1000, memoryBytes: null, pids: null });
    expect(asked).toEqual(
      [
        "MemoryMax=8388608",
        "CPUWeight=39",
        "TasksMax=7",
        "MemoryMax=infinity",
        "CPUShares=1024",
        "TasksMax=infinity",
      ].map((property) => `/berth.slice ${property}`),
    );
  });

  it("are not set again where they are", async () => {
    mkdirSync(join(dir, "berth.slice"));
    writeFileSync(join(dir, "berth.slice/pids.max"), "7\n");
    writeFileSync(join(dir, "berth.slice/memory.max"), "8388608\n");
    await limit(2, { memoryBytes: 2 ** 23, pids: 8 });
    expect(asked).toEqual(["/berth.slice TasksMax=8"]);
  });

  it("are not below what is in use", async () => {
    mkdirSync(join(dir, "berth.slice"));
    writeFileSync(join(dir, "berth.slice/memory.current"), "9000000\n");
    await expect(limit(2, { memoryBytes: 2 ** 23 })).rejects.toThrow("9000000 bytes are in use");
    expect(asked).toEqual([]);
  });
});
