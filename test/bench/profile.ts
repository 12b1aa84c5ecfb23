/** On what the agent spends its CPU time while many Containers are started at once. */
import type { LocalNode } from "../../hack/cluster/local-node.ts";
import { Inspector } from "../support/inspector.ts";
import type { Berth } from "./berth.ts";
import { PLAIN } from "./peer.ts";
import { rounded } from "./statistics.ts";

const SAMPLING_US = 500;
/** Milliseconds that an agent takes to start from source on a busy machine. */
const READY_MS = 60_000;
/** How many functions are told of. */
const MOST = 25;

/** Of the Chrome DevTools Protocol's Profiler domain. */
export interface CpuProfile {
  readonly nodes: readonly {
    readonly id: number;
    readonly callFrame: { readonly functionName: string; readonly url: string; readonly lineNumber: number };
  }[];
  /** Ids of nodes, and the microseconds since the sample before. */
  readonly samples: readonly number[];
  readonly timeDeltas: readonly number[];
}

/** One of those that used the time. */
export interface Share {
  readonly what: string;
  readonly ms: number;
  /** Of the time that was used at all. */
  readonly percent: number;
}

export interface ProfileSummary {
  readonly containers: number;
  readonly wallMs: number;
  /** All that was not idle. */
  readonly busyMs: number;
  /** Self time by npm package, by Berth's own layer, and of what the engine does itself. */
  readonly packages: readonly Share[];
  readonly functions: readonly Share[];
}

/**
 * Profiles an agent that starts so many Containers at once.
 * @param node whose agent is run from source: only then a function's place tells what it belongs to
 */
export async function profileBurst(
  { node, berth, newName }: { node: LocalNode; berth: Berth; newName: () => string },
  containers: number,
): Promise<ProfileSummary> {
  await node.stopAgent();
  node.startAgent();
  await node.agentReady(READY_MS);
  // Compiled code and connections are there then, as they are in an agent that is not new.
  await startAll(berth, Array.from({ length: 10 }, newName), () => Promise.resolve());
  const { agentPid } = node;
  if (agentPid === undefined) throw new Error("the agent does not run");
  const inspector = await Inspector.open(agentPid, node.agentLogFile);
  let profile: CpuProfile | undefined;
  try {
    await inspector.call("Profiler.enable");
    await inspector.call("Profiler.setSamplingInterval", { interval: SAMPLING_US });
    await inspector.call("Profiler.start");
    await startAll(berth, Array.from({ length: containers }, newName), async () => {
      ({ profile } = await inspector.call<{ profile: CpuProfile }>("Profiler.stop"));
    });
  } finally {
    inspector.close();
  }
  if (profile === undefined) throw new Error("the agent's debugger gave no profile");
  return { containers, ...summarize(profile) };
}

/** Starts them all at once, does something when all of them run, and removes them. */
async function startAll(berth: Berth, names: readonly string[], then: () => Promise<void>): Promise<void> {
  await Promise.all(names.map((name) => berth.start(name, PLAIN)));
  await then();
  await Promise.all(names.map((name) => berth.remove(name)));
}

/** Who has used the time of a profile, the most first. */
export function summarize({ nodes, samples, timeDeltas }: CpuProfile): Omit<ProfileSummary, "containers"> {
  const byId = new Map(nodes.map((node) => [node.id, node.callFrame]));
  const packages = new Map<string, number>();
  const functions = new Map<string, number>();
  let wallMs = 0;
  let busyMs = 0;
  for (const [index, id] of samples.entries()) {
    const frame = byId.get(id);
    const ms = (timeDeltas[index] ?? 0) / 1000;
    wallMs += ms;
    if (frame === undefined || frame.functionName === "(idle)") continue;
    busyMs += ms;
    const owner = ownerOf(frame);
    add(packages, owner, ms);
    const name = frame.functionName === "" ? "(anonymous)" : frame.functionName;
    add(functions, name.startsWith("(") && frame.url === "" ? name : `${name} ${placeOf(frame)}`, ms);
  }
  const shares = (times: ReadonlyMap<string, number>): Share[] =>
    [...times]
      .map(([what, ms]) => ({ what, ms: rounded(ms), percent: rounded((ms / busyMs) * 100) }))
      .sort((a, b) => b.ms - a.ms);
  return {
    wallMs: rounded(wallMs),
    busyMs: rounded(busyMs),
    packages: shares(packages),
    functions: shares(functions).slice(0, MOST),
  };
}

type Frame = CpuProfile["nodes"][number]["callFrame"];

const PACKAGE = /\/node_modules\/((?:@[^/]+\/)?[^/]+)\/(?!.*\/node_modules\/)(.*)$/;
const OWN = /\/(src\/(?:[^/]+\/)*)([^/]+)$/;

function ownerOf({ functionName, url }: Frame): string {
  const [, name] = PACKAGE.exec(url) ?? [];
  if (name !== undefined) return name;
  const [, layer] = OWN.exec(url) ?? [];
  if (layer !== undefined) return layer.split("/").slice(0, 2).join("/");
  return url.startsWith("node:")
    ? "Node.js"
    : `the engine: ${functionName.startsWith("(") ? functionName : "built-ins"}`;
}

function placeOf({ url, lineNumber }: Frame): string {
  const [, name = "", file = ""] = PACKAGE.exec(url) ?? [];
  const [, layer = "", own = ""] = OWN.exec(url) ?? [];
  const place = name !== "" ? `${name}/${file}` : own !== "" ? `${layer}${own}` : url;
  return place === "" ? "(built-in)" : `${place}:${lineNumber + 1}`;
}

function add(times: Map<string, number>, what: string, ms: number): void {
  times.set(what, (times.get(what) ?? 0) + ms);
}
