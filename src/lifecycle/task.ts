/** A container's task at containerd: made, started, looked at, deleted. */
import { mkdir, open, rm, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { Any } from "@bufbuild/protobuf/wkt";
import { ContainerdError, isAlreadyExists, isNotFound, type Mount } from "../containerd/index.ts";
import { recordedCgroup } from "./cgroup.ts";
import { clearLostTask, lostTaskIn } from "./lost-task.ts";
import type { Parts } from "./parts.ts";
import type { Applied, Record } from "./record.ts";
import { prepareStdio } from "./stdio.ts";
import type { Undo } from "./undo.ts";

/** Tells Berth's entries in the sandbox store from other tools'. */
const SANDBOX_LABEL = "berth.dev/sandbox";

/** How many things a lost task may have left in the way of the next one: a shim, a bundle, the runtime's own state. */
const MOST_LEFT = 3;

/** SIGKILL's number on Linux. */
export const SIGKILL = 9;

/** The file that takes a container's output, both streams (a shim writes them; the agent's death does not hold it up). */
export function logFile(logDir: string, applied: Pick<Applied, "namespace" | "name">): string {
  return join(logDir, applied.namespace, applied.name, "output.log");
}

/**
 * Makes the task of a container that has a record: the runtime sets everything up and waits.
 * @param options of the runtime, instead of the record's
 */
export async function createTask(
  parts: Parts,
  record: Record,
  rootfs: readonly Mount[],
  undo: Undo,
  options?: Any,
): Promise<void> {
  const output = logFile(parts.logDir, record.applied);
  await makeLogFile(output, undo);
  // Also on a failure: a client whose call was cut off can't know whether the task was made.
  undo.defer(() => discardTask(parts, record));
  const stdio = await prepareStdio(parts, record, output, undo);
  const create = () =>
    parts.containerd.tasks.create({
      containerId: record.id,
      rootfs: [...rootfs],
      ...stdio,
      ...(options === undefined ? {} : { options }),
    });
  for (let tries = 1; ; tries++) {
    try {
      await create();
      return;
    } catch (error) {
      const left = tries > MOST_LEFT ? undefined : lostTaskIn(error, parts.containerd.namespace, record.id);
      if (left === undefined) throw error;
      // It was seen that there is none: what is in its place is left of one that never came to be.
      await deleteTask(parts, record.id);
      await clearLostTask(parts, record.id, await recordedCgroup(parts, record.id), left);
    }
  }
}

/** The shim appends to what is there; a file that is not, it does not make. */
async function makeLogFile(output: string, undo: Undo): Promise<void> {
  const folder = dirname(output);
  const isNew = await stat(output).then(
    () => false,
    () => true,
  );
  await mkdir(folder, { recursive: true, mode: 0o750 });
  if (isNew) undo.defer(() => rm(folder, { recursive: true, force: true }));
  await (await open(output, "a", 0o640)).close();
}

/** Lets the task's process run. Answers its pid. */
export async function startTask(parts: Parts, id: string): Promise<number> {
  const { pid } = await parts.containerd.tasks.start({ containerId: id });
  return pid;
}

/** Sends a signal to a task's init process; one that has ended already is as good. */
export async function signalTask(parts: Parts, id: string, signal: number): Promise<void> {
  try {
    await parts.containerd.tasks.kill({ containerId: id, signal, all: false });
  } catch (error) {
    if (!isNotFound(error)) throw error;
  }
}

/** Thaws a task that was seen paused; one that isn't any more (the runtime thaws what it kills) is as good. */
export async function thaw(parts: Parts, id: string): Promise<void> {
  try {
    await parts.containerd.tasks.resume({ containerId: id });
  } catch (error) {
    if ((await parts.containerd.task(id))?.status === "paused") throw error;
  }
}

/**
 * Deletes a task, killing it first if it still runs; one that is gone is as good. The deletion is asked for also where
 * there is none: a containerd that was killed between a shim's start and its task's creation keeps that shim, for it has an
 * entry in the sandbox store, and nothing else ends it.
 * @param beforeKill is done before a task is killed that was never started
 */
export async function deleteTask(parts: Parts, id: string, beforeKill?: () => Promise<unknown>): Promise<void> {
  const task = await parts.containerd.task(id);
  if (task?.status === "created") await beforeKill?.();
  // Also one that was never started, though deletion takes it: runc would look for its end for ten seconds.
  if (task !== undefined && task.status !== "stopped") await signalTask(parts, id, SIGKILL);
  if (task !== undefined && task.status !== "stopped" && task.status !== "created") {
    await parts.containerd.tasks.wait({ containerId: id }, { timeoutMs: 30_000 }).catch(ignoreNotFound);
  }
  await parts.containerd.tasks.delete({ containerId: id }).catch(ignoreNotFound);
}

/**
 * Deletes a task that was made but never started. Its record says so first: killed and not yet deleted, it looks like one
 * that has run.
 */
export async function discardTask(parts: Parts, { id, state }: Record): Promise<void> {
  await deleteTask(parts, id, () => parts.records.saveState(id, { ...state, discarding: true }));
}

/** Makes the entry in containerd's sandbox store that keeps a stopped task over containerd's own restart. */
export async function rememberSandbox(parts: Parts, id: string, runtime: string): Promise<void> {
  try {
    const labels = { [SANDBOX_LABEL]: "true" };
    await parts.containerd.sandboxes.create({ sandbox: { sandboxId: id, runtime: { name: runtime }, labels } });
  } catch (error) {
    if (!isAlreadyExists(error)) throw error;
  }
}

/** The ids that have such an entry. */
export async function sandboxIDs(parts: Parts): Promise<string[]> {
  const { list } = await parts.containerd.sandboxes.list({});
  return list.filter(({ labels }) => SANDBOX_LABEL in labels).map(({ sandboxId }) => sandboxId);
}

/** Deletes that entry; one that is gone is as good. */
export async function forgetSandbox(parts: Parts, id: string): Promise<void> {
  try {
    await parts.containerd.sandboxes.delete({ sandboxId: id });
  } catch (error) {
    // containerd 1.7 has no code for a missing entry, but its database's words.
    const isMissing = isNotFound(error) || (error instanceof ContainerdError && /bucket not found/.test(error.details));
    if (!isMissing) throw error;
  }
}

function ignoreNotFound(error: unknown): void {
  if (!isNotFound(error)) throw error;
}
