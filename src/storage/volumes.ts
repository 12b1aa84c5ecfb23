// All volumes of a container: prepared before its start, released when it is removed.
import { readdir, rm } from "node:fs/promises";
import { join, posix } from "node:path";
import type { ContainerSpec, Volume } from "../api/index.ts";
import { nameFiles } from "../network/index.ts";
import { mountsBelow, orMissing, unmountBelow } from "../node/index.ts";
import { prepareAnonymous } from "./anonymous.ts";
import { prepareEmptyDir } from "./empty-dir.ts";
import { VolumeError, forVolume } from "./errors.ts";
import { writeNameFiles } from "./files.ts";
import { prepareHostPath } from "./host-path.ts";
import type { SnapshotMount } from "./snapshot-mounts.ts";
import { bindMount, dataDirectory, stateDirectory } from "./volume.ts";
import type { BindMount, VolumeContext } from "./volume.ts";

export type VolumesOptions = { stateDir: string; dataDir: string };

/** What of a container its volumes follow from. */
export type VolumeWish = {
  name: string;
  spec: ContainerSpec;
  /** Paths the image declares as VOLUME. */
  image: { volumes?: readonly string[] };
};

/** The volumes of this node's containers. Several ids may be worked on at once, but only one call an id at a time. */
export class Volumes {
  readonly #options: VolumesOptions;

  constructor(options: VolumesOptions) {
    this.#options = options;
  }

  /**
   * Makes or finds every volume of a container and answers the mounts for its spec, less deep destinations first.
   *
   * @throws VolumeError; what was made until then is `release`'s to remove
   */
  async prepare(id: string, wish: VolumeWish, rootfs: readonly SnapshotMount[]): Promise<BindMount[]> {
    const context = { ...this.#options, id, rootfs };
    const mounts: BindMount[] = [];
    const sources = new Map<string, string>();
    for (const volume of wish.spec.volumes ?? []) sources.set(volume.name, await prepareVolume(context, volume));
    for (const { name, mountPath, readOnly } of wish.spec.volumeMounts ?? []) {
      const source = sources.get(name);
      if (source === undefined) throw new VolumeError(name, `spec.volumes has no volume of this name`);
      mounts.push(bindMount(source, posix.resolve("/", mountPath), readOnly ?? false));
    }
    const covered = coveredPaths(wish);
    for (const path of new Set((wish.image.volumes ?? []).map((each) => posix.resolve("/", each)))) {
      if (!covered.has(path)) mounts.push(bindMount(await prepareAnonymous(context, path), path, false));
    }
    return mounts.sort((a, b) => depth(a.destination) - depth(b.destination));
  }

  /**
   * Writes the container's hosts, hostname and resolv.conf and answers their mounts, without those a volumeMount covers.
   *
   * @param network the container's attachment, if it has one of its own
   * @throws VolumeError
   */
  async writeFiles(
    id: string,
    wish: Pick<VolumeWish, "name" | "spec">,
    network: { ipAddresses: readonly string[] } | undefined,
  ): Promise<BindMount[]> {
    const context = { ...this.#options, id };
    return forVolume("of the container's own files", dataDirectory(context), async () =>
      writeNameFiles(context, await nameFiles(wish, network?.ipAddresses ?? []), {
        readOnly: wish.spec.securityContext?.readOnlyRootFilesystem ?? false,
        covered: coveredPaths(wish),
      }),
    );
  }

  /**
   * Removes all that belongs to a container alone. Safe to repeat. A hostPath is never below these directories; should
   * anything be mounted there all the same and not come off, nothing is removed.
   *
   * @throws CommandError, VolumeError
   */
  async release(id: string): Promise<void> {
    const context = { ...this.#options, id };
    for (const directory of [stateDirectory(context), dataDirectory(context)]) {
      await unmountBelow(directory);
      const [left] = await mountsBelow(directory);
      if (left !== undefined) {
        throw new VolumeError(id, `${left.mountPoint} can't be unmounted, so ${directory} is not removed`);
      }
      await rm(directory, { recursive: true, force: true });
    }
  }

  /** The ids of all containers that have a directory here. */
  async list(): Promise<string[]> {
    const { stateDir, dataDir } = this.#options;
    const found = await Promise.all(
      [stateDir, dataDir].map((directory) => orMissing(readdir(join(directory, "containers")))),
    );
    return [...new Set(found.flatMap((ids) => ids ?? []))];
  }
}

function prepareVolume(context: VolumeContext, volume: Volume): Promise<string> {
  if (volume.hostPath !== undefined) return prepareHostPath(volume.name, volume.hostPath);
  if (volume.emptyDir !== undefined) return prepareEmptyDir(context, volume.name, volume.emptyDir);
  throw new VolumeError(volume.name, "has no source that Berth knows");
}

function coveredPaths(wish: Pick<VolumeWish, "spec">): Set<string> {
  return new Set((wish.spec.volumeMounts ?? []).map(({ mountPath }) => posix.resolve("/", mountPath)));
}

function depth(path: string): number {
  return path.split("/").filter((name) => name !== "").length;
}
