// What a node can leave on the machine, found by what is its own: its mark, its cgroup, its directories, its bridge, its
// subnet. It works with containerd dead and whatever state the agent died in.
import { existsSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { cgroupDirectories, detectCgroups, removeCgroup, run, unmountBelow } from "../../src/node/index.ts";
import type { AttachmentRecord } from "../../src/network/attachments.ts";
import { killAll, processIds, readText } from "./daemon.ts";
import { removeRulesOf } from "./iptables.ts";

const SHIM_SOCKETS = "/run/containerd/s";
const RUNC_STATE = "/run/containerd/runc";
const GONE_TIMEOUT_MS = 5000;

/** The part of a node that its traces follow from. */
export type Traced = {
  dir: string;
  runDir: string;
  containerdNamespace: string;
  bridgeName: string;
  bridgeSubnet: string;
  cgroupRoot: string;
  shimPids: number[];
};

/** Removes all that a node's containers have on the machine. The agent must not run any more. */
export async function removeTraces(node: Traced): Promise<void> {
  const sockets = shimSockets(node.runDir);
  await killContainers(node);
  for (const dir of [node.runDir, node.dir]) if (existsSync(dir)) await unmountBelow(dir);
  for (const path of [...sockets, join(RUNC_STATE, node.containerdNamespace)]) {
    rmSync(path, { recursive: true, force: true });
  }
  if (existsSync(`/sys/class/net/${node.bridgeName}`)) await run("ip", ["link", "delete", node.bridgeName]);
  await removeRulesOf(node.bridgeSubnet);
  await removeCgroup(await detectCgroups(), node.cgroupRoot);
}

/** Network interfaces that are plugged into the node's bridge. */
export function bridgePorts(bridgeName: string): string[] {
  const dir = `/sys/class/net/${bridgeName}/brif`;
  return existsSync(dir) ? readdirSync(dir).sort() : [];
}

/** Networks that an agent has made ahead, and nobody has taken. */
export interface SpareTraces {
  /** Paths of their files, namespaces and addresses, and names of their interfaces on the node. */
  readonly traces: ReadonlySet<string>;
  /** None of them is in the making, and not all of it known. */
  readonly complete: boolean;
}

/** What belongs to the networks that a node's agent has made ahead. */
export function sparesOf(node: { stateDir: string; bridgeName: string }): SpareTraces {
  const dir = join(node.stateDir, "spares");
  const names = existsSync(dir) ? readdirSync(dir).filter((name) => name.includes(".json")) : [];
  const found = names.map((name) => {
    const path = join(dir, name);
    const { result, complete } = readRecord(path);
    const addresses = (result?.ips ?? []).map(({ address }) =>
      join(node.stateDir, "cni/networks", node.bridgeName, address.replace(/\/.*/, "")),
    );
    const ports = (result?.interfaces ?? []).filter(({ sandbox }) => (sandbox ?? "") === "");
    const traces = [path, path.replace(/\.json.*/, ""), ...addresses, ...ports.map((port) => port.name)];
    return { traces, complete: complete === true };
  });
  return {
    traces: new Set(found.flatMap(({ traces }) => traces)),
    complete: found.every(({ complete }) => complete),
  };
}

/** Nothing of one that is gone, or is being written. */
function readRecord(path: string): Partial<AttachmentRecord> {
  try {
    return JSON.parse(readText(path) ?? "{}") as Partial<AttachmentRecord>;
  } catch {
    return {};
  }
}

/** The node's cgroups, as paths below a hierarchy's mount point. */
export async function cgroupsOf(cgroupRoot: string): Promise<string[]> {
  const roots = cgroupDirectories(await detectCgroups(), cgroupRoot);
  return roots.flatMap((root) => tree(root).filter((directory) => directory !== root));
}

// Shims first: a shim that sees its container end would write to containerd about it.
async function killContainers(node: Traced): Promise<void> {
  const shims = node.shimPids;
  const children = descendants(shims);
  killAll(shims);
  const hierarchies = cgroupDirectories(await detectCgroups(), node.cgroupRoot);
  const directories = hierarchies.flatMap(tree);
  hierarchies.forEach(thawBelow);
  const inside = () => directories.flatMap((directory) => pidsIn(directory));
  const deadline = Date.now() + GONE_TIMEOUT_MS;
  killAll(children);
  while (inside().length > 0 && Date.now() < deadline) {
    killAll(inside());
    await delay(10);
  }
}

/** Thaws what is frozen in a hierarchy, from this directory on: it does not hear SIGKILL (cgroup v1's freezer). */
export function thawBelow(directory: string): void {
  tree(directory).forEach(thaw);
}

/** Freezes a cgroup of a hierarchy, with all below. */
export function freeze(directory: string): void {
  setFreezer(directory, "FROZEN", "1");
}

function thaw(directory: string): void {
  setFreezer(directory, "THAWED", "0");
}

/** In the words of cgroup v1, and of v2. */
function setFreezer(directory: string, state: string, flag: string): void {
  for (const [file, value] of [
    ["freezer.state", state],
    ["cgroup.freeze", flag],
  ] as const) {
    const path = join(directory, file);
    if (existsSync(path)) writeFileSync(path, value);
  }
}

function pidsIn(directory: string): number[] {
  return (readText(join(directory, "cgroup.procs")) ?? "").split("\n").filter(Boolean).map(Number);
}

function tree(directory: string): string[] {
  if (!existsSync(directory)) return [];
  const below = readdirSync(directory, { withFileTypes: true }).filter((entry) => entry.isDirectory());
  return [directory, ...below.flatMap((entry) => tree(join(directory, entry.name)))];
}

function descendants(pids: readonly number[]): number[] {
  const parents = new Map(processIds().map((pid) => [pid, parentOf(pid)]));
  const found = new Set(pids);
  for (let size = -1; size !== found.size;) {
    size = found.size;
    for (const [pid, parent] of parents) if (parent !== undefined && found.has(parent)) found.add(pid);
  }
  return [...found].filter((pid) => !pids.includes(pid));
}

function parentOf(pid: number): number | undefined {
  const parent = /^PPid:\s+(\d+)$/m.exec(readText(`/proc/${String(pid)}/status`) ?? "")?.[1];
  return parent === undefined ? undefined : Number(parent);
}

// Shims listen where containerd's version has it built in, outside its state directory; each bundle says where.
function shimSockets(runDir: string): string[] {
  const bundles = join(runDir, "containerd");
  if (!existsSync(bundles)) return [];
  return readdirSync(bundles, { recursive: true, encoding: "utf8" })
    .filter((path) => ["address", "bootstrap.json"].includes(basename(path)))
    .flatMap((path) => /unix:\/\/([^"\s]+)/.exec(readFileSync(join(bundles, path), "utf8"))?.[1] ?? [])
    .filter((path) => path.startsWith(SHIM_SOCKETS));
}
