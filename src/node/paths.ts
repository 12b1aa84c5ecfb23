// Paths inside a root filesystem that is not ours: a symlink in it must never lead out to the node.
import { lstat, mkdir, readlink } from "node:fs/promises";
import { dirname, join } from "node:path";
import { errorCode } from "./errno.ts";

// The kernel gives up after 40; container images are not worse.
const MAX_SYMLINKS = 40;

/**
 * Where `path` lies on the node when `root` is taken for `/`: symlinks are followed as a process inside the root would
 * follow them, and `..` stops at the root. Components that do not exist are taken as they stand, so the answer can be
 * created.
 *
 * The answer holds as long as nothing inside the root changes: use it only while no container runs on that root.
 *
 * @throws Error with the code ELOOP for too many symlinks; what lstat(2) and readlink(2) say otherwise
 */
export async function resolveBelow(root: string, path: string): Promise<string> {
  const pending = components(path);
  const resolved: string[] = [];
  let symlinks = 0;
  for (let name = pending.shift(); name !== undefined; name = pending.shift()) {
    if (name === "..") {
      resolved.pop();
      continue;
    }
    const target = await symlinkTarget(join(root, ...resolved, name));
    if (target === undefined) {
      resolved.push(name);
      continue;
    }
    symlinks += 1;
    if (symlinks > MAX_SYMLINKS) {
      throw Object.assign(new Error(`too many symbolic links in ${path}`), { code: "ELOOP" });
    }
    if (target.startsWith("/")) resolved.length = 0;
    pending.unshift(...components(target));
  }
  return join(root, ...resolved);
}

/**
 * Makes a directory with its parents, like mkdir -p. (Node's own recursive mkdir answers ENOENT on a read-only filesystem.)
 *
 * @returns whether it was made; false when it was there
 * @throws what mkdir(2) says: EROFS, ENOSPC, ENOTDIR …
 */
export async function makeDirectories(path: string): Promise<boolean> {
  try {
    return await makeDirectory(path);
  } catch (error) {
    if (errorCode(error) !== "ENOENT") throw error;
    await makeDirectories(dirname(path));
    return makeDirectory(path);
  }
}

/** Makes one directory; false when something of this name is there. */
export async function makeDirectory(path: string, mode = 0o755): Promise<boolean> {
  try {
    await mkdir(path, mode);
    return true;
  } catch (error) {
    if (errorCode(error) === "EEXIST") return false;
    throw error;
  }
}

/** The names in a path that mean something: without empty ones and `.`. */
export function components(path: string): string[] {
  return path.split("/").filter((name) => name !== "" && name !== ".");
}

async function symlinkTarget(path: string): Promise<string | undefined> {
  try {
    return (await lstat(path)).isSymbolicLink() ? await readlink(path) : undefined;
  } catch (error) {
    const code = errorCode(error);
    if (code === "ENOENT" || code === "ENOTDIR") return undefined;
    throw error;
  }
}
