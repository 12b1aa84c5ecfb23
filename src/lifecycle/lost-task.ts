/**
 * A task that containerd knows nothing of, and that runs all the same: its client died while it was made, containerd gave
 * up on it after five seconds, but its shim and the process that the runtime had made ready did not end with that.
 */
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { killProcess, parentOf, processesIn, programOf } from "../node/index.ts";
import type { Parts } from "./parts.ts";

/** Where runc keeps its containers' state when containerd's shim calls it, by namespace. */
const RUNC_ROOT = "/run/containerd/runc";
/** Milliseconds that processes have to be gone after SIGKILL, and between two looks: nothing tells of it. */
const GONE_MS = 5000;
const LOOK_MS = 10;

/** Ends the processes in a container's cgroup and the shim above them, and clears what the runtime keeps of the container. */
export async function endLostTask(parts: Parts, id: string, cgroupsPath: string): Promise<void> {
  const { cgroups, containerd, logger, clock } = parts;
  const pids = await processesIn(cgroups, cgroupsPath);
  const shims = await shimsAbove(pids, id);
  logger.warn({ container: id, pids, shims }, "ending processes of a task that containerd has lost");
  // The shim first: it would go on to tell of an end that nobody waits for.
  for (const pid of [...shims, ...pids]) killProcess(pid);
  const deadline = clock().getTime() + GONE_MS;
  while ((await processesIn(cgroups, cgroupsPath)).length > 0 && clock().getTime() < deadline) await sleep(LOOK_MS);
  // Another runtime, or another root: nothing is there.
  await rm(join(RUNC_ROOT, containerd.namespace, id), { recursive: true, force: true });
}

async function shimsAbove(pids: readonly number[], id: string): Promise<number[]> {
  const parents = await Promise.all(pids.map(parentOf));
  const found = await Promise.all(
    [...new Set(parents)].map(async (pid) => (pid !== undefined && isShimOf(await programOf(pid), id) ? [pid] : [])),
  );
  return found.flat();
}

function isShimOf([program = "", ...args]: readonly string[], id: string): boolean {
  return program.includes("containerd-shim") && args[args.indexOf("-id") + 1] === id;
}
