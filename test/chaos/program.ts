/** What the programs of this folder have in common: a cluster of their own, which goes however they end, and the last words. */
import { cpSync, mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { Cluster } from "../../hack/cluster/cluster.ts";
import { AGENT } from "../../hack/cluster/local-node.ts";
import { setGuardian } from "../support/guardian.ts";
import { parameter, say } from "../support/terminal.ts";
import type { Chaos, Outcome } from "./run.ts";

export { parameter, say } from "../support/terminal.ts";

/** Where the logs of a run that failed are kept. */
const KEPT = resolve(import.meta.dirname, "../../.berth");
/** The first of the nodes' indexes, of which each on the machine has its own. */
const FIRST_INDEX = 150;

/** A run that is under way. */
export interface Started {
  readonly chaos: Chaos;
  readonly outcome: Promise<Outcome>;
}

/** Carries out a run on a cluster of its own, tells its outcome, and fails the process if it failed. */
export async function withCluster(
  options: {
    nodes: number;
    nodeFlags?: readonly string[];
    agentFlags?: Readonly<Record<string, string>>;
    again: string;
  },
  start: (cluster: Cluster) => Started,
): Promise<void> {
  const dir = mkdtempSync(join(tmpdir(), "berth-chaos-"));
  // Whatever ends this process, interruptions included, what it has set up is taken down.
  setGuardian(dir);
  const [node, ...agent] = AGENT;
  const cluster = new Cluster({
    dir,
    nodes: options.nodes,
    firstIndex: parameter("BERTH_TEST_FIRST_INDEX", FIRST_INDEX),
    agent: [node, ...(options.nodeFlags ?? []), ...agent],
    flags: { "log-level": "debug", ...options.agentFlags },
  });
  await cluster.up();
  const { chaos, outcome: running } = start(cluster);
  try {
    const outcome = await running;
    tell(outcome, options.again);
    if (outcome.failures.length > 0) {
      process.exitCode = 1;
      keepLogs(cluster);
    }
  } finally {
    await chaos.close();
    await cluster.down();
  }
}

function tell(outcome: Outcome, again: string): void {
  const faults = [...outcome.faults].sort().map(([what, count]) => `${what} ${count}`);
  const total = [...outcome.faults.values()].reduce((sum, count) => sum + count, 0);
  say(`wishes: ${outcome.wishes}`);
  say(`faults: ${total} (${faults.join(", ")})`);
  say(`runs of containers: ${outcome.runs}, of which restarts: ${outcome.restarts}`);
  say(`verdicts: ${outcome.verdicts}`);
  for (const failure of outcome.failures) say(`FAILED ${failure}`);
  if (outcome.failures.length > 0) say(`again: ${again}`);
  say(`\n${outcome.passed} passed, ${outcome.failures.length === 0 ? 0 : 1} failed`);
}

function keepLogs(cluster: Cluster): void {
  const to = join(KEPT, cluster.dir.split("/").at(-1) ?? "chaos");
  for (const { name, dir, agentLogFile } of cluster.nodes) {
    cpSync(agentLogFile, join(to, `${name}-agent.log`));
    cpSync(join(dir, "containerd.log"), join(to, `${name}-containerd.log`));
  }
  say(`logs: ${to}`);
}
