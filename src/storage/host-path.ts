// hostPath: a path of the node, with core/v1's types.
import type { Stats } from "node:fs";
import { open, stat } from "node:fs/promises";
import type { Volume } from "../api/index.ts";
import { makeDirectories, orMissing } from "../node/index.ts";
import { VolumeError, forVolume } from "./errors.ts";

type PathType = { wanted: string; is: (stats: Stats) => boolean; create?: (path: string) => Promise<unknown> };

// Modes as the kubelet gives them. Parents of a missing directory are made too, of a missing file not.
const createFile = async (path: string) => (await open(path, "a", 0o644)).close();
const isDirectory = (stats: Stats) => stats.isDirectory();
const isFile = (stats: Stats) => stats.isFile();

const TYPES: Record<string, PathType> = {
  // Docker's -v: whatever is there is taken, what is missing becomes a directory.
  "": { wanted: "anything", is: () => true, create: makeDirectories },
  Directory: { wanted: "a directory", is: isDirectory },
  DirectoryOrCreate: { wanted: "a directory", is: isDirectory, create: makeDirectories },
  File: { wanted: "a file", is: isFile },
  FileOrCreate: { wanted: "a file", is: isFile, create: createFile },
  Socket: { wanted: "a socket", is: (stats) => stats.isSocket() },
  CharDevice: { wanted: "a character device", is: (stats) => stats.isCharacterDevice() },
  BlockDevice: { wanted: "a block device", is: (stats) => stats.isBlockDevice() },
};

/**
 * Checks the path against its type, creating what the type says, and answers it as the source of a bind mount.
 *
 * @throws VolumeError naming the path, what was wanted and what was found
 */
export function prepareHostPath(volume: string, source: NonNullable<Volume["hostPath"]>): Promise<string> {
  const { path, type = "" } = source;
  return forVolume(volume, path, async () => {
    const rule = TYPES[type];
    if (rule === undefined)
      throw new VolumeError(volume, `hostPath.type ${type} is none of ${Object.keys(TYPES).join(", ")}`);
    let stats = await orMissing(stat(path));
    if (stats === undefined && rule.create !== undefined) {
      await rule.create(path);
      stats = await stat(path);
    }
    if (stats === undefined || !rule.is(stats)) {
      throw new VolumeError(
        volume,
        `${path}: ${rule.wanted} is wanted (hostPath.type ${type}), found ${kindOf(stats)}`,
      );
    }
    return path;
  });
}

function kindOf(stats: Stats | undefined): string {
  if (stats === undefined) return "nothing";
  if (stats.isDirectory()) return "a directory";
  if (stats.isFile()) return "a file";
  if (stats.isSocket()) return "a socket";
  if (stats.isCharacterDevice()) return "a character device";
  if (stats.isBlockDevice()) return "a block device";
  return "a pipe";
}
