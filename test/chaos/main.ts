/**
 * `make test-chaos SEED=… MINUTES=…`: two nodes, forty Containers that are wished this and that, while agents, containerds
 * and the API server are killed and frozen under them. The same seed gives the same wishes and faults, in the same order.
 */
import { cpSync, existsSync, mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { Cluster } from "../../hack/cluster/cluster.ts";
import { AGENT_BUILT, AGENT_SOURCE } from "../../hack/cluster/local-node.ts";
import { setGuardian } from "../support/guardian.ts";
import { Chaos, type Outcome } from "./run.ts";

const NODES = 2;
const ROUND_MS = 45_000;
/** Where the logs of a run that failed are kept. */
const KEPT = resolve(import.meta.dirname, "../../.berth");

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}

function parameter(name: string, otherwise: number): number {
  const text = process.env[name] ?? "";
  const value = text === "" ? otherwise : Number(text);
  if (!Number.isFinite(value) || value < 0) throw new Error(`${name}=${text} is no number`);
  return value;
}

function tell(seed: number, minutes: number, outcome: Outcome): void {
  const faults = [...outcome.faults].sort().map(([what, count]) => `${what} ${count}`);
  const total = [...outcome.faults.values()].reduce((sum, count) => sum + count, 0);
  say(`wishes: ${outcome.wishes}`);
  say(`faults: ${total} (${faults.join(", ")})`);
  say(`runs of containers: ${outcome.runs}, of which restarts: ${outcome.restarts}`);
  say(`verdicts: ${outcome.verdicts}`);
  for (const failure of outcome.failures) say(`FAILED ${failure}`);
  if (outcome.failures.length > 0) say(`again: make test-chaos SEED=${seed} MINUTES=${minutes}`);
  say(`\n${outcome.passed} passed, ${outcome.failures.length === 0 ? 0 : 1} failed`);
}

async function main(): Promise<void> {
  const seed = parameter("SEED", Math.floor(Math.random() * 1e6));
  const minutes = parameter("MINUTES", 5);
  say(`seed ${seed}, ${minutes} minutes: make test-chaos SEED=${seed} MINUTES=${minutes}`);
  const dir = mkdtempSync(join(tmpdir(), "berth-chaos-"));
  // Whatever ends this process, interruptions included, what it has set up is taken down.
  setGuardian(dir);
  const cluster = new Cluster({
    dir,
    nodes: NODES,
    firstIndex: parameter("BERTH_TEST_FIRST_INDEX", 150),
    agent: existsSync(AGENT_BUILT[1]) ? AGENT_BUILT : AGENT_SOURCE,
    flags: { "log-level": "debug" },
  });
  await cluster.up();
  const chaos = new Chaos(cluster, seed, say);
  try {
    const outcome = await chaos.run(minutes, ROUND_MS);
    tell(seed, minutes, outcome);
    if (outcome.failures.length > 0) {
      process.exitCode = 1;
      keepLogs(cluster, join(KEPT, `chaos-${seed}`));
    }
  } finally {
    await chaos.close();
    await cluster.down();
  }
}

function keepLogs(cluster: Cluster, to: string): void {
  for (const { name, dir, agentLogFile } of cluster.nodes) {
    cpSync(agentLogFile, join(to, `${name}-agent.log`));
    cpSync(join(dir, "containerd.log"), join(to, `${name}-containerd.log`));
  }
  say(`logs: ${to}`);
}

await main();
