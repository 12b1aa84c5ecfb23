// Opening a path below a directory in which someone else may change anything at any time. Node has no openat2(2), so the
// walk goes from open directory to open directory, each name opened below the last one without following a symlink: what
// is swapped meanwhile changes where the walk comes to, but never leads it out.
import { constants } from "node:fs";
import { chmod, type FileHandle, open, readlink } from "node:fs/promises";
import { errorCode } from "./errno.ts";
import { components, makeDirectory } from "./paths.ts";

// open(2): a handle of the place alone, be it a file, a device or a symlink; nothing is read, and nothing is set off.
const O_PATH = 0o10000000;
const { O_DIRECTORY, O_NOFOLLOW } = constants;

// The kernel's own number.
const MAX_SYMLINKS = 40;

/** Why a path below a directory can't be opened, for a person: the part at fault and what is wrong with it. */
export class BeneathError extends Error {
  override readonly name = "BeneathError";
}

/** A path as the kernel takes it for the open file itself, whatever its name leads to by now; good as long as it is open. */
export function pathOf(handle: FileHandle): string {
  return `/proc/${process.pid}/fd/${handle.fd}`;
}

/**
 * Opens what is at `path` below `root`, as a handle of the place. Symlinks are followed as long as they stay below; what
 * is missing becomes a directory of the root's mode. The caller closes the handle.
 *
 * @throws BeneathError for a symlink that leads out, a file on the way, too many symlinks; what the system says otherwise
 */
export async function openBeneath(root: string, path: string): Promise<FileHandle> {
  const walk = new Walk(await open(root, O_PATH | O_DIRECTORY));
  try {
    const pending = components(path);
    let symlinks = 0;
    for (let name = pending.shift(); name !== undefined; name = pending.shift()) {
      if (name === "..") {
        await walk.up();
        continue;
      }
      const target = await walk.down(name);
      if (target === undefined) continue;
      symlinks += 1;
      if (symlinks > MAX_SYMLINKS) throw new BeneathError(`"${walk.path}": too many symbolic links`);
      if (target.startsWith("/")) throw leadsOut(walk.pathTo(name));
      pending.unshift(...components(target));
    }
    return walk.take();
  } finally {
    await walk.close();
  }
}

function leadsOut(path: string): BeneathError {
  return new BeneathError(`"${path}" is a symbolic link that leads out of the volume`);
}

/** Where a walk is: the open places that led there, each below the one before. */
class Walk {
  readonly #places: { name: string; handle: FileHandle }[];

  constructor(root: FileHandle) {
    this.#places = [{ name: "", handle: root }];
  }

  get path(): string {
    return this.#places
      .slice(1)
      .map(({ name }) => name)
      .join("/");
  }

  pathTo(name: string): string {
    return this.path === "" ? name : `${this.path}/${name}`;
  }

  /** One step down, unless the name is a symlink's: then its target is answered. */
  async down(name: string): Promise<string | undefined> {
    const here = this.#last;
    if (!(await here.stat()).isDirectory()) throw new BeneathError(`"${this.path}" is no directory`);
    const handle = await this.#openOrMake(here, name);
    const stats = await handle.stat();
    if (!stats.isSymbolicLink()) {
      this.#places.push({ name, handle });
      return undefined;
    }
    try {
      return await readlink(`${pathOf(here)}/${name}`);
    } catch (error) {
      // It was swapped for something else in this moment.
      if (errorCode(error) === "EINVAL") return name;
      throw error;
    } finally {
      await handle.close();
    }
  }

  /** One step up, to the place that the walk came from. Only a symlink's target has such steps. */
  async up(): Promise<void> {
    if (this.#places.length === 1) throw new BeneathError("a symbolic link on the way leads out of the volume");
    await this.#places.pop()?.handle.close();
  }

  /** The place it has come to, which is the caller's from then on. */
  take(): FileHandle {
    const place = this.#places.pop();
    if (place === undefined) throw new Error("the walk is over");
    return place.handle;
  }

  async close(): Promise<void> {
    for (const { handle } of this.#places) await handle.close();
  }

  get #last(): FileHandle {
    const place = this.#places.at(-1);
    if (place === undefined) throw new Error("the walk is over");
    return place.handle;
  }

  async #openOrMake(directory: FileHandle, name: string): Promise<FileHandle> {
    const path = `${pathOf(directory)}/${name}`;
    try {
      return await open(path, O_PATH | O_NOFOLLOW);
    } catch (error) {
      if (errorCode(error) !== "ENOENT") throw error;
    }
    const made = await makeDirectory(path, 0o700);
    const handle = await open(path, O_PATH | O_NOFOLLOW | (made ? O_DIRECTORY : 0));
    if (!made) return handle;
    const { mode } = (await this.#places[0]?.handle.stat()) ?? { mode: 0o755 };
    // Through the handle, for the name may be another one's by now.
    await chmod(pathOf(handle), mode & 0o7777);
    return handle;
  }
}
