/** Removes a container: everything that bears its id. */
import { rm, rmdir } from "node:fs/promises";
import { dirname } from "node:path";
import { removeCgroups } from "./cgroup.ts";
import { execDirectory } from "./exec.ts";
import type { Parts } from "./parts.ts";
import { type Applied, generationOf } from "./record.ts";
import { deleteTask, forgetSandbox, logFile } from "./task.ts";

/**
 * Removes what there is of a container. The record goes last, so that a crash on the way leaves something to go on from.
 * Safe to repeat, and for ids of which only a part is there.
 */
export async function remove(parts: Parts, id: string): Promise<void> {
  await deleteTask(parts, id);
  await Promise.all([
    parts.network.detach(id),
    parts.volumes.release(id),
    forgetSandbox(parts, id),
    parts.containerd.leases.release(id),
    removeCgroups(parts, id),
    rm(execDirectory(parts.stateDir, id), { recursive: true, force: true }),
  ]);
  await parts.rootfs.remove(id);
  await parts.records.delete(id);
}

/** Removes an object's output, and its namespace's folder when that is empty then. */
export async function removeLogs(parts: Parts, applied: Pick<Applied, "namespace" | "name">): Promise<void> {
  const folder = dirname(logFile(parts.logDir, applied));
  parts.logs.unwatch(`${applied.namespace}/${applied.name}`);
  await rm(folder, { recursive: true, force: true });
  await rmdir(dirname(folder)).catch(() => undefined);
}

/** Removes what crashed starts left behind: whatever bears one of Berth's ids that has no record. */
export async function sweep(parts: Parts): Promise<void> {
  const known = new Set((await parts.records.list()).map(({ id }) => id));
  const found = await Promise.all([
    parts.network.list(),
    parts.volumes.list(),
    parts.rootfs.list(),
    parts.containerd.leases.ids(),
    sandboxIDs(parts),
  ]);
  await parts.rootfs.clear();
  for (const id of new Set(found.flat())) {
    if (known.has(id) || generationOf(id) === 0) continue;
    parts.logger.info({ container: id }, "removing what a start cut short left behind");
    try {
      await remove(parts, id);
    } catch (error) {
      parts.logger.error({ err: error, container: id }, "it can't be removed now");
      parts.remains.add(id);
    }
  }
}

async function sandboxIDs(parts: Parts): Promise<string[]> {
  const { list } = await parts.containerd.sandboxes.list({});
  return list.map(({ sandboxId }) => sandboxId);
}

/** Whether failed undos have left something of an object. */
export function hasRemains(parts: Pick<Parts, "remains">, uid: string | undefined): boolean {
  return uid !== undefined && parts.remains.values().some((id) => id.startsWith(`${uid}-`));
}

/** Removes what failed undos have left of an object. */
export async function removeRemains(parts: Parts, uid: string): Promise<void> {
  for (const id of parts.remains) {
    if (!id.startsWith(`${uid}-`)) continue;
    await remove(parts, id);
    parts.remains.delete(id);
  }
}
