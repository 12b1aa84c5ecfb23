// What a node holds at one moment, asked of containerd's own ctr and of the machine, not of Berth: so that a test can say
// that nothing was left behind.
import { type Dirent, readdirSync } from "node:fs";
import { isIPv4 } from "node:net";
import { basename, join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { isDeepStrictEqual } from "node:util";
import { errorCode, mountsBelow } from "../../src/node/index.ts";
import { readText } from "./daemon.ts";
import { readTables, rulesOf } from "./iptables.ts";
import type { LocalNode } from "./local-node.ts";
import { bridgePorts, cgroupsOf, sparesOf } from "./traces.ts";

/** Milliseconds that it may take to make networks ahead, of which there may be many, on a machine that has more to do. */
const SETTLE_MS = 30_000;
const POLL_MS = 20;

const KINDS = [
  "task",
  "container",
  "snapshot",
  "lease",
  "sandbox",
  "image",
  "shim",
  "network namespace",
  "address",
  "interface",
  "rule",
  "mount",
  "cgroup",
  "file",
] as const;
export type Kind = (typeof KINDS)[number];

/** For each kind the names of what is there, sorted. */
export type Audit = Record<Kind, string[]>;

/**
 * Takes stock of a node. Its containerd must run; its agent need not.
 *
 * @throws CommandError when containerd does not answer
 */
export async function audit(node: LocalNode): Promise<Audit> {
  const deadline = Date.now() + SETTLE_MS;
  for (;;) {
    const spares = sparesOf(node);
    const found = await takeStock(node, spares.traces);
    // One that was being made meanwhile is half in it. Without an agent, none is.
    const isSettled = node.agentPid === undefined || (spares.complete && isDeepStrictEqual(spares, sparesOf(node)));
    if (isSettled || Date.now() > deadline) return found;
    await delay(POLL_MS);
  }
}

/** @param spares what the agent keeps ready is nobody's yet; what a container has taken of it is that one's */
async function takeStock(node: LocalNode, spares: ReadonlySet<string>): Promise<Audit> {
  const list = async (...args: string[]) => lines(await node.ctr(...args));
  const [task, container, snapshot, lease, sandbox, image, chains, cgroup, mounts] = await Promise.all([
    list("tasks", "list", "--quiet"),
    list("containers", "list", "--quiet"),
    list("snapshots", "list"),
    list("leases", "list", "--quiet"),
    list("sandboxes", "list"),
    list("images", "list", "--quiet"),
    readTables(),
    cgroupsOf(node.cgroupRoot),
    mountsOf(node),
  ]);
  const files = [node.stateDir, node.dataDir, node.logDir].flatMap(filesBelow).filter((file) => !spares.has(file));
  const netnsDir = join(node.stateDir, "netns");
  const found: Audit = {
    task,
    container,
    // The committed ones are the images'.
    snapshot: rows(snapshot.filter((line) => !line.endsWith("Committed"))),
    lease,
    sandbox: rows(sandbox),
    image,
    shim: node.shimPids.map((pid) => `pid ${String(pid)} (${containerOf(pid)})`),
    "network namespace": files.filter((file) => file.startsWith(`${netnsDir}/`)),
    // host-local keeps one file an address.
    address: files.filter((file) => isIPv4(basename(file))),
    interface: bridgePorts(node.bridgeName).filter((name) => !spares.has(name)),
    rule: withoutMasquerade(
      node.bridgeName,
      chains.flatMap((table) => rulesOf(node.bridgeSubnet, table).rules.map((rule) => `${table.name} ${rule}`)),
    ),
    mount: mounts
      .filter(({ mountPoint }) => !spares.has(mountPoint))
      .map(({ mountPoint, fsType }) => `${fsType} on ${mountPoint}`),
    cgroup,
    file: files.filter((file) => !isBookkeeping(file) && !file.startsWith(`${netnsDir}/`) && !isIPv4(basename(file))),
  };
  for (const names of Object.values(found)) names.sort();
  return found;
}

/**
 * What came and what went between two audits, one line each, for a person: `task berth-1-2 came`. Empty when nothing
 * did. `ignore` leaves out lines that are meant to differ.
 */
export function diff(before: Audit, after: Audit, ignore?: RegExp): string[] {
  return KINDS.flatMap((kind) => [
    ...without(after[kind], before[kind]).map((name) => `${kind} ${name} came`),
    ...without(before[kind], after[kind]).map((name) => `${kind} ${name} went`),
  ]).filter((line) => ignore?.test(line) !== true);
}

// What a shim was started for stands in its arguments.
function containerOf(pid: number): string {
  const args = (readText(`/proc/${String(pid)}/cmdline`) ?? "").split("\0");
  return args[args.indexOf("-id") + 1] ?? "";
}

// A multiset difference: the same mount can be there twice.
function without(names: readonly string[], others: readonly string[]): string[] {
  const rest = [...others];
  return names.filter((name) => {
    const index = rest.indexOf(name);
    if (index >= 0) rest.splice(index, 1);
    return index < 0;
  });
}

// The node's own way out belongs to the bridge and stays with it: one rule, and no second one.
function withoutMasquerade(bridgeName: string, rules: readonly string[]): string[] {
  const index = rules.findIndex((rule) => rule.includes(` ! -o ${bridgeName} `) && rule.endsWith(" -j MASQUERADE"));
  return rules.toSpliced(index, index < 0 ? 0 : 1);
}

async function mountsOf(node: LocalNode): ReturnType<typeof mountsBelow> {
  const mounts = (await Promise.all([node.runDir, node.dir].map(mountsBelow))).flat();
  // The run directory itself may be a tmpfs.
  return mounts.filter(({ mountPoint }) => mountPoint !== node.runDir);
}

// host-local's lock and the last address it gave stay, and what the agent keeps of itself.
function isBookkeeping(file: string): boolean {
  return /^(lock|last_reserved_ip\.\d+|holder|cluster|budget)$/.test(basename(file));
}

function filesBelow(directory: string): string[] {
  return entriesOf(directory).flatMap((entry) => {
    const path = join(directory, entry.name);
    return entry.isDirectory() ? filesBelow(path) : [path];
  });
}

/** None of a directory that goes while it is looked at. */
function entriesOf(directory: string): Dirent[] {
  try {
    return readdirSync(directory, { withFileTypes: true });
  } catch (error) {
    if (errorCode(error) === "ENOENT") return [];
    throw error;
  }
}

// The first column of a table below its heading.
function rows(table: readonly string[]): string[] {
  return table.slice(1).map((line) => line.split(/\s/, 1).join());
}

function lines(text: string): string[] {
  return text
    .split("\n")
    .map((line) => line.trim())
    .filter(Boolean);
}
