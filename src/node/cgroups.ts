// Control groups of a container, by the path in its OCI spec (`linux.cgroupsPath`), on hosts with v1, hybrid and v2.
import { readFile, readdir, rmdir, stat, statfs } from "node:fs/promises";
import { dirname, join } from "node:path";
import { errorCode, orMissing } from "./errno.ts";
import { listMounts } from "./mounts.ts";
import type { Mount } from "./mounts.ts";

const CGROUP_ROOT = "/sys/fs/cgroup";
const CGROUP2_SUPER_MAGIC = 0x63677270;

export type Cgroups = {
  /** 2 only where v2 alone is mounted; a hybrid host has its controllers on v1, so it counts as 1 (as in runc). */
  version: 1 | 2;
  /** Where each hierarchy is mounted. */
  hierarchies: { mountPoint: string; controllers: string[] }[];
};

/** Which cgroups this node has. `root` is for tests. */
export async function detectCgroups(root = CGROUP_ROOT): Promise<Cgroups> {
  if ((await statfs(root)).type === CGROUP2_SUPER_MAGIC) {
    return { version: 2, hierarchies: [{ mountPoint: root, controllers: [] }] };
  }
  return { version: 1, hierarchies: v1Hierarchies(await listMounts(), root) };
}

/**
 * The cgroup hierarchies among the mounts of a v1 or hybrid host. Those that lie elsewhere are somebody's own view of them, for
 * as long as that one is there (CRIU's while it works).
 */
export function v1Hierarchies(mounts: readonly Mount[], root = CGROUP_ROOT): Cgroups["hierarchies"] {
  return mounts
    .filter((mount) => mount.fsType === "cgroup" || mount.fsType === "cgroup2")
    .filter((mount) => mount.mountPoint.startsWith(`${root}/`))
    .map((mount) => ({
      mountPoint: mount.mountPoint,
      controllers: mount.fsType === "cgroup" ? mount.superOptions.filter((option) => option !== "rw") : [],
    }));
}

/** The directories that a cgroupsPath stands for: one a hierarchy. They need not exist. */
export function cgroupDirectories(cgroups: Cgroups, cgroupsPath: string): string[] {
  return cgroups.hierarchies.map((hierarchy) => join(hierarchy.mountPoint, join("/", cgroupsPath)));
}

/**
 * How many processes of the cgroup the kernel has killed for want of memory, children's included; undefined when the
 * cgroup is gone or the host does not count.
 */
export async function oomKillCount(cgroups: Cgroups, cgroupsPath: string): Promise<number | undefined> {
  const hierarchy =
    cgroups.version === 2
      ? cgroups.hierarchies[0]
      : cgroups.hierarchies.find(({ controllers }) => controllers.includes("memory"));
  if (hierarchy === undefined) return undefined;
  const file = cgroups.version === 2 ? "memory.events" : "memory.oom_control";
  const text = await orMissing(readFile(join(hierarchy.mountPoint, join("/", cgroupsPath), file), "utf8"));
  const count = text === undefined ? null : /^oom_kill (\d+)$/m.exec(text);
  return count === null ? undefined : Number(count[1]);
}

/** Whether the kernel accounts for swap, so that it can be limited. */
export async function swapIsLimited(cgroups: Cgroups): Promise<boolean> {
  const [first] = cgroups.hierarchies;
  if (cgroups.version === 1) {
    const memory = cgroups.hierarchies.find(({ controllers }) => controllers.includes("memory"));
    return memory !== undefined && (await isThere(join(memory.mountPoint, "memory.memsw.limit_in_bytes")));
  }
  if (first === undefined) return false;
  // The root cgroup has no limits; any child of it shows whether there are such.
  const children = await readdir(first.mountPoint, { withFileTypes: true });
  const child = children.find((entry) => entry.isDirectory());
  return child !== undefined && (await isThere(join(first.mountPoint, child.name, "memory.swap.max")));
}

async function isThere(path: string): Promise<boolean> {
  return (await orMissing(stat(path))) !== undefined;
}

/**
 * Removes a cgroup and those below it from every hierarchy. Missing ones are fine.
 *
 * @throws Error with the code EBUSY while a process lives in one of them
 */
export async function removeCgroup(cgroups: Cgroups, cgroupsPath: string): Promise<void> {
  for (const directory of cgroupDirectories(cgroups, cgroupsPath)) await removeTree(directory);
}

/** The processes in a cgroup and in those below it, as this process's own pid namespace numbers them. */
export async function processesIn(cgroups: Cgroups, cgroupsPath: string): Promise<number[]> {
  const found = await Promise.all(cgroupDirectories(cgroups, cgroupsPath).map(processesBelow));
  return [...new Set(found.flat())];
}

async function processesBelow(directory: string): Promise<number[]> {
  const entries = (await orMissing(readdir(directory, { withFileTypes: true }))) ?? [];
  const below = entries.filter((entry) => entry.isDirectory()).map(({ name }) => processesBelow(join(directory, name)));
  const own = ((await orMissing(readFile(join(directory, "cgroup.procs"), "utf8"))) ?? "").split("\n");
  // 0 is one of another pid namespace.
  return [...own.map(Number).filter((pid) => pid > 0), ...(await Promise.all(below)).flat()];
}

/** Removes the cgroups above a path, the nearest first, as long as they are empty, but not `root` nor what is above it. */
export async function removeEmptyCgroups(cgroups: Cgroups, cgroupsPath: string, root: string): Promise<void> {
  for (const { mountPoint } of cgroups.hierarchies) {
    const top = join(mountPoint, join("/", root), "/");
    let directory = dirname(join(mountPoint, join("/", cgroupsPath)));
    while (directory.startsWith(top) && (await removeEmpty(directory))) directory = dirname(directory);
  }
}

async function removeEmpty(directory: string): Promise<boolean> {
  try {
    await rmdir(directory);
  } catch (error) {
    const code = errorCode(error) ?? "";
    if (["EBUSY", "ENOTEMPTY"].includes(code)) return false;
    if (code !== "ENOENT") throw error;
  }
  return true;
}

/** The paths below `root` at which a cgroup of this name is. `isLeaf` says, by its name, below which nothing is to be found. */
export async function findCgroups(
  cgroups: Cgroups,
  root: string,
  name: string,
  isLeaf: (name: string) => boolean,
): Promise<string[]> {
  const found = new Set<string>();
  const look = async (mountPoint: string, path: string): Promise<void> => {
    const entries = (await orMissing(readdir(join(mountPoint, path), { withFileTypes: true }))) ?? [];
    for (const entry of entries) {
      if (entry.name === name) found.add(join(path, name));
      else if (entry.isDirectory() && !isLeaf(entry.name)) await look(mountPoint, join(path, entry.name));
    }
  };
  for (const { mountPoint } of cgroups.hierarchies) await look(mountPoint, join("/", root));
  return [...found];
}

// The files of a cgroup go with its directory; they can't be removed, so a recursive rm would fail.
async function removeTree(directory: string): Promise<void> {
  const entries = await orMissing(readdir(directory, { withFileTypes: true }));
  if (entries === undefined) return;
  for (const entry of entries) if (entry.isDirectory()) await removeTree(join(directory, entry.name));
  try {
    await rmdir(directory);
  } catch (error) {
    if (errorCode(error) !== "ENOENT") throw error;
  }
}
