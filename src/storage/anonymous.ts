// Anonymous volumes: what an image declares as VOLUME and no volumeMount covers. They begin with the image's content at
// that path, as in Docker, and go with the container.
import { createHash } from "node:crypto";
import { lstat, mkdir, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { makeDirectories, orMissing, resolveBelow, run } from "../node/index.ts";
import { forVolume } from "./errors.ts";
import { mountDirectory } from "./rootfs.ts";
import { withMounted } from "./snapshot-mounts.ts";
import { dataDirectory } from "./volume.ts";
import type { VolumeContext } from "./volume.ts";

const COPY_TIMEOUT_MS = 10 * 60_000;

/**
 * Makes the directory for an image's VOLUME path with the image's content, or finds it again.
 *
 * @throws VolumeError
 */
export function prepareAnonymous(context: VolumeContext, destination: string): Promise<string> {
  const parent = join(dataDirectory(context), "anonymous");
  const path = join(parent, createHash("sha256").update(destination).digest("hex").slice(0, 16));
  return forVolume(destination, path, async () => {
    if ((await orMissing(lstat(path))) !== undefined) return path;
    const unfinished = `${path}.new`;
    await rm(unfinished, { recursive: true, force: true });
    await makeDirectories(parent);
    await withMounted(mountDirectory(context.stateDir), context.rootfs, (root) =>
      copyUp(root, destination, unfinished),
    );
    // Only now is it the volume: a crash while copying would otherwise leave half of it for good.
    await rename(unfinished, path);
    return path;
  });
}

async function copyUp(root: string, from: string, to: string): Promise<void> {
  const source = await resolveBelow(root, from);
  const stats = await orMissing(lstat(source));
  if (stats?.isDirectory() !== true) {
    await mkdir(to, { mode: 0o755 });
    return;
  }
  // cp(1) keeps owners, modes, times, links and extended attributes, the directory's own included.
  await run("cp", ["--archive", "--no-target-directory", "--", source, to], { timeoutMs: COPY_TIMEOUT_MS });
}
