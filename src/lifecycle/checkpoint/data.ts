/**
 * What is kept of checkpoints, on disk: `<data-dir>/checkpoints/<uid of the object>`. A checkpoint is written beside its
 * place and moved there whole, so that what is in its place is complete.
 */
import { lstat, mkdir, readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { orMissing, run } from "../../node/index.ts";
import type { Applied } from "../record.ts";

/** What of a checkpoint has to be known to restore from it. */
export interface Taken {
  /** When the container was held for it. */
  readonly createdAt: string;
  /** The record of the container it was taken of. */
  readonly containerID: string;
  /** The container's spec and image then. */
  readonly applied: Pick<Applied, "spec" | "image">;
  /** By which the writable layer was written. */
  readonly snapshotter: string;
  /** Whether open TCP connections and locks of files are in it. */
  readonly tcpEstablished: boolean;
  readonly fileLocks: boolean;
  /** Bytes on disk. */
  readonly size: number;
}

/** Where the parts of a checkpoint lie. */
export interface Folders {
  /** CRIU's images. */
  readonly images: string;
  /** The writable layer. */
  readonly layer: string;
  /** CRIU's log. */
  readonly work: string;
}

const DESCRIPTION = "checkpoint.json";
const UNFINISHED = ".new";
const SYNC_TIMEOUT_MS = 10 * 60_000;

/** The checkpoints of one node. Several may be worked on at once, but only one call a uid at a time. */
export class CheckpointData {
  readonly #directory: string;
  readonly #stateDir: string;

  constructor(options: { dataDir: string; stateDir: string }) {
    this.#directory = join(options.dataDir, "checkpoints");
    this.#stateDir = options.stateDir;
  }

  /**
   * Makes the folders of a new checkpoint (the layer's is the copier's to make); what an earlier attempt left goes, also one
   * that was complete, but whose container has gone on since, where it was to be ended.
   */
  async begin(uid: string): Promise<Folders> {
    await this.remove(uid);
    const root = `${this.path(uid)}${UNFINISHED}`;
    const folders = foldersIn(root);
    // Memory and files of a container, its secrets among them.
    await mkdir(this.#directory, { recursive: true, mode: 0o700 });
    for (const path of [root, folders.images, folders.work]) await mkdir(path, { mode: 0o700 });
    return folders;
  }

  /** Puts what was begun in its place, safe from a power failure. Answers its description. */
  async complete(uid: string, taken: Omit<Taken, "size">): Promise<Taken> {
    const path = this.path(uid);
    const unfinished = `${path}${UNFINISHED}`;
    await rm(foldersIn(unfinished).work, { recursive: true });
    const described = { ...taken, size: await bytesBelow(unfinished) };
    await writeFile(join(unfinished, DESCRIPTION), JSON.stringify(described), { mode: 0o600 });
    await run("sync", ["--file-system", "--", unfinished], { timeoutMs: SYNC_TIMEOUT_MS });
    await rename(unfinished, path);
    return described;
  }

  /** A complete checkpoint's description; undefined when there is none. */
  async read(uid: string): Promise<Taken | undefined> {
    const text = await orMissing(readFile(join(this.path(uid), DESCRIPTION), "utf8"));
    return text === undefined ? undefined : (JSON.parse(text) as Taken);
  }

  /** Where a complete checkpoint's parts are. */
  folders(uid: string): Folders {
    return foldersIn(this.path(uid));
  }

  /** The container's own folder for CRIU's work while it is restored; it goes with the container's state directory. */
  restoreFolder(containerID: string): string {
    return join(this.#stateDir, "containers", containerID, "criu");
  }

  /** Removes what there is of a checkpoint, complete or not. */
  async remove(uid: string): Promise<void> {
    const path = this.path(uid);
    const trash = `${path}${UNFINISHED}`;
    await rm(trash, { recursive: true, force: true });
    // First out of its place: half of it must not be taken for a checkpoint.
    if ((await orMissing(lstat(path))) !== undefined) await rename(path, trash);
    await rm(trash, { recursive: true, force: true });
  }

  /** The uids of which something is there. */
  async uids(): Promise<string[]> {
    const names = (await orMissing(readdir(this.#directory))) ?? [];
    return [...new Set(names.map((name) => name.replace(UNFINISHED, "")))];
  }

  /** The place of a complete checkpoint. */
  path(uid: string): string {
    return join(this.#directory, uid);
  }
}

function foldersIn(root: string): Folders {
  return { images: join(root, "criu"), layer: join(root, "layer"), work: join(root, "work") };
}

/** Bytes that a directory takes on disk. */
async function bytesBelow(directory: string): Promise<number> {
  let bytes = 0;
  for (const entry of await readdir(directory, { withFileTypes: true })) {
    const path = join(directory, entry.name);
    bytes += entry.isDirectory() ? await bytesBelow(path) : (await lstat(path)).blocks * 512;
  }
  return bytes;
}
