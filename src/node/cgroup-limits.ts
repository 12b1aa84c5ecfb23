// Limits of a cgroup that others live below, written as the kubelet writes those of its own (`kubepods`).
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join, relative } from "node:path";
import type { Cgroups } from "./cgroups.ts";
import { orMissing } from "./errno.ts";
import { isSlice, setSliceProperty } from "./slices.ts";

/** What the members of a cgroup may have together. */
export interface CgroupLimits {
  /** Thousandths of a CPU: a weight against the cgroups beside it, no quota. What nobody else wants may be used. */
  readonly milliCPU?: number;
  /** Bytes that may be in use; swap is not limited. */
  readonly memoryBytes?: number;
  /** Processes and threads. */
  readonly pids?: number;
}

/** Limits to write: null is "no limit", and what is left out is left as it is. */
export type WrittenLimits = { readonly [K in keyof CgroupLimits]: CgroupLimits[K] | null };

/** The kernel's unit of a memory limit; it rounds down itself where pages are larger. */
const PAGE_BYTES = 4096;
/** core/v1's conversion of CPUs, and the kernel's bounds of cpu.shares. */
const SHARES_PER_CPU = 1024;
const MIN_SHARES = 2;
const MAX_SHARES = 262_144;
const DEFAULT_SHARES = SHARES_PER_CPU;
const DEFAULT_WEIGHT = 100;

interface Setting {
  readonly controller: string;
  readonly file: string;
  readonly value: string;
  /** The same for systemd. */
  readonly property: string;
}

/** The files that say so, on cgroup v1 or v2. */
export function settingsOf(version: 1 | 2, { milliCPU, memoryBytes, pids }: WrittenLimits): Setting[] {
  const settings: Setting[] = [];
  const add = (controller: string, [v1, v2]: [string, string], value: string, property: string): void => {
    const file = version === 1 ? v1 : v2;
    settings.push({ controller, file, value, property: `${property}=${isNone(value) ? "infinity" : value}` });
  };
  if (memoryBytes !== undefined) {
    const none = version === 1 ? "-1" : "max";
    const value = memoryBytes === null ? none : String(memoryBytes - (memoryBytes % PAGE_BYTES));
    add("memory", ["memory.limit_in_bytes", "memory.max"], value, "MemoryMax");
  }
  if (milliCPU !== undefined) {
    const [property, value] = version === 1 ? ["CPUShares", shares(milliCPU)] : ["CPUWeight", weight(milliCPU)];
    add("cpu", ["cpu.shares", "cpu.weight"], String(value), property);
  }
  if (pids !== undefined) add("pids", ["pids.max", "pids.max"], String(pids ?? "max"), "TasksMax");
  return settings;
}

const isNone = (value: string): boolean => value === "-1" || value === "max";

function shares(milliCPU: number | null): number {
  if (milliCPU === null) return DEFAULT_SHARES;
  return Math.min(Math.max(Math.floor((milliCPU * SHARES_PER_CPU) / 1000), MIN_SHARES), MAX_SHARES);
}

/** The kubelet's conversion, so that both weigh alike: 2 to 262144 shares are a weight of 1 to 10000. */
function weight(milliCPU: number | null): number {
  if (milliCPU === null) return DEFAULT_WEIGHT;
  return 1 + Math.floor(((shares(milliCPU) - MIN_SHARES) * 9999) / (MAX_SHARES - MIN_SHARES));
}

/**
 * Gives a cgroup its limits, and makes it and its parents where they are missing. One limit that can't be had does not keep
 * the others off: a memory limit below what is in use, for one, which would kill on cgroup v2. A slice is systemd's, and has
 * its limits by it: `setProperty` is for tests.
 * @throws Error naming each file and why it does not hold what it should
 */
export async function limitCgroup(
  cgroups: Cgroups,
  path: string,
  limits: WrittenLimits,
  setProperty = setSliceProperty,
): Promise<void> {
  const problems: string[] = [];
  for (const setting of settingsOf(cgroups.version, limits)) {
    try {
      if (isSlice(path)) await applyBySystemd(cgroups, path, setting, setProperty);
      else await apply(cgroups, path, setting);
    } catch (error) {
      problems.push(`${setting.file} of ${path} can't be ${setting.value}: ${(error as Error).message}`);
    }
  }
  if (problems.length > 0) throw new Error(problems.join("; "));
}

async function apply(cgroups: Cgroups, path: string, { controller, file, value }: Setting): Promise<void> {
  const mountPoint = mountPointOf(cgroups, controller);
  const directory = join(mountPoint, path);
  await mkdir(directory, { recursive: true });
  if (cgroups.version === 2) await enable(mountPoint, directory, controller);
  if (file === "memory.max") await checkUse(directory, value);
  // Before Linux 5.11, those below a cgroup count as its members only where this says so.
  const flat = file === "memory.limit_in_bytes" && (await read(directory, "memory.use_hierarchy")) === "0";
  if (flat) await writeFile(join(directory, "memory.use_hierarchy"), "1");
  await writeFile(join(directory, file), value);
}

async function applyBySystemd(
  cgroups: Cgroups,
  path: string,
  { controller, file, value, property }: Setting,
  setProperty: typeof setSliceProperty,
): Promise<void> {
  const directory = join(mountPointOf(cgroups, controller), path);
  if ((await read(directory, file)) === value) return;
  if (file === "memory.max") await checkUse(directory, value);
  await setProperty(path, property);
}

function mountPointOf({ version, hierarchies }: Cgroups, controller: string): string {
  const hierarchy = hierarchies.find(({ controllers }) => version === 2 || controllers.includes(controller));
  if (hierarchy === undefined) throw new Error(`the node has no cgroup controller ${controller}`);
  return hierarchy.mountPoint;
}

/** On v2 a cgroup has a controller where all above it pass it on; one that can't is told of by the file that is missing. */
async function enable(mountPoint: string, directory: string, controller: string): Promise<void> {
  const names = relative(mountPoint, directory).split("/");
  for (let depth = 0; depth < names.length; depth++) {
    const above = join(mountPoint, ...names.slice(0, depth), "cgroup.subtree_control");
    await writeFile(above, `+${controller}`).catch(() => undefined);
  }
}

/** v1 refuses a limit below what can't be reclaimed; v2 takes it, and kills. */
async function checkUse(directory: string, wanted: string): Promise<void> {
  if (wanted === "max" || (await read(directory, "memory.max")) === wanted) return;
  const [current, stat] = await Promise.all([read(directory, "memory.current"), read(directory, "memory.stat")]);
  const reclaimable = Number(/^inactive_file (\d+)$/m.exec(stat ?? "")?.[1] ?? 0);
  const used = Number(current ?? 0) - reclaimable;
  if (used > Number(wanted)) throw new Error(`${used} bytes are in use`);
}

async function read(directory: string, file: string): Promise<string | undefined> {
  return (await orMissing(readFile(join(directory, file), "utf8")))?.trim();
}
