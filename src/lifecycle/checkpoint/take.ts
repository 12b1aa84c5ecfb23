/**
 * Takes a checkpoint of a running container, as containerd's and Docker's do: it is held, CRIU writes its memory, its
 * writable layer is copied, and it goes on. Memory and files are of the same moment.
 */
import type { ContainerCheckpoint } from "../../api/index.ts";
import { ContainerdError, isUnavailable, packCheckpointOptions } from "../../containerd/index.ts";
import type { Instance } from "../decide.ts";
import type { Parts } from "../parts.ts";
import type { Applied } from "../record.ts";
import { thaw } from "../task.ts";
import { criuWords } from "./criu.ts";
import type { Folders, Taken } from "./data.ts";

/** A checkpoint that can't be taken. The message says why. */
export class CheckpointError extends Error {
  override readonly name: string = "CheckpointError";
  readonly reason: "Unsupported" | "RuntimeError";

  constructor(reason: CheckpointError["reason"], message: string, options?: ErrorOptions) {
    super(message, options);
    this.reason = reason;
  }
}

/**
 * Milliseconds that a container may take to be held: a checkpoint that an agent was taking when it was killed goes on in
 * CRIU, and keeps the container's shim busy until its end.
 */
const PAUSE_TIMEOUT_MS = 10 * 60_000;

/** Why a container of this spec can't be held in a checkpoint; undefined when nothing speaks against it beforehand. */
export function hindrance({ spec }: Pick<Applied, "spec">): string | undefined {
  if (spec.tty === true)
    return "spec.tty: a container with a terminal can't be restored, for the terminal's other end is not in it";
  if (spec.stdin === true)
    return "spec.stdin: a container with an open standard input can't be restored, for its other end is not in it";
  if (spec.hostPID === true) return "spec.hostPID: process ids of the node can't be had again at a restore";
  if (spec.hostIPC === true) return "spec.hostIPC: what the node shares with the container is not the container's own";
  return undefined;
}

/**
 * Takes a checkpoint. The caller holds the place of the container's key in the queue. With `leaveRunning: false` the
 * container is still held when this returns, and marked to be ended; otherwise it goes on, also when this throws.
 *
 * @throws CheckpointError, and nothing of it is left; ContainerdError when containerd or the container went away
 */
export async function take(parts: Parts, object: ContainerCheckpoint, instance: Instance): Promise<Taken> {
  const { uid, name } = object.metadata;
  const { record } = instance;
  const wrong = hindrance(record.applied);
  if (wrong !== undefined) throw new CheckpointError("Unsupported", wrong);
  try {
    await hold(parts, instance);
    const createdAt = parts.clock().toISOString();
    // Only now: for an agent that was killed, CRIU may have been writing there until the container could be held.
    const folders = await parts.checkpointData.begin(uid);
    await dump(parts, record.id, object.spec, folders);
    await parts.rootfs.saveLayer(await parts.rootfs.mounts(record.id), folders.layer);
    if (object.spec.leaveRunning !== false) await release(parts, instance);
    const taken = await parts.checkpointData.complete(uid, describe(parts, instance, object, createdAt));
    if (object.spec.leaveRunning === false) {
      const stopping = { deadlineMs: parts.uptime(), checkpoint: name };
      await parts.records.saveState(record.id, { ...record.state, stopping });
    }
    return taken;
  } catch (error) {
    await release(parts, instance).catch((failed: unknown) => {
      parts.logger.error(
        { err: failed, container: record.id },
        "a container held for a checkpoint can't be let go now",
      );
    });
    await parts.checkpointData.remove(uid);
    throw await judged(parts, record.id, error);
  }
}

/** An error of containerd's is none of the checkpoint's when containerd went away, or the container ended meanwhile. */
async function judged(parts: Parts, id: string, error: unknown): Promise<unknown> {
  if (error instanceof CheckpointError || isUnavailable(error)) return error;
  const isContainerd = error instanceof ContainerdError;
  const status = isContainerd ? (await parts.containerd.task(id))?.status : "running";
  if (status !== "running" && status !== "paused") return error;
  const words = isContainerd ? error.details : error instanceof Error ? error.message : String(error);
  return new CheckpointError("RuntimeError", words, { cause: error });
}

/** Whether a complete checkpoint, found again after a crash, has done all that it was to do: its container is ended if that was asked for. */
export function isThrough(
  taken: Taken,
  { metadata, spec }: ContainerCheckpoint,
  instance: Instance | undefined,
): boolean {
  if (spec.leaveRunning !== false || instance?.record.id !== taken.containerID) return true;
  const { lastEnd, stopping } = instance.record.state;
  return [stopping?.checkpoint, lastEnd?.checkpoint].includes(metadata.name);
}

/** Freezes a container that is not frozen already because its spec says so. */
async function hold(parts: Parts, { record, task }: Instance): Promise<void> {
  if (task?.status !== "running") return;
  await parts.containerd.tasks.pause({ containerId: record.id }, { timeoutMs: PAUSE_TIMEOUT_MS });
}

async function release(parts: Parts, { record, task }: Instance): Promise<void> {
  if (task?.status === "running") await thaw(parts, record.id);
}

async function dump(parts: Parts, id: string, spec: ContainerCheckpoint["spec"], folders: Folders): Promise<void> {
  const { tcpEstablished = false, fileLocks = false } = spec;
  const options = { imagePath: folders.images, workPath: folders.work, openTcp: tcpEstablished, fileLocks };
  try {
    // The task goes on as far as CRIU is concerned: it is ended, where that is asked for, when its files are copied, too.
    await parts.containerd.tasks.checkpoint({ containerId: id, options: packCheckpointOptions(options) });
  } catch (error) {
    if (isUnavailable(error)) throw error;
    throw new CheckpointError("RuntimeError", await criuWords(error, folders.work, "dump.log"), { cause: error });
  }
}

function describe(
  parts: Parts,
  { record }: Instance,
  { spec }: ContainerCheckpoint,
  createdAt: string,
): Omit<Taken, "size"> {
  return {
    createdAt,
    containerID: record.id,
    applied: { spec: record.applied.spec, image: record.applied.image },
    snapshotter: parts.containerd.snapshotter,
    tcpEstablished: spec.tcpEstablished ?? false,
    fileLocks: spec.fileLocks ?? false,
  };
}
