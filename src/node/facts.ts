// What a runtime spec has to know of the node. Read once when the agent starts: none of it changes while a kernel runs,
// except the devices.
import { readFile, readdir, stat } from "node:fs/promises";
import { arch, release } from "node:os";
import { join } from "node:path";
import { detectCgroups, swapIsLimited } from "./cgroups.ts";
import { orMissing } from "./errno.ts";

export type NodeFacts = {
  cgroupVersion: 1 | 2;
  /** The kernel filters system calls. */
  seccomp: boolean;
  apparmor: boolean;
  /** As in OCI image configs: `amd64`, `arm64` … */
  architecture: string;
  kernel: { release: string; major: number; minor: number };
  /** Number of the last capability the kernel knows. */
  capLastCap: number;
  /** The capabilities that can be given away here (the agent's bounding set), a hexadecimal mask as in /proc. */
  capabilities: string;
  /** Memory and swap together can be limited. */
  swapLimit: boolean;
  /** The kernel has IPv6. */
  ipv6: boolean;
  /** CPUs that the machine can have, hot-plugged ones included. */
  possibleCPUs: number;
};

export type HostDevice = {
  path: string;
  type: "b" | "c";
  major: number;
  minor: number;
  /** Permission bits. */
  fileMode: number;
  uid: number;
  gid: number;
};

// Node's names on the left, Go's (and with them OCI's) on the right, where they differ.
const ARCHITECTURES: Record<string, string> = { x64: "amd64", ia32: "386" };

// The container has its own of these (Docker and runc skip the same).
const NOT_FROM_HOST = new Set(["pts", "shm", "fd", "mqueue", "console", ".lxc", ".lxd-mounts", ".udev"]);

/** Reads the facts of this node. */
export async function nodeFacts(): Promise<NodeFacts> {
  const cgroups = await detectCgroups();
  const [swapLimit, lastCap, status, possible, seccompActions, apparmor, ipv6] = await Promise.all([
    swapIsLimited(cgroups),
    readFile("/proc/sys/kernel/cap_last_cap", "utf8"),
    readFile("/proc/self/status", "utf8"),
    orMissing(readFile("/sys/devices/system/cpu/possible", "utf8")),
    orMissing(readFile("/proc/sys/kernel/seccomp/actions_avail", "utf8")),
    orMissing(readFile("/sys/module/apparmor/parameters/enabled", "utf8")),
    orMissing(stat("/proc/sys/net/ipv6")),
  ]);
  return {
    cgroupVersion: cgroups.version,
    seccomp: seccompActions?.includes("errno") ?? false,
    apparmor: apparmor?.startsWith("Y") ?? false,
    architecture: ARCHITECTURES[arch()] ?? arch(),
    kernel: parseKernelRelease(release()),
    capLastCap: Number(lastCap),
    capabilities: /^CapBnd:\s*([0-9a-f]+)$/m.exec(status)?.[1] ?? "",
    swapLimit,
    ipv6: ipv6 !== undefined,
    possibleCPUs: countCPUs(possible ?? "0"),
  };
}

/** The number of CPUs in a list as the kernel writes it: `0-3,8` are five. */
export function countCPUs(list: string): number {
  return list
    .trim()
    .split(",")
    .map((range) => range.split("-").map(Number))
    .reduce((sum, [first = 0, last = first]) => sum + last - first + 1, 0);
}

/** `6.1.0-18-amd64` → 6 and 1; what is no number counts as 0. */
export function parseKernelRelease(text: string): NodeFacts["kernel"] {
  const [major, minor] = text.split(".").map((part) => parseInt(part, 10) || 0);
  return { release: text, major: major ?? 0, minor: minor ?? 0 };
}

/** Whether the kernel that runs is of this version or a later one. */
export function kernelAtLeast(major: number, minor: number): boolean {
  const kernel = parseKernelRelease(release());
  return kernel.major > major || (kernel.major === major && kernel.minor >= minor);
}

/** The node's device files, which a privileged container gets; asked anew each time, since devices come and go. */
export async function hostDevices(): Promise<HostDevice[]> {
  return devicesBelow("/dev", NOT_FROM_HOST);
}

/**
 * The device at a path (symlinks followed) or, when it is a directory, the devices at any depth below it: none when
 * nothing at the path is one.
 *
 * @throws what stat(2) says
 */
export async function devicesAt(path: string): Promise<HostDevice[]> {
  const device = await deviceAt(path);
  if (device !== undefined) return [device];
  return (await stat(path)).isDirectory() ? devicesBelow(path) : [];
}

async function devicesBelow(directory: string, except: ReadonlySet<string> = new Set()): Promise<HostDevice[]> {
  const found: HostDevice[] = [];
  for (const entry of (await orMissing(readdir(directory, { withFileTypes: true }))) ?? []) {
    if (except.has(entry.name)) continue;
    const path = join(directory, entry.name);
    if (entry.isDirectory()) found.push(...(await devicesBelow(path, except)));
    else if (entry.isBlockDevice() || entry.isCharacterDevice()) {
      const device = await orMissing(deviceAt(path));
      if (device !== undefined) found.push(device);
    }
  }
  return found;
}

/**
 * The device file at a path (symlinks followed).
 *
 * @throws what stat(2) says; undefined for a file that is no device
 */
export async function deviceAt(path: string): Promise<HostDevice | undefined> {
  const stats = await stat(path, { bigint: true });
  if (!stats.isBlockDevice() && !stats.isCharacterDevice()) return undefined;
  return {
    path,
    type: stats.isBlockDevice() ? "b" : "c",
    ...deviceNumbers(stats.rdev),
    fileMode: Number(stats.mode & 0o777n),
    uid: Number(stats.uid),
    gid: Number(stats.gid),
  };
}

/** Splits Linux' 64-bit dev_t as gnu_dev_major(3) and gnu_dev_minor(3) do. */
export function deviceNumbers(rdev: bigint): { major: number; minor: number } {
  return {
    major: Number(((rdev >> 8n) & 0xfffn) | ((rdev >> 32n) & 0xfffff000n)),
    minor: Number((rdev & 0xffn) | ((rdev >> 12n) & 0xffffff00n)),
  };
}
