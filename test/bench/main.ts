/**
 * `make bench`: how fast Berth starts containers, beside the floor, Docker and the kubelet, in one run on one machine; where
 * the time goes; and what an agent costs. Nothing of it fails by a figure.
 */
import { resolve } from "node:path";
import { KubeApi } from "../../src/kube/index.ts";
import { PROGRAM } from "../../hack/cluster/local-node.ts";
import { run } from "../../src/node/index.ts";
import { parameter, say } from "../support/terminal.ts";
import { type AgentCosts, COSTS, MeasuredAgent } from "./agent.ts";
import { Berth } from "./berth.ts";
import { DockerPeer } from "./docker-peer.ts";
import { FloorPeer } from "./floor-peer.ts";
import { Kubelet } from "./kubelet.ts";
import { KubeletPeer } from "./kubelet-peer.ts";
import { describeMachine, untilQuiet } from "./machine.ts";
import type { Peer } from "./peer.ts";
import { profileBurst, type ProfileSummary } from "./profile.ts";
import { forTerminal, markdown, writeReport } from "./report.ts";
import type { Figure, Results } from "./results.ts";
import { type Scenario, SCENARIOS, type Turn } from "./scenarios.ts";
import { Setting } from "./setting.ts";
import { median } from "./statistics.ts";
import { type Bar, measureWaterfall } from "./waterfall.ts";

const FOLDER = resolve(import.meta.dirname, "../../docs/performance");
const WATERFALL = "waterfall";
const PROFILE = "profile";
const ALL = [...SCENARIOS.map(({ name }) => name), ...Object.keys(COSTS), WATERFALL, PROFILE];

/** What is to be done, from the environment. */
interface Wish {
  readonly rounds: number;
  readonly discarded: number;
  readonly calls: number;
  readonly scenarios: ReadonlySet<string>;
  readonly folder: string;
}

function wishOf(): Wish {
  const rounds = parameter("ROUNDS", 7);
  const named = (process.env["SCENARIOS"] ?? "").split(/[\s,]+/).filter(Boolean);
  const unknown = named.find((name) => !ALL.includes(name));
  if (unknown !== undefined) throw new Error(`SCENARIOS=${unknown}: there is none of this name, but ${ALL.join(", ")}`);
  return {
    rounds,
    // The first one warms up: caches, compiled code, connections.
    discarded: rounds > 1 ? 1 : 0,
    calls: parameter("CALLS", 10),
    scenarios: new Set(named.length > 0 ? named : ALL),
    folder: resolve(process.env["OUT"] ?? FOLDER),
  };
}

class Bench {
  readonly #wish: Wish;
  readonly #setting: Setting;
  readonly #peers: readonly Peer[];
  readonly #berth: Berth;
  #names = 0;
  #turns = { made: 0, disturbed: 0 };

  constructor(wish: Wish, setting: Setting) {
    this.#wish = wish;
    this.#setting = setting;
    const { image, api, cluster } = setting;
    const own = (role: "berth" | "floor" | "docker") => ({
      node: setting.node(role),
      image,
      firstPort: setting.firstPort(role),
    });
    this.#berth = new Berth({ ...own("berth"), api, nodeName: setting.node("berth").name });
    const floor = new FloorPeer({ ...own("floor"), hostsDir: cluster.registry.hostsDir });
    const kubelet = kubeletOf(setting);
    this.#peers = [floor, new DockerPeer(own("docker")), this.#berth, ...(kubelet === undefined ? [] : [kubelet])];
  }

  async run(): Promise<Results & { profile?: ProfileSummary }> {
    const { rounds: made, discarded, calls, scenarios } = this.#wish;
    const isAsked = (peer: Peer) => SCENARIOS.some(({ name, isFor }) => scenarios.has(name) && isFor(peer));
    // Berth alone is asked for more than the scenarios that all have.
    for (const peer of this.#peers.filter((peer) => peer === this.#berth || isAsked(peer))) {
      await peer.up();
      say(`${peer.name} is ready`);
    }
    const figures: Figure[] = [];
    for (const scenario of SCENARIOS)
      if (scenarios.has(scenario.name)) figures.push(...(await this.#measure(scenario)));
    const agent = await this.#costs();
    const waterfall = await this.#waterfall();
    const profile = await this.#profile();
    return {
      at: new Date().toISOString(),
      commit: await commit(),
      program: process.env[PROGRAM] === undefined ? "source" : "compiled",
      machine: await describeMachine(),
      peers: this.#peers.map(({ name, measures, versions }) => ({ name, measures, versions })),
      rounds: { made, discarded, calls },
      turns: this.#turns,
      figures,
      agent,
      ...(waterfall === undefined ? {} : { waterfall }),
      ...(profile === undefined ? {} : { profile }),
    };
  }

  async down(): Promise<void> {
    for (const peer of this.#peers) await peer.down();
  }

  /** The peers take turns, round after round, so that whatever changes on the machine meanwhile meets them alike. */
  async #measure(scenario: Scenario): Promise<Figure[]> {
    const { rounds, discarded, calls } = this.#wish;
    const peers = this.#peers.filter(scenario.isFor);
    const turns = new Map<Peer, Turn[]>(peers.map((peer) => [peer, []]));
    for (let round = 1; round <= rounds; round++) {
      const told: string[] = [];
      for (const peer of peers) {
        await peer.wake?.();
        this.#turns.made++;
        if (!(await untilQuiet())) this.#turns.disturbed++;
        const turn = await scenario.turn(peer, { calls, dir: this.#setting.dir, newName: this.#newName });
        await peer.rest?.();
        if (round > discarded) turns.get(peer)?.push(turn);
        const rate = scenario.isBurst === true ? `, ${((turn.ms.length / turn.wallMs) * 1000).toFixed(1)}/s` : "";
        told.push(`${peer.name} ${median(turn.ms).toFixed(0)} ms${rate}`);
      }
      say(`${scenario.title}, round ${round} of ${rounds}: ${told.join("; ")}`);
    }
    const { name, title, isBurst = false } = scenario;
    return peers.map((peer) => ({ scenario: name, title, peer: peer.name, isBurst, turns: turns.get(peer) ?? [] }));
  }

  async #costs(): Promise<AgentCosts> {
    const wanted = Object.entries(COSTS).filter(([name]) => this.#wish.scenarios.has(name));
    if (wanted.length === 0) return {};
    return MeasuredAgent.with(this.#agentParts(), async (measured) => {
      const costs: AgentCosts = {};
      for (const [name, measure] of wanted) {
        say(`the agent's costs: ${name}`);
        Object.assign(costs, await measure(measured));
      }
      return costs;
    });
  }

  async #waterfall(): Promise<Bar[] | undefined> {
    if (!this.#wish.scenarios.has(WATERFALL)) return undefined;
    say("where the time of a start goes");
    return measureWaterfall(this.#agentParts(), parameter("WATERFALL_STARTS", 30));
  }

  async #profile(): Promise<ProfileSummary | undefined> {
    if (!this.#wish.scenarios.has(PROFILE)) return undefined;
    say("on what the agent spends its time");
    const node = this.#setting.berthFromSource();
    try {
      return await profileBurst({ ...this.#agentParts(), node }, parameter("PROFILED", 100));
    } finally {
      await node.stopAgent();
    }
  }

  #agentParts() {
    return { node: this.#setting.node("berth"), berth: this.#berth, newName: this.#newName };
  }

  readonly #newName = (): string => `bench-${++this.#names}`;
}

/** The kubelet that the environment names, whose cluster is somebody else's; or one of the benchmark's own. */
function kubeletOf(setting: Setting): Peer | undefined {
  const firstPort = setting.firstPort("berth");
  const kubeconfig = process.env["BENCH_KUBECONFIG"] ?? "";
  if (kubeconfig === "") return KubeletPeer.isHere ? new KubeletPeer({ dir: setting.dir, firstPort }) : undefined;
  const nodeName = process.env["BENCH_NODE"] ?? "node-1";
  const image = process.env["BENCH_IMAGE"] ?? "docker.io/library/busybox:1.36";
  return new Kubelet({ api: KubeApi.load({ kubeconfig }), nodeName, image, firstPort });
}

async function commit(): Promise<string> {
  const git = (...args: string[]) => run("git", ["-c", "safe.directory=*", "-C", import.meta.dirname, ...args]);
  try {
    const { stdout } = await git("rev-parse", "--short=7", "HEAD");
    const changed = (await git("status", "--porcelain", "--", "../../src")).stdout.trim() !== "";
    return `${stdout.trim()}${changed ? " with changes" : ""}`;
  } catch {
    return "unknown";
  }
}

async function main(): Promise<void> {
  const wish = wishOf();
  const setting = new Setting();
  let bench: Bench | undefined;
  try {
    await setting.up();
    bench = new Bench(wish, setting);
    const results = await bench.run();
    const leaks = await setting.leaks();
    say(`\n${await forTerminal(markdown(results))}`);
    const files = await writeReport(wish.folder, results);
    say(`written to ${wish.folder}: ${files.join(", ")}`);
    for (const leak of leaks) say(`LEFT BEHIND ${leak}`);
    if (leaks.length > 0) process.exitCode = 1;
  } finally {
    await bench?.down();
    await setting.down();
  }
}

await main();
