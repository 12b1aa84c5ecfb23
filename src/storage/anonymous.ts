// Anonymous volumes: what an image declares as VOLUME and no volumeMount covers. They begin with the image's content at
// that path, as in Docker, and go with the container.
import { createHash } from "node:crypto";
import { lstat, mkdir, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { makeDirectories, orMissing } from "../node/index.ts";
import { copyUp } from "./copy-up.ts";
import { forVolume } from "./errors.ts";
import { dataDirectory } from "./volume.ts";
import type { VolumeContext } from "./volume.ts";

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
    if (!(await copyUp(context, destination, unfinished))) await mkdir(unfinished, { mode: 0o755 });
    // Only now is it the volume: a crash while copying would otherwise leave half of it for good.
    await rename(unfinished, path);
    return path;
  });
}
