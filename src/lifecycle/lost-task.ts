/**
 * Tasks, and shims without one, that containerd knows nothing of and that are there all the same. A client that died while
 * a task was made: containerd gives up on it after five seconds, but its shim and the process that the runtime had made
 * ready do not end with that. A containerd that was killed while a shim started: the next one does not find it, or takes it
 * for dead when it does not answer in time, and clears up after it as far as that goes.
 */
import { createHash } from "node:crypto";
import { rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { ContainerdError, isAlreadyExists } from "../containerd/index.ts";
import { killProcess, orMissing, processes, processesIn, programOf, unmountBelow } from "../node/index.ts";
import type { Parts } from "./parts.ts";

/** Where shims listen, and where runc keeps its containers' state when a shim calls it. */
const SHIM_SOCKETS = "/run/containerd/s";
const RUNC_ROOT = "/run/containerd/runc";
/** runc's words, when it has not forgotten a container of this name. */
const HAS_STATE = /container with given ID already exists/;
/** Milliseconds that processes have to be gone after SIGKILL, and a shim after its task; nothing tells of it: hence the looking. */
const KILLED_MS = 5000;
const LEAVING_MS = 500;
const LOOK_MS = 10;

/** What a task could not be made for: something of a lost one of its name, and the bundle where that is what it is. */
export interface InTheWay {
  readonly bundle?: string;
}

/** Whether it is a lost task of its name that was in the way of a new one, by what the making of that has failed with. */
export function lostTaskIn(error: unknown, namespace: string, id: string): InTheWay | undefined {
  if (!(error instanceof ContainerdError)) return undefined;
  // The bundle, or the place of its files.
  const path = /\bmkdir (\/\S+): file exists/.exec(error.details)?.[1];
  if (path?.endsWith(`/io.containerd.runtime.v2.task/${namespace}/${id}`) === true) return { bundle: path };
  return HAS_STATE.test(error.details) || isAlreadyExists(error) ? {} : undefined;
}

/** Clears what is left of a lost task: its shim, its processes, the runtime's state, its bundle. The caller has deleted it at containerd. */
export async function clearLostTask(
  parts: Parts,
  id: string,
  cgroupsPath: string,
  { bundle }: InTheWay,
): Promise<void> {
  for (const pid of await shimsOf(parts.containerd.namespace, id)) killProcess(pid);
  await endLostShim(parts, id);
  await endLostTask(parts, id, cgroupsPath);
  if (bundle === undefined) return;
  await unmountBelow(bundle);
  await rm(bundle, { recursive: true, force: true });
}

/** Ends the processes in a container's cgroup and clears what the runtime keeps of the container. */
export async function endLostTask(parts: Parts, id: string, cgroupsPath: string): Promise<void> {
  const { cgroups, containerd, logger } = parts;
  const pids = await processesIn(cgroups, cgroupsPath);
  logger.warn({ container: id, pids }, "ending processes of a task that containerd has lost");
  for (const pid of pids) killProcess(pid);
  await until(async () => (await processesIn(cgroups, cgroupsPath)).length === 0, KILLED_MS);
  // Another runtime, or another root: nothing is there.
  await rm(join(RUNC_ROOT, containerd.namespace, id), { recursive: true, force: true });
}

/**
 * Ends the shim of a container whose task is deleted, should it still be there. Its socket tells of it: a shim takes that
 * along when it ends, and one whose task has just been deleted is about to.
 */
export async function endLostShim(parts: Pick<Parts, "containerd" | "logger">, id: string): Promise<void> {
  const { containerd, logger } = parts;
  const path = join(containerd.address, containerd.namespace, id);
  const socket = join(SHIM_SOCKETS, createHash("sha256").update(path).digest("hex"));
  if (await until(async () => (await orMissing(stat(socket))) === undefined, LEAVING_MS)) return;
  const shims = await shimsOf(containerd.namespace, id);
  logger.warn({ container: id, shims }, "ending a shim that containerd has lost");
  for (const pid of shims) killProcess(pid);
  await rm(socket, { force: true });
}

async function shimsOf(namespace: string, id: string): Promise<number[]> {
  const found = await Promise.all(
    (await processes()).map(async (pid) => {
      const [program = "", ...args] = await programOf(pid);
      const has = (flag: string, value: string): boolean => args[args.indexOf(flag) + 1] === value;
      return program.includes("containerd-shim") && has("-id", id) && has("-namespace", namespace) ? [pid] : [];
    }),
  );
  return found.flat();
}

/** Whether something comes to be within a time, in milliseconds. */
async function until(isSo: () => Promise<boolean>, withinMs: number): Promise<boolean> {
  const deadline = performance.now() + withinMs;
  while (!(await isSo())) {
    if (performance.now() > deadline) return false;
    await sleep(LOOK_MS);
  }
  return true;
}
