// Mounts of the node, made and removed with mount(8) and umount(8), read from /proc/self/mountinfo (proc(5)).
import { readFile } from "node:fs/promises";
import { CommandError, run } from "./run.ts";

export type Mount = {
  mountPoint: string;
  /** The path within the filesystem that is mounted here; `/` unless it is a bind mount. */
  root: string;
  /** `major:minor` of the filesystem. */
  device: string;
  fsType: string;
  source: string;
  /** Whether mounts made below it later are seen elsewhere (`shared`), or those made elsewhere are seen here (`slave`), or both. */
  propagation: ("shared" | "slave")[];
  /** Options of this mount, then those of its filesystem. */
  options: string[];
  superOptions: string[];
};

export type MountRequest = {
  type: string;
  source: string;
  target: string;
  options?: readonly string[];
  /** Directory that relative paths inside the options (overlay's `lowerdir`) start from. */
  cwd?: string;
};

/** Parses the text of a mountinfo file; lines that are none are skipped. In the order in which they were mounted. */
export function parseMountinfo(text: string): Mount[] {
  return text.split("\n").flatMap((line) => {
    const [before, after] = line.split(" - ", 2);
    const [, , device, root, mountPoint, options, ...tags] = before?.split(" ") ?? [];
    const [fsType, source, superOptions] = after?.split(" ") ?? [];
    if (device === undefined || root === undefined || mountPoint === undefined || fsType === undefined) return [];
    return {
      mountPoint: unescapeOctal(mountPoint),
      root: unescapeOctal(root),
      device,
      fsType,
      source: unescapeOctal(source ?? ""),
      propagation: [
        ...(tags.some((tag) => tag.startsWith("shared:")) ? (["shared"] as const) : []),
        ...(tags.some((tag) => tag.startsWith("master:")) ? (["slave"] as const) : []),
      ],
      options: options?.split(",") ?? [],
      superOptions: superOptions?.split(",") ?? [],
    };
  });
}

/** All mounts the agent sees. */
export async function listMounts(): Promise<Mount[]> {
  return parseMountinfo(await readFile("/proc/self/mountinfo", "utf8"));
}

/** Whether something is mounted at exactly this path (absolute, without symlinks). */
export async function isMounted(path: string): Promise<boolean> {
  return (await listMounts()).some((mount) => mount.mountPoint === path);
}

/** The mount that a path (absolute, without symlinks) lies on. */
export async function mountOf(path: string): Promise<Mount | undefined> {
  const over = (await listMounts()).filter(
    ({ mountPoint }) => path === mountPoint || path.startsWith(mountPoint === "/" ? "/" : `${mountPoint}/`),
  );
  // Of two on one path the later one is seen.
  return over.reduce<Mount | undefined>(
    (best, each) => (best === undefined || each.mountPoint.length >= best.mountPoint.length ? each : best),
    undefined,
  );
}

/** The mounts at and below a directory, last mounted first: the order in which they can be removed. */
export async function mountsBelow(directory: string): Promise<Mount[]> {
  const below = directory === "/" ? "/" : `${directory}/`;
  const mounts = await listMounts();
  return mounts.filter((mount) => mount.mountPoint === directory || mount.mountPoint.startsWith(below)).reverse();
}

/**
 * Mounts a filesystem. The target must exist; neither path is resolved before the kernel does.
 *
 * @throws CommandError
 */
export async function mount(request: MountRequest): Promise<void> {
  const options = request.options ?? [];
  const args = ["-t", request.type, ...(options.length > 0 ? ["-o", options.join(",")] : [])];
  await run(
    "mount",
    ["--no-canonicalize", ...args, "--", request.source, request.target],
    request.cwd === undefined ? {} : { cwd: request.cwd },
  );
}

/**
 * Removes the mount at a path. Nothing mounted there is fine. One that is busy is detached: it is gone from the path
 * at once, and from the kernel when its last user is.
 *
 * @throws CommandError
 */
export async function unmount(path: string): Promise<void> {
  try {
    await run("umount", ["--no-canonicalize", "--", path]);
  } catch (error) {
    if (!(error instanceof CommandError)) throw error;
    if (!(await isMounted(path))) return;
    await run("umount", ["--no-canonicalize", "--lazy", "--", path]);
  }
}

/**
 * Removes every mount at and below a directory, and nothing anywhere else: a shared one is made private first, or what is
 * unmounted below it would be unmounted below its peers, too.
 *
 * @throws CommandError
 */
export async function unmountBelow(directory: string): Promise<void> {
  const mounts = await mountsBelow(directory);
  for (const { mountPoint, propagation } of mounts) {
    if (propagation.length > 0) await run("mount", ["--no-canonicalize", "--make-private", "--", mountPoint]);
  }
  for (const { mountPoint } of mounts) await unmount(mountPoint);
}

// The kernel writes space, tab, newline and backslash as three octal digits.
function unescapeOctal(field: string): string {
  if (!field.includes("\\")) return field;
  const bytes = Buffer.from(field, "utf8").toString("latin1");
  const plain = bytes.replace(/\\([0-7]{3})/g, (_, digits: string) => String.fromCharCode(parseInt(digits, 8)));
  return Buffer.from(plain, "latin1").toString("utf8");
}
