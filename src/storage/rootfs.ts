// A container's root filesystem: an active snapshot at containerd, named by the container's id.
import { lstat } from "node:fs/promises";
import { join } from "node:path";
import type { Containerd, Mount } from "../containerd/index.ts";
import { isNotFound } from "../containerd/index.ts";
import { orMissing, resolveBelow } from "../node/index.ts";
import { readFromLayers, readRegularFile } from "./layers.ts";
import type { LayerAnswer } from "./layers.ts";
import { linkMtab } from "./mtab.ts";
import { clearMounted, layersOf, withMounted } from "./snapshot-mounts.ts";
import type { SnapshotMount } from "./snapshot-mounts.ts";
import { restoreLayer, saveLayer } from "./writable-layer.ts";

export type RootFilesystemOptions = {
  containerd: Pick<Containerd, "snapshots" | "snapshotter">;
  stateDir: string;
};

/** Images whose files are remembered, and characters of an image's files that are: passwd files are far smaller. */
const MAX_REMEMBERED = 128;
const MAX_REMEMBERED_LENGTH = 64 * 1024;

/** Tells Berth's snapshots from other tools'. */
const OWN_LABEL = "berth.dev/snapshot";
/**
 * Keeps containerd's garbage collection off a snapshot until it is removed: also while no record refers to it yet, without a lease
 * to take and to release. One of which nothing is known any more is found by its own label.
 */
const ROOT_LABEL = "containerd.io/gc.root";

/** The snapshots that containers run on. */
export class RootFilesystem {
  readonly #containerd: RootFilesystemOptions["containerd"];
  readonly #mountDir: string;
  /** By chain ID and paths: what a chain ID stands for never changes. */
  readonly #imageFiles = new Map<string, (string | undefined)[]>();

  constructor(options: RootFilesystemOptions) {
    this.#containerd = options.containerd;
    this.#mountDir = mountDirectory(options.stateDir);
  }

  /**
   * Makes a new writable layer on an image's filesystem.
   *
   * @throws ContainerdError, also when there is one of this id
   */
  async prepare(id: string, chainID: string): Promise<Mount[]> {
    const { snapshots, snapshotter } = this.#containerd;
    const labels = { [OWN_LABEL]: "true", [ROOT_LABEL]: new Date().toISOString() };
    const { mounts } = await snapshots.prepare({ snapshotter, key: id, parent: chainID, labels });
    await linkMtab(mounts);
    return mounts;
  }

  /** @throws ContainerdError, also when there is none of this id */
  async mounts(id: string): Promise<Mount[]> {
    const { snapshots, snapshotter } = this.#containerd;
    return (await snapshots.mounts({ snapshotter, key: id })).mounts;
  }

  /** Removes the snapshot with all that was written to it. Missing is fine. */
  async remove(id: string): Promise<void> {
    const { snapshots, snapshotter } = this.#containerd;
    try {
      await snapshots.remove({ snapshotter, key: id });
    } catch (error) {
      if (!isNotFound(error)) throw error;
    }
  }

  /** The ids that have a snapshot that `prepare` made. */
  async list(): Promise<string[]> {
    const { snapshots, snapshotter } = this.#containerd;
    const ids: string[] = [];
    for await (const { info } of snapshots.list({
      snapshotter,
      filters: [`kind==active,labels."${OWN_LABEL}"==true`],
    })) {
      ids.push(...info.map(({ name }) => name));
    }
    return ids;
  }

  /**
   * The text of one file as a process in the container would read it; undefined when it is missing or no regular file.
   * Never a file of the node, wherever the container's symlinks point.
   *
   * @throws CommandError when a mount is needed and fails; Error for a file of more than 4 MiB
   */
  async readFile(mounts: readonly SnapshotMount[], path: string): Promise<string | undefined> {
    const [content] = await this.readFiles(mounts, [path]);
    return content;
  }

  /** Like `readFile`, for several files: they are looked up in the layers, or all in one short mount where layers don't tell. */
  async readFiles(mounts: readonly SnapshotMount[], paths: readonly string[]): Promise<(string | undefined)[]> {
    const layers = layersOf(mounts);
    const answers: LayerAnswer[] =
      layers === undefined
        ? paths.map(() => "unsure")
        : await Promise.all(paths.map((path) => readFromLayers(layers, path)));
    if (!answers.includes("unsure"))
      return answers.map((answer) => (typeof answer === "object" ? answer.content : undefined));
    return withMounted(this.#mountDir, mounts, (root) => Promise.all(paths.map((path) => readBelow(root, path))));
  }

  /**
   * Like `readFiles`, of a snapshot to which nothing has been written yet since {@link RootFilesystem.prepare}: these are the
   * image's files, which are read once.
   *
   * @throws as `readFile`
   */
  async readImageFiles(
    chainID: string,
    mounts: readonly SnapshotMount[],
    paths: readonly string[],
  ): Promise<(string | undefined)[]> {
    const key = [chainID, ...paths].join("\0");
    const known = this.#imageFiles.get(key);
    if (known !== undefined) return known;
    const files = await this.readFiles(mounts, paths);
    if (files.reduce((length, file) => length + (file?.length ?? 0), 0) > MAX_REMEMBERED_LENGTH) return files;
    const [oldest] = this.#imageFiles.keys();
    if (this.#imageFiles.size >= MAX_REMEMBERED && oldest !== undefined) this.#imageFiles.delete(oldest);
    this.#imageFiles.set(key, files);
    return files;
  }

  /** Copies what was written to a snapshot, deletions included, to a directory that does not exist. See {@link saveLayer}. */
  async saveLayer(mounts: readonly SnapshotMount[], to: string): Promise<void> {
    await saveLayer(this.#mountDir, mounts, to);
  }

  /** Puts what {@link RootFilesystem.saveLayer} copied in the place of what was written to a snapshot of the same parent. */
  async restoreLayer(from: string, mounts: readonly SnapshotMount[]): Promise<void> {
    await restoreLayer(this.#mountDir, from, mounts);
  }

  /** Removes mounts that an agent which was killed left behind. */
  async clear(): Promise<void> {
    await clearMounted(this.#mountDir);
  }
}

/** Where root filesystems are mounted for the moment that the agent looks into them. */
export function mountDirectory(stateDir: string): string {
  return join(stateDir, "mounts");
}

async function readBelow(root: string, path: string): Promise<string | undefined> {
  const resolved = await resolveBelow(root, path);
  const stats = await orMissing(lstat(resolved));
  return stats?.isFile() === true ? readRegularFile(resolved) : undefined;
}
