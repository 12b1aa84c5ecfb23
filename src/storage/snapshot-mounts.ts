// The mounts containerd answers for a snapshot, and how Berth looks into them for a moment.
import { mkdir, mkdtemp, rmdir } from "node:fs/promises";
import { join } from "node:path";
import { listMounts, mount, unmount, unmountBelow } from "../node/index.ts";

/** As in containerd.types.Mount: a bind mount for a single layer, an overlay for more. */
export type SnapshotMount = { type: string; source: string; options: readonly string[] };

/**
 * The layers' directories, uppermost first; undefined for mounts that are neither an overlay nor a plain bind (another
 * snapshotter's).
 */
export function layersOf(mounts: readonly SnapshotMount[]): string[] | undefined {
  const [only] = mounts;
  if (only === undefined || mounts.length !== 1) return undefined;
  if (only.type === "bind") return [only.source];
  if (only.type !== "overlay") return undefined;
  const upper = option(only, "upperdir");
  const lower = option(only, "lowerdir")?.split(":") ?? [];
  return upper === undefined ? lower : [upper, ...lower];
}

/**
 * Mounts a snapshot read-only on a directory of its own below `parent`, for as long as `action` runs. A container may
 * be running on the snapshot: its upper directory is mounted as one more lower one, which takes no lock on it.
 *
 * @throws what `action` throws; CommandError when mounting fails
 */
export async function withMounted<T>(
  parent: string,
  mounts: readonly SnapshotMount[],
  action: (root: string) => Promise<T>,
): Promise<T> {
  await mkdir(parent, { recursive: true, mode: 0o700 });
  const root = await mkdtemp(join(parent, "root-"));
  try {
    for (const each of mounts) await mountReadOnly(each, root);
    return await action(root);
  } finally {
    await unmountBelow(root);
    await rmdir(root);
  }
}

/** Removes what a crash inside {@link withMounted} left below `parent`. */
export async function clearMounted(parent: string): Promise<void> {
  const left = (await listMounts()).filter(({ mountPoint }) => mountPoint.startsWith(`${parent}/`)).reverse();
  for (const { mountPoint } of left) await unmount(mountPoint);
}

async function mountReadOnly(snapshot: SnapshotMount, target: string): Promise<void> {
  const layers = layersOf([snapshot]);
  const [first] = layers ?? [];
  if (layers === undefined || first === undefined) {
    await mount({ type: snapshot.type, source: snapshot.source, target, options: [...snapshot.options, "ro"] });
  } else if (layers.length === 1) {
    await mount({ type: "none", source: first, target, options: ["bind", "ro"] });
  } else {
    const { directory, names } = relativeTo(layers);
    const kept = snapshot.options.filter((each) => !/^(lowerdir|upperdir|workdir|rw$|index=|volatile)/.test(each));
    await mount({
      type: "overlay",
      source: "overlay",
      target,
      options: [...kept, "ro", `lowerdir=${names.join(":")}`],
      cwd: directory,
    });
  }
}

// mount(2) takes one page of options, which many layers with long paths would fill: so they are named from the
// directory they have in common.
function relativeTo(paths: readonly string[]): { directory: string; names: string[] } {
  const [first = ""] = paths;
  let directory = first.slice(0, first.lastIndexOf("/"));
  while (!paths.every((path) => path.startsWith(`${directory}/`))) {
    directory = directory.slice(0, directory.lastIndexOf("/"));
  }
  return { directory: directory || "/", names: paths.map((path) => path.slice(directory.length + 1)) };
}

/** The value of a mount option `name=value`. */
export function option(snapshot: SnapshotMount, name: string): string | undefined {
  return snapshot.options.find((each) => each.startsWith(`${name}=`))?.slice(name.length + 1);
}
