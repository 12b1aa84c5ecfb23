// The files of a cgroup's limits, on directories that stand for either version's hierarchies.
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "@jest/globals";
import { limitCgroup, settingsOf } from "./cgroup-limits.ts";
import type { Cgroups } from "./cgroups.ts";

const MI = 2 ** 20;
const LIMITS = { milliCPU: 1500, memoryBytes: 128 * MI + 1, pids: 100 };

const inShort = (version: 1 | 2, limits: Parameters<typeof settingsOf>[1]): string[] =>
  settingsOf(version, limits).map(({ controller, file, value }) => `${controller} ${file}=${value}`);

describe("settingsOf", () => {
  it("is a hard limit of memory, a weight of CPU and a number of processes", () => {
    expect(inShort(1, LIMITS)).toEqual([
      "memory memory.limit_in_bytes=134217728",
      "cpu cpu.shares=1536",
      "pids pids.max=100",
    ]);
    expect(inShort(2, LIMITS)).toEqual(["memory memory.max=134217728", "cpu cpu.weight=59", "pids pids.max=100"]);
  });

  it("weighs CPUs as the kubelet does, within the kernel's bounds", () => {
    const weights = [1, 1000, 2000, 1_000_000].map((milliCPU) => inShort(2, { milliCPU })[0]);
    expect(weights).toEqual([1, 39, 79, 10_000].map((weight) => `cpu cpu.weight=${weight}`));
    expect(inShort(1, { milliCPU: 1 })).toEqual(["cpu cpu.shares=2"]);
  });

  it("takes limits away where they are null, and leaves what is not named", () => {
    expect(inShort(1, { memoryBytes: null, milliCPU: null, pids: null })).toEqual([
      "memory memory.limit_in_bytes=-1",
      "cpu cpu.shares=1024",
      "pids pids.max=max",
    ]);
    expect(inShort(2, { memoryBytes: null, milliCPU: null, pids: null })).toEqual([
      "memory memory.max=max",
      "cpu cpu.weight=100",
      "pids pids.max=max",
    ]);
    expect(settingsOf(1, {})).toEqual([]);
  });
});

describe("limitCgroup", () => {
  let dir: string;
  beforeEach(() => {
    dir = mkdtempSync(join(tmpdir(), "cgroup-limits-"));
  });
  afterEach(() => {
    rmSync(dir, { recursive: true });
  });
  const content = (...names: string[]): string => readFileSync(join(dir, ...names), "utf8");
  const v2 = (): Cgroups => ({ version: 2, hierarchies: [{ mountPoint: dir, controllers: [] }] });
  const v1 = (...controllers: string[]): Cgroups => ({
    version: 1,
    hierarchies: controllers.map((controller) => ({ mountPoint: join(dir, controller), controllers: [controller] })),
  });

  it("makes the cgroup in each hierarchy of v1", async () => {
    await limitCgroup(v1("freezer", "memory", "cpu", "pids"), "/a/berth", LIMITS);
    expect(content("memory", "a/berth/memory.limit_in_bytes")).toBe(String(128 * MI));
    expect(content("cpu", "a/berth/cpu.shares")).toBe("1536");
    expect(content("pids", "a/berth/pids.max")).toBe("100");
  });

  it("has those below counted on a kernel that asks for it", async () => {
    mkdirSync(join(dir, "memory/berth"), { recursive: true });
    writeFileSync(join(dir, "memory/berth/memory.use_hierarchy"), "0\n");
    await limitCgroup(v1("memory"), "/berth", { memoryBytes: 64 * MI });
    expect(content("memory/berth/memory.use_hierarchy")).toBe("1");
  });

  it("says which limit can't be had, and writes the others", async () => {
    const limiting = limitCgroup(v1("memory", "cpu"), "/berth", LIMITS);
    await expect(limiting).rejects.toThrow("pids.max of /berth can't be 100: the node has no cgroup controller pids");
    expect(content("memory/berth/memory.limit_in_bytes")).toBe(String(128 * MI));
    expect(content("cpu/berth/cpu.shares")).toBe("1536");
  });

  it("passes the controllers on to it, on v2", async () => {
    await limitCgroup(v2(), "/a/berth", { memoryBytes: 64 * MI });
    expect(content("cgroup.subtree_control")).toBe("+memory");
    expect(content("a/cgroup.subtree_control")).toBe("+memory");
    expect(content("a/berth/memory.max")).toBe(String(64 * MI));
  });

  it("does not go below what is in use on v2, which would kill; what can be reclaimed is not in use", async () => {
    mkdirSync(join(dir, "berth"));
    writeFileSync(join(dir, "berth/memory.max"), "max\n");
    writeFileSync(join(dir, "berth/memory.current"), `${100 * MI}\n`);
    writeFileSync(join(dir, "berth/memory.stat"), `anon 1\ninactive_file ${10 * MI}\nactive_file 5\n`);
    const lowering = limitCgroup(v2(), "/berth", { memoryBytes: 64 * MI, pids: 7 });
    await expect(lowering).rejects.toThrow(`memory.max of /berth can't be ${64 * MI}: ${90 * MI} bytes are in use`);
    expect(content("berth/memory.max")).toBe("max\n");
    expect(content("berth/pids.max")).toBe("7");
    await limitCgroup(v2(), "/berth", { memoryBytes: 90 * MI });
    expect(content("berth/memory.max")).toBe(String(90 * MI));
  });
});
