/** The mounts of a container: Docker's default ones, and over them what storage and network have prepared. */
import type { OciMount } from "./types.ts";

/** Docker's size of /dev/shm, in bytes. */
export const DEFAULT_SHM_BYTES = 64 * 1024 * 1024;

export interface MountWish {
  /** Bytes. */
  readonly shmSize: number;
  readonly hostIPC: boolean;
  readonly privileged: boolean;
}

/**
 * Docker's default mounts without those that `mounts` replaces, then `mounts`, the less deep destinations first. A mount
 * on /dev takes the place of everything Docker mounts below it.
 */
export function mountList(wish: MountWish, mounts: readonly OciMount[]): OciMount[] {
  const taken = new Set(mounts.map(({ destination }) => destination));
  const defaults = defaultMounts(wish).filter(
    ({ destination }) => !taken.has(destination) && !(taken.has("/dev") && destination.startsWith("/dev/")),
  );
  const wished = [...mounts].sort((a, b) => depth(a.destination) - depth(b.destination));
  return [...defaults, ...wished];
}

/**
 * How the root filesystem has to be propagated for its mounts to be: `shared` when one of them is, else `rslave` when one
 * is a slave (Docker's rule); undefined when all are private.
 */
export function rootfsPropagation(mounts: readonly OciMount[]): "shared" | "rslave" | undefined {
  const options = new Set(mounts.flatMap((mount) => mount.options ?? []));
  if (options.has("shared") || options.has("rshared")) return "shared";
  return options.has("slave") || options.has("rslave") ? "rslave" : undefined;
}

function defaultMounts({ shmSize, hostIPC, privileged }: MountWish): OciMount[] {
  const isolated = ["nosuid", "noexec", "nodev"];
  const access = privileged ? [] : ["ro"];
  return [
    { destination: "/proc", type: "proc", source: "proc", options: isolated },
    {
      destination: "/dev",
      type: "tmpfs",
      source: "tmpfs",
      options: ["nosuid", "strictatime", "mode=755", "size=65536k"],
    },
    {
      destination: "/dev/pts",
      type: "devpts",
      source: "devpts",
      options: ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"],
    },
    { destination: "/sys", type: "sysfs", source: "sysfs", options: [...isolated, ...access] },
    { destination: "/sys/fs/cgroup", type: "cgroup", source: "cgroup", options: [...access, ...isolated] },
    { destination: "/dev/mqueue", type: "mqueue", source: "mqueue", options: isolated },
    hostIPC
      ? { destination: "/dev/shm", type: "bind", source: "/dev/shm", options: ["rbind", "rprivate"] }
      : {
          destination: "/dev/shm",
          type: "tmpfs",
          source: "shm",
          options: [...isolated, "mode=1777", `size=${shmSize}`],
        },
  ];
}

function depth(path: string): number {
  return path.split("/").filter((part) => part !== "").length;
}
