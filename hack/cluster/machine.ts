// What all local nodes of the machine change together, and nobody takes back: IP forwarding, the chains that CNI plugins
// share, empty directories. The first node writes down how the machine was; the last one puts it back.
import { existsSync, mkdirSync, readFileSync, readdirSync, rmdirSync, rmSync, writeFileSync } from "node:fs";
import { createHash } from "node:crypto";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { errorCode } from "../../src/node/index.ts";
import { readText } from "./daemon.ts";
import { FAMILIES, readTables, removeEmptyChains } from "./iptables.ts";
import type { Family, Table } from "./iptables.ts";

const ROOT = "/run/berth-local";
const DIR = join(ROOT, "machine");
const NODES = join(DIR, "nodes");
const BEFORE = join(DIR, "before.json");
const LOCK = join(ROOT, "lock");
const IP_FORWARD = "/proc/sys/net/ipv4/ip_forward";
const IP6_FORWARD = "/proc/sys/net/ipv6/conf/all/forwarding";

/** Directories that containerd and runc make wherever their own are, deepest first. */
const SHARED_DIRS = ["/run/containerd/s", "/run/containerd/runc", "/run/containerd", "/run/runc", "/opt/containerd"];

/** `ip6Forward` is absent on a machine without IPv6. */
/** Where shims listen. One that was killed leaves its socket behind, and nobody else takes that away. */
const SHIM_SOCKETS = "/run/containerd/s";

type Before = {
  sockets: string[];
  ipForward: string;
  ip6Forward?: string;
  tables: Record<Family, Table[]>;
  dirs: string[];
};

/** To be called before a node changes anything of the machine. */
export async function joinMachine(nodeDir: string): Promise<void> {
  await locked(async () => {
    mkdirSync(NODES, { recursive: true });
    if (!existsSync(BEFORE)) {
      const ip6Forward = readText(IP6_FORWARD);
      const before: Before = {
        ipForward: readFileSync(IP_FORWARD, "utf8"),
        ...(ip6Forward === undefined ? {} : { ip6Forward }),
        tables: { ip: await readTables("ip"), ip6: await readTables("ip6") },
        sockets: entriesOf(SHIM_SOCKETS),
        dirs: SHARED_DIRS.filter((dir) => existsSync(dir)),
      };
      writeFileSync(BEFORE, JSON.stringify(before));
    }
    writeFileSync(entry(nodeDir), nodeDir);
  });
}

/** To be called when all that the node had is removed. */
export async function leaveMachine(nodeDir: string): Promise<void> {
  await locked(async () => {
    if (!existsSync(entry(nodeDir))) return;
    rmSync(entry(nodeDir));
    // A node whose directory was removed by hand will not leave by itself.
    const others = readdirSync(NODES).filter((name) => existsSync(readFileSync(join(NODES, name), "utf8")));
    if (others.length > 0) return;
    const before = JSON.parse(readFileSync(BEFORE, "utf8")) as Before;
    for (const family of FAMILIES) await removeEmptyChains(family, before.tables[family]);
    putBack(IP_FORWARD, before.ipForward);
    if (before.ip6Forward !== undefined) putBack(IP6_FORWARD, before.ip6Forward);
    removeDeadSockets(before.sockets);
    for (const dir of SHARED_DIRS) if (!before.dirs.includes(dir)) removeIfEmpty(dir);
    rmSync(DIR, { recursive: true });
  });
  removeIfEmpty(ROOT);
}

// Not written where it is as it was: a write of IPv6's resets it for every interface.
function putBack(path: string, value: string): void {
  if (readText(path) !== value) writeFileSync(path, value);
}

function removeDeadSockets(before: readonly string[]): void {
  const listening = readText("/proc/net/unix") ?? "";
  for (const name of entriesOf(SHIM_SOCKETS)) {
    const path = join(SHIM_SOCKETS, name);
    if (!before.includes(name) && !listening.includes(path)) rmSync(path, { force: true });
  }
}

function entriesOf(dir: string): string[] {
  return existsSync(dir) ? readdirSync(dir) : [];
}

function removeIfEmpty(dir: string): void {
  try {
    rmdirSync(dir);
  } catch (error) {
    if (!["ENOENT", "ENOTEMPTY", "EEXIST"].includes(errorCode(error) ?? "")) throw error;
  }
}

function entry(nodeDir: string): string {
  return join(NODES, createHash("sha256").update(nodeDir).digest("hex").slice(0, 12));
}

// Several clusters may come and go at once. The lock names its holder, so that a killed one does not hold it.
async function locked(work: () => Promise<void>): Promise<void> {
  while (!tryLock()) {
    const holder = readText(LOCK);
    if (holder !== undefined && holder !== "" && !existsSync(`/proc/${holder}`)) rmSync(LOCK, { force: true });
    await delay(20);
  }
  try {
    await work();
  } finally {
    rmSync(LOCK, { force: true });
  }
}

function tryLock(): boolean {
  // Each time: the last one to leave removes it.
  mkdirSync(ROOT, { recursive: true });
  try {
    writeFileSync(LOCK, String(process.pid), { flag: "wx" });
    return true;
  } catch (error) {
    if (["EEXIST", "ENOENT"].includes(errorCode(error) ?? "")) return false;
    throw error;
  }
}
