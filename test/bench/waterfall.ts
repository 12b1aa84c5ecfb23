/** Where the time of a start goes, by the agent's own log lines and what the one who asked for it saw. */
import { readFileSync } from "node:fs";
import type { LocalNode } from "../../hack/cluster/local-node.ts";
import type { Berth, TimedStart } from "./berth.ts";
import { PLAIN } from "./peer.ts";
import { median, rounded } from "./statistics.ts";

/** A phase of a start: medians of many, in milliseconds from the sending of the POST on. */
export interface Bar {
  readonly phase: string;
  readonly startMs: number;
  readonly ms: number;
}

/** A line of the agent's log, as far as it is about a start. */
interface Line {
  readonly time: string;
  readonly msg: string;
  readonly key?: string;
  readonly verb?: string;
  readonly phase?: string;
  readonly seconds?: number;
}

/** The order in which phases are told: that of `start.ts`, with what comes before and after it. */
const ORDER = [
  "POST",
  "watch",
  "guards",
  "storage",
  "namespace",
  "files",
  "spec",
  "record",
  "network",
  "task",
  "start",
  "save",
  "status",
];

/** The log's times are cut to whole milliseconds. */
const CUT_MS = 0.5;

/** Starts a Container so many times, one after the other, with an agent that logs each phase. */
export async function measureWaterfall(
  { node, berth, newName }: { node: LocalNode; berth: Berth; newName: () => string },
  starts: number,
): Promise<Bar[]> {
  await node.stopAgent();
  node.startAgent({ "log-level": "trace" });
  await node.agentReady();
  const timed: TimedStart[] = [];
  // The first one is for warming up: compiled code, connections.
  for (let made = 0; made <= starts; made++) {
    const name = newName();
    timed.push(await berth.timedStart(name, PLAIN));
    await berth.remove(name);
  }
  const log = readFileSync(node.agentLogFile, "utf8");
  await node.stopAgent();
  node.startAgent();
  await node.agentReady();
  return waterfall(timed.slice(1), linesOf(log));
}

/** The phases of starts, by what the agent has logged of them; not those that most starts do without. */
export function waterfall(starts: readonly TimedStart[], lines: readonly Line[]): Bar[] {
  const byKey = Map.groupBy(lines, ({ key }) => key);
  const all = starts.map((start) => phasesOf(start, byKey.get(start.key) ?? []));
  return ORDER.flatMap((phase) => {
    const found = all.flatMap((phases) => phases.get(phase) ?? []);
    if (found.length === 0 || found.length < all.length / 2) return [];
    const startMs = rounded(median(found.map(({ from }) => from)));
    return [{ phase, startMs, ms: rounded(median(found.map(({ from, to }) => to - from))) }];
  });
}

type Phases = Map<string, { from: number; to: number }>;

function phasesOf({ sent, answered, seen }: TimedStart, lines: readonly Line[]): Phases {
  const phases: Phases = new Map();
  const since = (time: string): number => Date.parse(time) + CUT_MS - sent;
  phases.set("POST", { from: 0, to: answered - sent });
  for (const { msg, time, phase, seconds } of lines) {
    if (msg !== "phase of a start" || phase === undefined || seconds === undefined) continue;
    phases.set(phase, { from: since(time) - seconds * 1000, to: since(time) });
  }
  const first = lines.find(({ msg, verb }) => msg === "next step" && verb === "create");
  const storage = phases.get("storage");
  if (first !== undefined && storage !== undefined) {
    const decided = since(first.time);
    // The watch may tell of an object before its POST is answered.
    phases.set("watch", { from: Math.min(answered - sent, decided), to: decided });
    phases.set("guards", { from: decided, to: Math.max(decided, storage.from) });
  }
  const save = phases.get("save");
  if (save !== undefined) phases.set("status", { from: save.to, to: seen - sent });
  return phases;
}

function linesOf(log: string): Line[] {
  // What Node.js itself says is no JSON.
  return log.split("\n").flatMap((line) => (line.startsWith("{") ? [JSON.parse(line) as Line] : []));
}
