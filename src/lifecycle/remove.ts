/** Removes a container: everything that bears its id. */
import { rm, rmdir } from "node:fs/promises";
import { dirname } from "node:path";
import { removeCgroups } from "./cgroup.ts";
import { execDirectory } from "./exec.ts";
import { endLostShim } from "./lost-task.ts";
import { giveBack } from "./obstacle.ts";
import type { Parts } from "./parts.ts";
import { type Applied, generationOf, type Record } from "./record.ts";
import { removeStdin } from "./stdio.ts";
import { deleteTask, forgetSandbox, logFile, sandboxIDs } from "./task.ts";

/**
 * Removes a container that has a record. The record says so first: from then on nothing starts it any more, whatever
 * becomes of the removal.
 * @throws Obstacle when something of it can't be removed now
 */
export async function removeRecorded(parts: Parts, { id, state, applied }: Record): Promise<void> {
  if (state.removing !== true) await parts.records.saveState(id, { ...state, removing: true });
  await remove(parts, id);
  parts.images.used(applied.image.name);
  void parts.images.look();
}

/**
 * Removes what there is of a container. The record goes last, so that a crash or an obstacle on the way leaves something
 * to go on from. Safe to repeat, and for ids of which only a part is there.
 * @throws Obstacle when something of it can't be removed now; the rest is
 */
export async function remove(parts: Parts, id: string): Promise<void> {
  await giveBack("removal", { "its task": () => deleteTask(parts, id) });
  await giveBack("removal", {
    "its network": () => parts.network.detach(id),
    "its volumes": () => parts.volumes.release(id),
    "its entry in containerd's sandbox store": () => forgetSandbox(parts, id),
    "its cgroup": () => removeCgroups(parts, id),
    "its shim": () => endLostShim(parts, id),
    "its input's FIFO": () => removeStdin(parts, id),
    "its execs' FIFOs": () => rm(execDirectory(parts.stateDir, id), { recursive: true, force: true }),
    "its filesystem": () => parts.rootfs.remove(id),
  });
  await parts.records.delete(id);
}

/** Removes an object's output, and its namespace's folder when that is empty then. */
export async function removeLogs(parts: Parts, applied: Pick<Applied, "namespace" | "name">): Promise<void> {
  const folder = dirname(logFile(parts.logDir, applied));
  parts.logs.unwatch(`${applied.namespace}/${applied.name}`);
  await rm(folder, { recursive: true, force: true });
  await rmdir(dirname(folder)).catch(() => undefined);
}

/**
 * Removes what crashed starts and undos left behind: whatever bears one of Berth's ids and its mark, and has no record.
 * @param isMeant leaves out ids that may be worked on at this moment
 * @returns ids of which something could not be removed now
 */
export async function sweep(parts: Parts, isMeant: (id: string) => boolean): Promise<string[]> {
  const left: string[] = [];
  for (const id of await orphans(parts)) {
    if (!isMeant(id)) continue;
    parts.logger.info({ container: id }, "removing what a start cut short left behind");
    parts.remains.add(id);
    try {
      await removeOrphan(parts, id);
    } catch (error) {
      parts.logger.error({ err: error, container: id }, "it can't be removed now");
      left.push(id);
    }
  }
  return left;
}

/**
 * Removes what is left of an id that has no record.
 * @throws Obstacle
 */
export function removeOrphan(parts: Parts, id: string): Promise<void> {
  return parts.remains.remove(id, () => remove(parts, id));
}

/** The ids of what has Berth's mark, or lies where nothing but Berth's does, and belongs to no record: also to no other tool's. */
async function orphans(parts: Parts): Promise<Set<string>> {
  const found = await Promise.all([parts.network.list(), parts.volumes.list(), parts.rootfs.list(), sandboxIDs(parts)]);
  // Asked for last: what has got its record meanwhile is none.
  const known = await parts.records.ids();
  return new Set(found.flat().filter((id) => generationOf(id) > 0 && !known.has(id)));
}

/** Whether failed undos have left something of a key, or of the object that it stands for now. */
export function hasRemains({ remains }: Pick<Parts, "remains">, key: string, uid: string | undefined): boolean {
  return remains.of(key, uid).length > 0;
}

/**
 * Removes what failed undos have left of a key: of the object that it stands for now, and of earlier ones.
 * @throws Obstacle
 */
export async function removeRemains(parts: Parts, key: string, uid: string | undefined): Promise<void> {
  for (const id of parts.remains.of(key, uid)) await removeOrphan(parts, id);
}
