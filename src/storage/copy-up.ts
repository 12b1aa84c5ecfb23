// Docker's copy-up: a new volume begins with what the image has at the mount point.
import { lstat } from "node:fs/promises";
import { orMissing, resolveBelow, run } from "../node/index.ts";
import { mountDirectory } from "./rootfs.ts";
import { withMounted } from "./snapshot-mounts.ts";
import type { VolumeContext } from "./volume.ts";

const COPY_TIMEOUT_MS = 10 * 60_000;

/**
 * Copies the image's directory at a path to `target`, which must not exist: owners, modes, times, links and extended
 * attributes, those of the directory itself included.
 *
 * @returns whether the image has a directory there; without one nothing is made
 * @throws CommandError in cp's or mount's words; a part of the copy may then be there
 */
export async function copyUp(
  context: Pick<VolumeContext, "stateDir" | "rootfs">,
  path: string,
  target: string,
): Promise<boolean> {
  return withMounted(mountDirectory(context.stateDir), context.rootfs, async (root) => {
    const source = await resolveBelow(root, path);
    if ((await orMissing(lstat(source)))?.isDirectory() !== true) return false;
    await run("cp", ["--archive", "--no-target-directory", "--", source, target], { timeoutMs: COPY_TIMEOUT_MS });
    return true;
  });
}
