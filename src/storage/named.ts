// Named volumes: directories of the node, `<data-dir>/volumes/<namespace>/<name>`, that the Containers of a namespace
// share and that outlive them.
import { chmod, chown, lstat, readdir, rename, rm, rmdir } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { ContainerSpec } from "../api/index.ts";
import { makeDirectories, mountsBelow, orMissing } from "../node/index.ts";
import { copyUp } from "./copy-up.ts";
import type { VolumeContext } from "./volume.ts";

/** A container as far as it uses named volumes; what a container's record holds will do. */
export type VolumeUser = { namespace: string; name: string; spec: Pick<ContainerSpec, "volumes"> };

/** A named volume of this node. */
export type NamedVolume = {
  namespace: string;
  name: string;
  /** The directory. */
  path: string;
  /** Names of the Containers, of the same namespace, whose records use it; sorted. */
  usedBy: string[];
};

/** A named volume that can't be removed, or none of that name; the message says why and what to do. */
export class NamedVolumeError extends Error {
  override readonly name = "NamedVolumeError";
}

// No volume's name begins with a dot: these are beside it for as long as something is under way.
const copying = (path: string) => beside(path, "copying");
const copied = (path: string) => beside(path, "copied");
const removed = (path: string) => beside(path, "removed");
const beside = (path: string, word: string) => join(dirname(path), `.${path.slice(dirname(path).length + 1)}.${word}`);

const NAME = /^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/;

/** The named volumes below one data directory. */
export class NamedVolumes {
  readonly #root: string;
  /** What is being done to a volume, by its path: two containers that start at once must not both fill it. */
  readonly #turns = new Map<string, Promise<unknown>>();

  constructor(options: { dataDir: string }) {
    this.#root = join(options.dataDir, "volumes");
  }

  /** The directory of a volume, be it there or not. */
  path(namespace: string, name: string): string {
    return join(this.#root, namespace, name);
  }

  /**
   * Makes the volume, or finds it. An empty one gets what the image has at `copyFrom`, the directory's owner and mode
   * included.
   *
   * @param copyFrom absent for a container that is started again, and for one that mounts a part of the volume only
   * @throws what the system, mount or cp says; a copy cut short is never taken for the volume
   */
  async prepare(
    context: Pick<VolumeContext, "stateDir" | "rootfs">,
    volume: { namespace: string; name: string; copyFrom?: string | undefined },
  ): Promise<string> {
    const path = this.path(volume.namespace, volume.name);
    const before = this.#turns.get(path) ?? Promise.resolve();
    const turn = before.catch(() => undefined).then(() => this.#make(context, path, volume.copyFrom));
    this.#turns.set(path, turn);
    try {
      await turn;
    } finally {
      if (this.#turns.get(path) === turn) this.#turns.delete(path);
    }
    return path;
  }

  /** All volumes, with those of `users` that use them; by namespace and name. */
  async list(users: readonly VolumeUser[]): Promise<NamedVolume[]> {
    const found: NamedVolume[] = [];
    for (const namespace of await visible(this.#root)) {
      for (const name of await visible(join(this.#root, namespace))) {
        found.push({ namespace, name, path: this.path(namespace, name), usedBy: usersOf({ namespace, name }, users) });
      }
    }
    return found;
  }

  /**
   * Removes a volume with all that is in it.
   *
   * @param users asked twice: a container may come while the volume goes, which then stays
   * @throws NamedVolumeError when there is none, or it is used
   */
  async remove(namespace: string, name: string, users: () => Promise<readonly VolumeUser[]>): Promise<void> {
    const path = this.path(namespace, name);
    const isName = NAME.test(namespace) && NAME.test(name);
    if (!isName || (await orMissing(lstat(path))) === undefined)
      throw new NamedVolumeError(`no volume "${name}" in namespace "${namespace}" on this node`);
    const refuseIfUsed = async () => {
      const usedBy = usersOf({ namespace, name }, await users());
      if (usedBy.length > 0)
        throw new NamedVolumeError(
          `volume "${name}" in namespace "${namespace}" is used by ${usedBy.join(", ")}: delete what uses it first`,
        );
    };
    await refuseIfUsed();
    const [mounted] = await mountsBelow(path);
    if (mounted !== undefined) throw new NamedVolumeError(`${mounted.mountPoint} is mounted: unmount it first`);
    const grave = removed(path);
    await rm(grave, { recursive: true, force: true });
    await rename(path, grave);
    try {
      await refuseIfUsed();
    } catch (error) {
      await rename(grave, path);
      throw error;
    }
    for (const left of [grave, copying(path), copied(path)]) await rm(left, { recursive: true, force: true });
    await rmdir(dirname(path)).catch(() => undefined);
  }

  async #make(
    context: Pick<VolumeContext, "stateDir" | "rootfs">,
    path: string,
    copyFrom: string | undefined,
  ): Promise<void> {
    if (await makeDirectories(this.#root)) await chmod(this.#root, 0o700);
    await makeDirectories(dirname(path));
    if (copyFrom !== undefined && (await isEmpty(path))) await copyBeside(context, path, copyFrom);
    // From here on a crash leaves a whole copy, which whoever comes next moves in.
    if ((await orMissing(lstat(copied(path)))) !== undefined) await moveIn(copied(path), path);
    await makeDirectories(path);
  }
}

/** Makes a whole copy of the image's content beside the volume, or none. */
async function copyBeside(
  context: Pick<VolumeContext, "stateDir" | "rootfs">,
  path: string,
  copyFrom: string,
): Promise<void> {
  await rm(copying(path), { recursive: true, force: true });
  try {
    if (await copyUp(context, copyFrom, copying(path))) await rename(copying(path), copied(path));
  } catch (error) {
    // Half a copy would go on filling the disk.
    await rm(copying(path), { recursive: true, force: true });
    throw error;
  }
}

/** Makes a whole copy the volume; into one that is there, and may be mounted somewhere, it goes piece by piece. */
async function moveIn(copy: string, path: string): Promise<void> {
  if ((await orMissing(lstat(path))) === undefined) {
    await rename(copy, path);
    return;
  }
  for (const name of await readdir(copy)) {
    const target = join(path, name);
    if ((await orMissing(lstat(target))) === undefined) await rename(join(copy, name), target);
  }
  const { uid, gid, mode } = await lstat(copy);
  await chown(path, uid, gid);
  await chmod(path, mode & 0o7777);
  await rm(copy, { recursive: true });
}

/** Whether a volume has nothing in it, or is not there, and no copy waits to be moved in. */
async function isEmpty(path: string): Promise<boolean> {
  if ((await orMissing(lstat(copied(path)))) !== undefined) return false;
  return ((await orMissing(readdir(path))) ?? []).length === 0;
}

function usersOf(volume: { namespace: string; name: string }, users: readonly VolumeUser[]): string[] {
  const using = users.filter(
    ({ namespace, spec }) =>
      namespace === volume.namespace && spec.volumes?.some((each) => each.volume?.name === volume.name) === true,
  );
  return [...new Set(using.map(({ name }) => name))].sort();
}

async function visible(directory: string): Promise<string[]> {
  const entries = (await orMissing(readdir(directory))) ?? [];
  return entries.filter((name) => !name.startsWith(".")).sort();
}
