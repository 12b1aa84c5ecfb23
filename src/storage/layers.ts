// Reading a file out of an overlay that is not mounted, as the overlay would show it (kernel documentation,
// filesystems/overlayfs). Node can't read the extended attributes that make a directory opaque or redirect it, so where
// one of them could change the answer, there is none.
import type { Stats } from "node:fs";
import { constants } from "node:fs";
import { lstat, open, readlink } from "node:fs/promises";
import { join } from "node:path";
import { components, deviceNumbers, errorCode } from "../node/index.ts";

// Files asked for are as passwd(5): a larger one is not read into memory on an image's word.
const MAX_FILE_BYTES = 4 * 1024 * 1024;
const MAX_SYMLINKS = 40;

/** The file's content; that it is not there; or that only the kernel can tell. */
export type LayerAnswer = { content: string } | "absent" | "unsure";

type Entry = { layer: number; path: string; stats: Stats };

/**
 * Looks a file up in layers' directories, uppermost first. Symlinks are resolved within them, never on the node.
 *
 * @throws Error when the file is larger than 4 MiB
 */
export async function readFromLayers(layers: readonly string[], path: string): Promise<LayerAnswer> {
  let pending = components(path);
  let symlinks = 0;
  // The directories that together are the current one, uppermost first, and the names that led there.
  let directories: readonly string[] = layers;
  let walked: string[] = [];
  for (let name = pending.shift(); name !== undefined; name = pending.shift()) {
    if (name === "..") {
      pending = [...walked.slice(0, -1), ...pending];
      [directories, walked] = [layers, []];
      continue;
    }
    const entries = await entriesNamed(directories, name);
    const [top] = entries;
    const merged = walked.length > 0 && directories.length > 1;
    // Something above may hide what is found below, and a directory that was moved keeps its files elsewhere.
    if (top === undefined) return merged ? "unsure" : "absent";
    if (merged && top.layer > 0) return "unsure";
    if (isWhiteout(top.stats)) return "absent";
    if (top.stats.isSymbolicLink()) {
      symlinks += 1;
      if (symlinks > MAX_SYMLINKS) return "absent";
      const target = await readlink(top.path);
      pending = [...(target.startsWith("/") ? [] : walked), ...components(target), ...pending];
      [directories, walked] = [layers, []];
    } else if (top.stats.isDirectory()) {
      directories = mergedDirectories(entries);
      walked = [...walked, name];
    } else {
      return pending.length > 0 ? "absent" : readRegular(top);
    }
  }
  return "absent";
}

async function entriesNamed(directories: readonly string[], name: string): Promise<Entry[]> {
  const found = await Promise.all(
    directories.map(async (directory, layer) => {
      const path = join(directory, name);
      try {
        return [{ layer, path, stats: await lstat(path) }];
      } catch (error) {
        const code = errorCode(error);
        if (code === "ENOENT" || code === "ENOTDIR") return [];
        throw error;
      }
    }),
  );
  return found.flat();
}

// A directory goes on in the layers below until something that is none is in the way.
function mergedDirectories(entries: readonly Entry[]): string[] {
  const end = entries.findIndex(({ stats }) => !stats.isDirectory());
  return (end < 0 ? entries : entries.slice(0, end)).map(({ path }) => path);
}

function isWhiteout(stats: Stats): boolean {
  if (!stats.isCharacterDevice()) return false;
  const { major, minor } = deviceNumbers(BigInt(stats.rdev));
  return major === 0 && minor === 0;
}

async function readRegular({ path, stats }: Entry): Promise<LayerAnswer> {
  if (!stats.isFile()) return "absent";
  // A copy-up of metadata alone leaves the content below (overlay's metacopy).
  if (stats.size > 0 && stats.blocks === 0) return "unsure";
  return { content: await readRegularFile(path) };
}

/**
 * Reads a file that may not be a symlink, a device or a pipe (those of an image could lead to the node or never end).
 *
 * @throws Error when it is larger than 4 MiB
 */
export async function readRegularFile(path: string): Promise<string> {
  const file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  try {
    const stats = await file.stat();
    if (!stats.isFile()) throw new Error(`${path} is not a regular file`);
    if (stats.size > MAX_FILE_BYTES) throw new Error(`${path} is larger than ${MAX_FILE_BYTES} bytes`);
    return await file.readFile("utf8");
  } finally {
    await file.close();
  }
}
