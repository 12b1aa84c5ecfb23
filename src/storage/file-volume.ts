// Volumes of files from the API server: a tmpfs each, so that a secret never touches the disk, in which the files are
// exchanged all at once, as the kubelet does it: they lie in a directory of their own, `..data` is a symlink to that, and
// each name a symlink through `..data`. One rename of `..data` shows a reader all new files, or all old ones.
import {
  chmod,
  lstat,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  readlink,
  rename,
  rm,
  symlink,
  writeFile,
} from "node:fs/promises";
import { dirname, join, sep } from "node:path";
import { isMounted, kernelAtLeast, makeDirectories, mount, orMissing } from "../node/index.ts";
import { forVolume } from "./errors.ts";
import type { FileSet } from "./file-set.ts";
import { stateDirectory } from "./volume.ts";
import type { VolumeContext } from "./volume.ts";

const DATA = "..data";
const NEXT_DATA = "..data_tmp";

type Place = Pick<VolumeContext, "stateDir" | "id">;

/** Where a volume's files are. */
export function filesDirectory(place: Place, volume: string): string {
  return join(stateDirectory(place), "volumes", volume);
}

/** Whether a volume has its files: not before they are written for the first time, nor after a reboot. */
export async function hasFiles(place: Place, volume: string): Promise<boolean> {
  const directory = filesDirectory(place, volume);
  return (await orMissing(lstat(join(directory, DATA)))) !== undefined && isMounted(directory);
}

/**
 * Makes the volume if it is not there, and its files what they should be; those that are so already are left alone.
 *
 * @returns whether anything was written
 * @throws VolumeError; the files are then what they were
 */
export async function writeFiles(place: Place, volume: string, files: FileSet): Promise<boolean> {
  const directory = filesDirectory(place, volume);
  return forVolume(volume, directory, async () => {
    await makeDirectories(directory);
    // A secret's file may be readable for all, but that means all in the container.
    await chmod(stateDirectory(place), 0o700);
    if (!(await isMounted(directory)))
      await mount({ type: "tmpfs", source: "tmpfs", target: directory, options: OPTIONS });
    return exchange(directory, files);
  });
}

// Without noswap (Linux 6.4), the kernel may write a tmpfs to a swap device.
const OPTIONS = ["mode=0755", ...(kernelAtLeast(6, 4) ? ["noswap"] : [])];

/** Makes the files of a directory those of the set, in one moment. */
export async function exchange(directory: string, files: FileSet): Promise<boolean> {
  const current = await orMissing(readlink(join(directory, DATA)));
  const isNew = current === undefined || !(await holds(join(directory, current), files));
  const data = isNew ? await replace(directory, files) : current;
  await tidy(directory, files, data);
  return isNew;
}

async function replace(directory: string, files: FileSet): Promise<string> {
  const fresh = await mkdtemp(join(directory, `..${new Date().toISOString().replace(/[-:T]/g, "_").slice(0, 19)}.`));
  try {
    await chmod(fresh, 0o755);
    for (const [path, { content, mode }] of files) {
      const file = join(fresh, path);
      await mkdir(dirname(file), { recursive: true, mode: 0o755 });
      await writeFile(file, content);
      await chmod(file, mode);
    }
    const data = fresh.slice(directory.length + 1);
    await rm(join(directory, NEXT_DATA), { force: true });
    await symlink(data, join(directory, NEXT_DATA));
    await rename(join(directory, NEXT_DATA), join(directory, DATA));
    return data;
  } catch (error) {
    await rm(fresh, { recursive: true, force: true });
    throw error;
  }
}

/** Whether a data directory has just these files, with this content and these modes. */
async function holds(data: string, files: FileSet): Promise<boolean> {
  const entries = (await orMissing(readdir(data, { recursive: true, withFileTypes: true }))) ?? [];
  const paths = entries.filter((entry) => !entry.isDirectory()).map((entry) => join(entry.parentPath, entry.name));
  if (paths.length !== files.size) return false;
  for (const path of paths) {
    const wanted = files.get(path.slice(data.length + 1).replaceAll(sep, "/"));
    if (wanted === undefined) return false;
    const { mode, size } = await lstat(path);
    if ((mode & 0o7777) !== wanted.mode || size !== wanted.content.length) return false;
    if (!(await readFile(path)).equals(wanted.content)) return false;
  }
  return true;
}

/** Gives each name its symlink, and takes away what is no longer, or not yet, part of the volume: also after a crash. */
async function tidy(directory: string, files: FileSet, data: string): Promise<void> {
  const names = new Set([...files.keys()].map((path) => path.split("/")[0] ?? path));
  const there = new Set(await readdir(directory));
  for (const name of names) if (!there.has(name)) await symlink(`${DATA}/${name}`, join(directory, name));
  for (const name of there) {
    if (names.has(name) || name === DATA || name === data) continue;
    await rm(join(directory, name), { recursive: true, force: true });
  }
}
