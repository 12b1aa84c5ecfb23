// /etc/mtab, where programs that are older than /proc/mounts look for what is mounted (glibc's MOUNTED, the JDK).
import { chmod, chown, lstat, mkdir, symlink } from "node:fs/promises";
import { join } from "node:path";
import { orMissing } from "../node/index.ts";
import { layersOf } from "./snapshot-mounts.ts";
import type { SnapshotMount } from "./snapshot-mounts.ts";

/**
 * Makes `/etc/mtab` a link to /proc/mounts in a root filesystem that is not mounted yet, unless the image has one (Docker
 * does so). With a snapshotter whose layers can't be seen, there is none.
 */
export async function linkMtab(mounts: readonly SnapshotMount[]): Promise<void> {
  const [upper, ...lower] = layersOf(mounts) ?? [];
  if (upper === undefined) return;
  const found = await Promise.all(
    [upper, ...lower].map(async (layer) => ({
      etc: await orMissing(lstat(join(layer, "etc"))),
      mtab: await orMissing(lstat(join(layer, "etc/mtab"))),
    })),
  );
  const etc = found.find((layer) => layer.etc !== undefined)?.etc;
  if (found.some(({ mtab }) => mtab !== undefined) || etc?.isDirectory() === false) return;
  const directory = join(upper, "etc");
  // Over a directory of a layer below lies this one, with its own owner and mode.
  if (found[0]?.etc === undefined) {
    await mkdir(directory);
    await chown(directory, etc?.uid ?? 0, etc?.gid ?? 0);
    await chmod(directory, (etc?.mode ?? 0o755) & 0o7777);
  }
  await symlink("/proc/mounts", join(directory, "mtab"));
}
