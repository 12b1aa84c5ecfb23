/**
 * Restores: a start whose writable layer and process come from a checkpoint (`spec.restoreFrom`), once for each value. It
 * is a start like any other up to the task, and gives back the same when it fails.
 */
import { mkdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Any } from "@bufbuild/protobuf/wkt";
import { type ContainerSpec, restoreHindrances } from "../../api/index.ts";
import { isUnavailable, packRuntimeOptions } from "../../containerd/index.ts";
import { type OciSpec, SpecError, StartError, startFailure } from "../../oci/index.ts";
import { at } from "../failure.ts";
import type { Parts } from "../parts.ts";
import type { Applied, RunState, Waiting } from "../record.ts";
import { runtimeHandler } from "../spec.ts";
import { criuWords } from "./criu.ts";
import type { Taken } from "./data.ts";

/** A checkpoint to start from. */
export interface Restore {
  /** Name and uid of the ContainerCheckpoint. */
  readonly name: string;
  readonly uid: string;
  readonly taken: Taken;
}

const FIELD = "spec.restoreFrom";
/** Where the OCI runtime finds the file with CRIU's settings for a container; without it, a file of the node's counts. */
const CRIU_CONFIG = "org.criu.config";

/** The name of the checkpoint that a record's first start has yet to begin from: a crash came between. */
export function restoringFrom({ starting, lastEnd, restoredFrom }: RunState): string | undefined {
  return starting === true && lastEnd === undefined ? restoredFrom : undefined;
}

/** The name of the checkpoint that a record's container has begun from. */
export function usedCheckpoint(state: RunState): string | undefined {
  return restoringFrom(state) === undefined ? state.restoredFrom : undefined;
}

/**
 * The checkpoint of this name and namespace, or why it has to be waited for; the key is looked at again when it changes.
 * @throws StartError when it can't be restored on this node
 */
export async function findCheckpoint(parts: Parts, namespace: string, name: string): Promise<Restore | Waiting> {
  const wait = (why: string): Waiting => ({
    reason: "WaitingForCheckpoint",
    message: `${FIELD}: ContainerCheckpoint "${name}" ${why}`,
  });
  if (!parts.checkpoints.synced) return wait("is not known yet: the API server has not told of it");
  const object = parts.checkpoints.get(`${namespace}/${name}`);
  if (object === undefined) return wait(`does not exist in namespace "${namespace}": create it, and the start goes on`);
  const { state, message = "", nodeName } = object.status ?? {};
  if (object.metadata.deletionTimestamp !== undefined) return wait("is being deleted: name another one");
  if (state === "Failed") return wait(`has failed (${message}): take another one, and name that`);
  if (state !== "Completed") return wait("is not taken yet: the start goes on when it is");
  if (nodeName !== parts.nodeName) {
    const detail = `"${name}" is on node "${nodeName ?? ""}" and can be restored there alone: this Container is on "${parts.nodeName}"`;
    return at("spec", () => Promise.reject(new SpecError(FIELD, detail)));
  }
  const { uid } = object.metadata;
  const taken = await at("storage", async () => {
    const description = await parts.checkpointData.read(uid);
    if (description !== undefined) return description;
    throw new Error(`ContainerCheckpoint "${name}": its data is not in ${parts.checkpointData.path(uid)} any more`);
  });
  return { name, uid, taken };
}

/**
 * Refuses a checkpoint that a Container can't go on from: its process would not be what the spec says.
 * @throws StartError naming all fields that are in the way
 */
export async function checkRestorable(parts: Parts, { name, taken }: Restore, applied: Applied): Promise<void> {
  await at("spec", () => {
    const before = taken.applied.image;
    if (applied.image.chainID !== before.chainID || applied.image.digest !== before.digest) {
      const images = `of image ${before.name} (${before.digest}), not ${applied.image.digest}`;
      throw new SpecError(FIELD, `"${name}" was taken of a container ${images}: name that one in spec.image`);
    }
    const { snapshotter } = parts.containerd;
    if (taken.snapshotter !== snapshotter)
      throw new SpecError(FIELD, `"${name}" was taken with snapshotter "${taken.snapshotter}", not "${snapshotter}"`);
    const hindrances = restoreHindrances(taken.applied.spec, applied.spec).map((field) => `spec.${field}`);
    if (hindrances.length > 0) {
      const what = `"${name}" holds a process that was started with another ${hindrances.join(", ")}`;
      throw new SpecError(FIELD, `${what}: give the values of the Container it was taken of`);
    }
  });
}

/** The runtime spec of a container to be restored: it names the settings that CRIU takes for it. */
export function withRestore(parts: Parts, id: string, spec: OciSpec): OciSpec {
  return { ...spec, annotations: { ...spec.annotations, [CRIU_CONFIG]: configFile(parts, id) } };
}

/** Puts the checkpoint's files in the place of the image's, on a container's new snapshot. */
export async function restoreFiles(
  parts: Parts,
  { uid }: Restore,
  rootfs: Awaited<ReturnType<Parts["rootfs"]["mounts"]>>,
): Promise<void> {
  await parts.rootfs.restoreLayer(parts.checkpointData.folders(uid).layer, rootfs);
}

/** Gets CRIU's folder ready and answers the options with which `Tasks.Create` makes a task that is restored by `Tasks.Start`. */
export async function restoreOptions(parts: Parts, id: string, spec: ContainerSpec, restore: Restore): Promise<Any> {
  const work = parts.checkpointData.restoreFolder(id);
  await rm(work, { recursive: true, force: true });
  await mkdir(work, { recursive: true, mode: 0o700 });
  // containerd passes none of these on. Connections can't go on from another address and another time: they are closed.
  const { tcpEstablished, fileLocks } = restore.taken;
  const settings = [tcpEstablished ? "tcp-close" : "", fileLocks ? "file-locks" : ""].filter(Boolean);
  await writeFile(configFile(parts, id), settings.map((setting) => `${setting}\n`).join(""), { mode: 0o600 });
  return packRuntimeOptions({
    ...runtimeHandler(parts, spec).options,
    CriuImagePath: parts.checkpointData.folders(restore.uid).images,
    CriuWorkPath: work,
  });
}

/**
 * Runs the start of a task that is restored.
 * @throws StartError with CRIU's own words
 */
export async function restoring<T>(parts: Parts, id: string, { name }: Restore, start: () => Promise<T>): Promise<T> {
  const work = parts.checkpointData.restoreFolder(id);
  try {
    const answer = await start();
    await rm(work, { recursive: true, force: true });
    return answer;
  } catch (error) {
    if (isUnavailable(error)) throw error;
    const words = await criuWords(error, work, "restore.log");
    const message = `ContainerCheckpoint "${name}" can't be restored: ${words}`;
    throw new StartError(startFailure("RuntimeError", message, error instanceof Error ? error.message : message), {
      cause: error,
    });
  }
}

function configFile(parts: Parts, id: string): string {
  return join(parts.checkpointData.restoreFolder(id), "criu.conf");
}
