// All volumes of a container: prepared before its start, released when it is removed.
import { chmod, readdir, rm } from "node:fs/promises";
import { join, posix } from "node:path";
import type { ContainerSpec, Volume, VolumeMount } from "../api/index.ts";
import { nameFiles, withBlock } from "../network/index.ts";
import { makeDirectories, mountsBelow, orMissing, unmountBelow } from "../node/index.ts";
import { prepareAnonymous } from "./anonymous.ts";
import { prepareEmptyDir } from "./empty-dir.ts";
import { VolumeError, forVolume } from "./errors.ts";
import type { FileSet } from "./file-set.ts";
import { filesDirectory, hasFiles, writeFiles } from "./file-volume.ts";
import { makeNameFiles, shareNameFiles, updateHosts, writeNameFiles } from "./files.ts";
import type { FileOptions } from "./files.ts";
import { prepareHostPath } from "./host-path.ts";
import { NamedVolumes } from "./named.ts";
import { checkPropagation } from "./propagation.ts";
import type { SnapshotMount } from "./snapshot-mounts.ts";
import { prepareSubPath } from "./sub-path.ts";
import { bindMount, dataDirectory, stateDirectory } from "./volume.ts";
import type { BindMount, VolumeContext } from "./volume.ts";

export type VolumesOptions = { stateDir: string; dataDir: string };

/** What of a container its volumes follow from. */
export type VolumeWish = {
  namespace: string;
  name: string;
  spec: ContainerSpec;
  /** Paths the image declares as VOLUME. */
  image: { volumes?: readonly string[] };
};

/** What volumes need for one start, beside the wish. */
export type Preparation = {
  rootfs: readonly SnapshotMount[];
  /** The container is made by this start: empty named volumes get the image's content. */
  isNew: boolean;
  /** The content of configMap and secret volumes, by the volume's name; those that have their files may be left out. */
  files?: ReadonlyMap<string, FileSet>;
  /** The runtime and the kernel can make what is mounted below a read-only source read-only, too. */
  recursiveReadOnly?: boolean;
};

/** The volumes of this node's containers. Several ids may be worked on at once, but only one call an id at a time. */
export class Volumes {
  readonly #options: VolumesOptions;
  /** The named volumes, which belong to no container. */
  readonly named: NamedVolumes;

  constructor(options: VolumesOptions) {
    this.#options = options;
    this.named = new NamedVolumes(options);
  }

  /**
   * Makes or finds every volume of a container and answers the mounts for its spec, less deep destinations first.
   *
   * @throws VolumeError; what was made until then is `release`'s to remove
   */
  async prepare(id: string, wish: VolumeWish, preparation: Preparation): Promise<BindMount[]> {
    const { rootfs, recursiveReadOnly } = preparation;
    const context = { ...this.#options, id, rootfs };
    await this.#closeDirectories();
    const mounts: BindMount[] = [];
    const sources = new Map<string, string>();
    for (const volume of wish.spec.volumes ?? [])
      sources.set(volume.name, await this.#prepareVolume(context, volume, wish, preparation));
    for (const [index, volumeMount] of (wish.spec.volumeMounts ?? []).entries()) {
      const { name, mountPath, mountPropagation = "None" } = volumeMount;
      const source = sources.get(name);
      if (source === undefined) throw new VolumeError(name, `spec.volumes has no volume of this name`);
      const options = {
        readOnly: volumeMount.readOnly === true || isFiles(wish.spec, name),
        propagation: mountPropagation,
        ...(recursiveReadOnly === undefined ? {} : { recursiveReadOnly }),
      };
      const mounted = await prepareMount(context, volumeMount, index, source);
      mounts.push(bindMount(mounted, posix.resolve("/", mountPath), options));
    }
    const covered = coveredPaths(wish);
    for (const path of new Set((wish.image.volumes ?? []).map((each) => posix.resolve("/", each)))) {
      if (!covered.has(path)) mounts.push(bindMount(await prepareAnonymous(context, path), path));
    }
    return mounts.sort((a, b) => depth(a.destination) - depth(b.destination));
  }

  /** Whether a configMap or secret volume of a container has its files: they go with a reboot. */
  hasFiles(id: string, volume: string): Promise<boolean> {
    return hasFiles({ ...this.#options, id }, volume);
  }

  /**
   * Brings the files of a configMap or secret volume up to date, all in one moment, also under a running container.
   *
   * @returns whether anything was written: what is the same already is not
   * @throws VolumeError
   */
  updateFiles(id: string, volume: string, files: FileSet): Promise<boolean> {
    return writeFiles({ ...this.#options, id }, volume, files);
  }

  /**
   * Writes the container's hosts, hostname and resolv.conf and answers their mounts, without those a volumeMount covers.
   *
   * @param network the container's attachment, if it has one of its own, and the block of its hosts file
   * @throws VolumeError
   */
  async writeFiles(
    id: string,
    wish: Pick<VolumeWish, "name" | "spec">,
    network: { ipAddresses: readonly string[]; hostsBlock?: string } | undefined,
  ): Promise<BindMount[]> {
    const context = { ...this.#options, id };
    return forVolume("of the container's own files", dataDirectory(context), async () => {
      const files = await nameFiles(wish, network?.ipAddresses ?? []);
      const hosts = withBlock(files.hosts, network?.hostsBlock ?? "");
      return writeNameFiles(context, { ...files, hosts }, fileOptions(wish));
    });
  }

  /**
   * Makes these files, empty where they are not there, for {@link Volumes.writeFiles} to fill, and answers their mounts.
   *
   * @throws VolumeError
   */
  async makeFiles(id: string, wish: Pick<VolumeWish, "spec">): Promise<BindMount[]> {
    const context = { ...this.#options, id };
    return forVolume("of the container's own files", dataDirectory(context), () =>
      makeNameFiles(context, fileOptions(wish)),
    );
  }

  /**
   * Gives a container the hosts, hostname and resolv.conf of the one whose network it has joined, and answers their mounts.
   *
   * @throws VolumeError
   */
  async shareFiles(id: string, wish: Pick<VolumeWish, "spec">, peer: string): Promise<BindMount[]> {
    const context = { ...this.#options, id };
    return forVolume("of the joined container's own files", dataDirectory({ ...context, id: peer }), () =>
      shareNameFiles(context, peer, fileOptions(wish)),
    );
  }

  /** Brings the block of a running container's hosts file up to date. */
  async updateHosts(id: string, block: string): Promise<void> {
    await updateHosts({ ...this.#options, id }, block);
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

  async #prepareVolume(
    context: VolumeContext,
    volume: Volume,
    wish: VolumeWish,
    { isNew, files }: Preparation,
  ): Promise<string> {
    const { name } = volume;
    if (volume.hostPath !== undefined) return prepareHostPath(name, volume.hostPath);
    if (volume.emptyDir !== undefined) return prepareEmptyDir(context, name, volume.emptyDir);
    if (volume.volume !== undefined) {
      const named = { namespace: wish.namespace, name: volume.volume.name };
      // Docker copies for the first mount of the whole volume, and only when a container is made.
      const whole = wish.spec.volumeMounts?.find((mount) => mount.name === name && mount.subPath === undefined);
      const copyFrom = isNew ? whole?.mountPath : undefined;
      const path = this.named.path(named.namespace, named.name);
      return forVolume(name, path, () => this.named.prepare(context, { ...named, copyFrom }));
    }
    const content = files?.get(name);
    if (content !== undefined) await writeFiles(context, name, content);
    return filesDirectory(context, name);
  }

  /** A volume may be open to all, but that means all in the container: not the node's users, as with the kubelet and Docker. */
  async #closeDirectories(): Promise<void> {
    const { stateDir, dataDir } = this.#options;
    for (const directory of [stateDir, dataDir].map((parent) => join(parent, "containers"))) {
      await forVolume("of the container's own files", directory, async () => {
        await makeDirectories(directory);
        await chmod(directory, 0o700);
      });
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

/** What a volumeMount mounts: the volume, or a part of it. */
async function prepareMount(
  context: VolumeContext,
  volumeMount: VolumeMount,
  index: number,
  source: string,
): Promise<string> {
  const { name, subPath, mountPropagation = "None" } = volumeMount;
  await forVolume(name, source, () => checkPropagation(volumeMount, index, source));
  if (subPath === undefined) return source;
  return prepareSubPath(context, { volume: name, source, subPath, index, propagates: mountPropagation !== "None" });
}

/** As in core/v1, a container can only read files that come from the API server. */
function isFiles(spec: ContainerSpec, name: string): boolean {
  const volume = spec.volumes?.find((each) => each.name === name);
  return volume?.configMap !== undefined || volume?.secret !== undefined;
}

function fileOptions(wish: Pick<VolumeWish, "spec">): FileOptions {
  return { readOnly: wish.spec.securityContext?.readOnlyRootFilesystem ?? false, covered: coveredPaths(wish) };
}

function coveredPaths(wish: Pick<VolumeWish, "spec">): Set<string> {
  return new Set((wish.spec.volumeMounts ?? []).map(({ mountPath }) => posix.resolve("/", mountPath)));
}

function depth(path: string): number {
  return path.split("/").filter((name) => name !== "").length;
}
