/** On what machine it was measured, and whether that had nothing else to do. */
import { readFileSync } from "node:fs";
import { availableParallelism, cpus, release, totalmem } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { findTools } from "../../hack/cluster/tools.ts";
import { run } from "../../src/node/index.ts";

/** What figures are to be read with. */
export interface Machine {
  readonly cpu: string;
  readonly cores: number;
  readonly memoryGiB: number;
  readonly kernel: string;
  readonly cgroups: string;
  readonly node: string;
  readonly runc: string;
  readonly apiServer: string;
}

export async function describeMachine(): Promise<Machine> {
  const { runcDir, kubeApiserver } = findTools();
  const [runc, apiServer, cgroups] = await Promise.all([
    run(join(runcDir, "runc"), ["--version"]),
    run(kubeApiserver, ["--version"]),
    run("stat", ["-f", "-c", "%T", "/sys/fs/cgroup"]),
  ]);
  return {
    cpu: cpus()[0]?.model.trim() ?? "unknown",
    cores: availableParallelism(),
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    kernel: release(),
    cgroups: cgroups.stdout.trim() === "cgroup2fs" ? "v2" : "v1",
    node: process.versions.node,
    runc: /runc version (\S+)/.exec(runc.stdout)?.[1] ?? "unknown",
    apiServer: /Kubernetes v?(\S+)/.exec(apiServer.stdout)?.[1] ?? "unknown",
  };
}

const LOOK_MS = 100;
const QUIET_TIMEOUT_MS = 3000;
/** The share of all cores' time that what comes after a turn (shims that end, garbage collection) may still take. */
const QUIET_SHARE = 0.1;

/**
 * Waits until the machine has nothing to do, so that no turn pays for what the one before has left; for 3 s at most.
 * @returns whether it came to that
 */
export async function untilQuiet(): Promise<boolean> {
  const deadline = Date.now() + QUIET_TIMEOUT_MS;
  let before = busyTime();
  while (Date.now() < deadline) {
    await delay(LOOK_MS);
    const after = busyTime();
    if ((after.busy - before.busy) / (after.all - before.all) <= QUIET_SHARE) return true;
    before = after;
  }
  return false;
}

/** Ticks of all cores since the boot: proc(5), /proc/stat. */
function busyTime(): { busy: number; all: number } {
  const [line = ""] = readFileSync("/proc/stat", "utf8").split("\n", 1);
  const [user = 0, nice = 0, system = 0, idle = 0, iowait = 0, irq = 0, softirq = 0, steal = 0] = line
    .split(/\s+/)
    .slice(1)
    .map(Number);
  const busy = user + nice + system + irq + softirq + steal;
  return { busy, all: busy + idle + iowait };
}
