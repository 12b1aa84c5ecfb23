/**
 * `make test-load COUNT=… MINUTES=…`: so many Containers on one node, their agent killed half-way through their first
 * start; then a churn without faults, after each round of which the agent's memory and open files are written down.
 *
 * Flat is: the last third's median is at most a tenth above the middle third's; the first third is for warming up.
 */
import { readFileSync, readdirSync } from "node:fs";
import type { LocalNode } from "../../hack/cluster/local-node.ts";
import { ANY_PORT, liveMemory } from "./live-memory.ts";
import { parameter, say, withCluster } from "./program.ts";
import { Chaos, type Outcome } from "./run.ts";

const ROUND_MS = 45_000;
/** Hundreds of starts take a busy machine its time. */
const SETTLE_MS = 900_000;
const WISH_MS = 500;
const GROWTH = 1.1;
/** Fewer samples tell nothing. */
const LEAST_SAMPLES = 9;

/** What the agent has of the machine at one moment. */
interface Sample {
  readonly minute: number;
  /** Of V8's heap after a collection; the resident size is also what nobody has collected yet. */
  readonly liveMiB: number;
  readonly rssMiB: number;
  readonly files: number;
  readonly threads: number;
}

async function sample({ agentPid, agentLogFile }: LocalNode, started: number): Promise<Sample> {
  if (agentPid === undefined) throw new Error("the agent does not run");
  const live = await liveMemory(agentPid, agentLogFile);
  const proc = `/proc/${agentPid}`;
  const status = readFileSync(`${proc}/status`, "utf8");
  const number = (field: string): number => Number(new RegExp(`^${field}:\\s+(\\d+)`, "m").exec(status)?.[1]);
  return {
    minute: Math.round((Date.now() - started) / 6000) / 10,
    liveMiB: Math.round(live / 104_857.6) / 10,
    rssMiB: Math.round(number("VmRSS") / 102.4) / 10,
    files: readdirSync(`${proc}/fd`).length,
    threads: number("Threads"),
  };
}

/** What has grown, a line each. */
function growth(samples: readonly Sample[]): string[] {
  if (samples.length < LEAST_SAMPLES) return [];
  const third = Math.floor(samples.length / 3);
  return (["liveMiB", "files"] as const).flatMap((what) => {
    const of = (part: readonly Sample[]): number => median(part.map((each) => each[what]));
    const before = of(samples.slice(-2 * third, -third));
    const after = of(samples.slice(-third));
    return after <= before * GROWTH ? [] : [`the agent's ${what} has grown from ${before} to ${after}`];
  });
}

function median(numbers: readonly number[]): number {
  return numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length / 2)] ?? NaN;
}

async function judged(outcome: Promise<Outcome>, samples: readonly Sample[]): Promise<Outcome> {
  const found = await outcome;
  const grown = growth(samples);
  return { ...found, failures: [...found.failures, ...grown], passed: found.passed + (grown.length === 0 ? 1 : 0) };
}

async function main(): Promise<void> {
  const seed = parameter("SEED", 1);
  const minutes = parameter("MINUTES", 60);
  const containers = parameter("COUNT", 300);
  const again = `make test-load COUNT=${containers} MINUTES=${minutes} SEED=${seed}`;
  say(again);
  await withCluster({ nodes: 1, nodeFlags: [ANY_PORT], agentFlags: { "log-level": "info" }, again }, (cluster) => {
    const started = Date.now();
    const samples: Sample[] = [];
    const onRound = async (): Promise<void> => {
      const [node] = cluster.nodes;
      if (node === undefined) return;
      const now = await sample(node, started);
      samples.push(now);
      const { minute, liveMiB, rssMiB, files, threads } = now;
      say(`minute ${minute}: heap ${liveMiB} MiB live, ${rssMiB} MiB resident, ${files} files, ${threads} threads`);
    };
    const chaos = new Chaos(cluster, {
      seed,
      containers,
      wishMs: WISH_MS,
      faults: false,
      settleMs: SETTLE_MS,
      killHalfWay: true,
      onRound,
      say,
    });
    return { chaos, outcome: judged(chaos.run(minutes, ROUND_MS), samples) };
  });
}

await main();
