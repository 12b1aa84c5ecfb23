// What a container has written: copied out of its snapshot, and into another one that has the same parent.
import { mkdir, mkdtemp, readdir, rm, rmdir } from "node:fs/promises";
import { join } from "node:path";
import { mount, run, unmountBelow } from "../node/index.ts";
import { option } from "./snapshot-mounts.ts";
import type { SnapshotMount } from "./snapshot-mounts.ts";

const COPY_TIMEOUT_MS = 10 * 60_000;

/**
 * Copies a snapshot's writable layer to a directory that does not exist. Of an overlay that is the upper directory, with
 * the marks by which the kernel knows what was deleted or replaced; of anything else the whole filesystem.
 *
 * @param mountDir where a snapshot that is no directory of the node is mounted meanwhile
 * @throws CommandError, also for an extended attribute that can't be kept
 */
export async function saveLayer(mountDir: string, mounts: readonly SnapshotMount[], to: string): Promise<void> {
  const upper = upperOf(mounts);
  if (upper !== undefined) await copy(upper, to);
  else await withWhole(mountDir, mounts, (root) => copy(root, to));
}

/**
 * Makes a snapshot's writable layer one that was saved. The snapshot must be of the same snapshotter and parent, and in
 * use by nobody.
 *
 * @throws CommandError
 */
export async function restoreLayer(mountDir: string, from: string, mounts: readonly SnapshotMount[]): Promise<void> {
  const upper = upperOf(mounts);
  const replace = async (root: string) => {
    for (const name of await readdir(root)) await rm(join(root, name), { recursive: true, force: true });
    await copy(from, root);
  };
  if (upper !== undefined) await replace(upper);
  else await withWhole(mountDir, mounts, replace);
}

/** The directory that takes an overlay's changes (the kernel's, or one in user space with the same options). */
function upperOf(mounts: readonly SnapshotMount[]): string | undefined {
  const [only] = mounts;
  return only === undefined || mounts.length > 1 ? undefined : option(only, "upperdir");
}

// cp(1) keeps owners, modes, times, links, devices and extended attributes, the directory's own included; named once
// more, attributes that can't be kept are an error.
async function copy(from: string, to: string): Promise<void> {
  const keep = ["--archive", "--preserve=xattr", "--one-file-system", "--no-target-directory"];
  await run("cp", [...keep, "--", from, to], { timeoutMs: COPY_TIMEOUT_MS });
}

// As the runtime mounts it: a block device that is mounted writable already can't be mounted read-only.
async function withWhole(
  mountDir: string,
  mounts: readonly SnapshotMount[],
  action: (root: string) => Promise<void>,
): Promise<void> {
  const [only] = mounts;
  if (only?.type === "bind" && mounts.length === 1) {
    await action(only.source);
    return;
  }
  await mkdir(mountDir, { recursive: true, mode: 0o700 });
  const target = await mkdtemp(join(mountDir, "layer-"));
  try {
    for (const { type, source, options } of mounts) await mount({ type, source, target, options });
    await action(target);
  } finally {
    await unmountBelow(target);
    await rmdir(target);
  }
}
