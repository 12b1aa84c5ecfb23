// The local cluster's command line: `up`, `down` and `demo`.
import { copyFileSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { Cluster } from "./cluster.ts";
import { readText } from "./daemon.ts";
import { demo } from "./demo.ts";
import { CONTAINERD_VERSIONS, findTools } from "./tools.ts";
import type { ContainerdVersion } from "./tools.ts";

const HOME = resolve(import.meta.dirname, "../../.berth");
const CLUSTER = join(HOME, "cluster");
const DEMO = join(HOME, "demo");
/** The process id of the command that works on them. */
const CLAIM = join(HOME, "command.pid");
/** The demo's nodes, beside those of a cluster that is kept. */
const DEMO_FIRST_INDEX = 101;
const MAX_NODES = 50;
const USAGE = "usage: main.ts up|down|demo   (NODES=1 to 50, CONTAINERD=2.1 or 1.7)";

async function up(): Promise<void> {
  const started = Date.now();
  const options = { nodes: wantedNodes(), containerd: wantedContainerd(), progress: say };
  const cluster = new Cluster({ dir: CLUSTER, ...options });
  await orDown(cluster, async () => {
    await cluster.up();
    mkdirSync(HOME, { recursive: true });
    copyFileSync(cluster.kubeconfig, join(HOME, "kubeconfig"));
  });
  const nodes = cluster.nodes.map(({ name }) => name).join(", ");
  say(`up after ${((Date.now() - started) / 1000).toFixed(1)} s: ${nodes}

  export KUBECONFIG=${join(HOME, "kubeconfig")} PATH=${join(findTools().kubectl, "..")}:$PATH
  kubectl apply -f examples/
  kubectl get containers -o wide

Logs of the agents: ${join(CLUSTER, "node-*/agent.log")}
Test images: ${cluster.registry.host}/library/busybox:1.36 and /berth/test:…
Take it down with: make down`);
}

async function down(): Promise<void> {
  await new Cluster({ dir: CLUSTER }).down();
  // Of a demo that was killed.
  await new Cluster({ dir: DEMO }).down();
  rmSync(join(HOME, "kubeconfig"), { force: true });
  rmSync(HOME, { recursive: true });
  say("down");
}

async function runDemo(): Promise<void> {
  const cluster = new Cluster({
    dir: DEMO,
    firstIndex: DEMO_FIRST_INDEX,
    containerd: wantedContainerd(),
    progress: say,
  });
  await cluster.down();
  await orDown(cluster, async () => {
    await cluster.up();
    await demo(cluster);
  });
  await cluster.down();
  say("all taken down");
}

// What fails or is interrupted leaves nothing behind.
async function orDown(cluster: Cluster, work: () => Promise<void>): Promise<void> {
  const { promise: interrupted, reject } = Promise.withResolvers<never>();
  const onSignal = (signal: NodeJS.Signals) => {
    reject(new Error(`interrupted by ${signal}`));
  };
  const signals = ["SIGINT", "SIGTERM", "SIGHUP"] as const;
  for (const signal of signals) process.on(signal, onSignal);
  const working = work();
  try {
    await Promise.race([working, interrupted]);
  } catch (error) {
    say(`${error instanceof Error ? error.message : String(error)}\ntaking all down`);
    await cluster.abandon(working);
    throw new Error("nothing was left behind", { cause: error });
  } finally {
    for (const signal of signals) process.off(signal, onSignal);
  }
}

// Two commands at once would take each other's cluster away.
function claim(): void {
  mkdirSync(HOME, { recursive: true });
  const holder = readText(CLAIM) ?? "";
  const isAlive = readText(`/proc/${holder}/cmdline`)?.includes(import.meta.filename) === true;
  if (holder !== "" && isAlive) throw new Error(`another command works on ${HOME} (process ${holder}): wait for it`);
  writeFileSync(CLAIM, String(process.pid));
}

function wantedNodes(): number {
  const text = process.env["NODES"] ?? "1";
  const nodes = Number(text);
  if (!Number.isInteger(nodes) || nodes < 1 || nodes > MAX_NODES) throw new Error(`NODES=${text}: ${USAGE}`);
  return nodes;
}

function wantedContainerd(): ContainerdVersion {
  const text = process.env["CONTAINERD"] ?? "2.1";
  const version = CONTAINERD_VERSIONS.find((known) => known === text);
  if (version === undefined) throw new Error(`CONTAINERD=${text}: ${USAGE}`);
  return version;
}

function say(message: string): void {
  process.stderr.write(`==> ${message}\n`);
}

const commands: Record<string, () => Promise<void>> = { up, down, demo: runDemo };
const command = commands[process.argv[2] ?? ""];
try {
  if (command === undefined) throw new Error(USAGE);
  claim();
  await command().finally(() => {
    rmSync(CLAIM, { force: true });
  });
} catch (error) {
  say(error instanceof Error ? error.message : String(error));
  process.exitCode = 1;
}
