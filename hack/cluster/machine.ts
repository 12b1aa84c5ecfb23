// What all local nodes of the machine change together, and nobody takes back: IP forwarding and the chains that CNI
// plugins share. The first node writes down how the machine was; the last one puts it back.
import { existsSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { createHash } from "node:crypto";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { errorCode } from "../../src/node/index.ts";
import { readText } from "./daemon.ts";
import { readTables, removeEmptyChains } from "./iptables.ts";
import type { Table } from "./iptables.ts";

const DIR = "/run/berth-local/machine";
const NODES = join(DIR, "nodes");
const BEFORE = join(DIR, "before.json");
const LOCK = "/run/berth-local/lock";
const IP_FORWARD = "/proc/sys/net/ipv4/ip_forward";

type Before = { ipForward: string; tables: Table[] };

/** To be called before a node changes anything of the machine. */
export async function joinMachine(nodeDir: string): Promise<void> {
  await locked(async () => {
    mkdirSync(NODES, { recursive: true });
    if (!existsSync(BEFORE)) {
      const before: Before = { ipForward: readFileSync(IP_FORWARD, "utf8"), tables: await readTables() };
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
    await removeEmptyChains(before.tables);
    if (before.ipForward !== readText(IP_FORWARD)) writeFileSync(IP_FORWARD, before.ipForward);
    rmSync(DIR, { recursive: true });
  });
}

function entry(nodeDir: string): string {
  return join(NODES, createHash("sha256").update(nodeDir).digest("hex").slice(0, 12));
}

// Several clusters may come and go at once. The lock names its holder, so that a killed one does not hold it.
async function locked(work: () => Promise<void>): Promise<void> {
  mkdirSync("/run/berth-local", { recursive: true });
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
  try {
    writeFileSync(LOCK, String(process.pid), { flag: "wx" });
    return true;
  } catch (error) {
    if (errorCode(error) === "EEXIST") return false;
    throw error;
  }
}
