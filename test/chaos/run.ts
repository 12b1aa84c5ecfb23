/** One run: rounds of wishes and faults, after each of which all must come to what the model says, and a last audit. */
import { type FSWatcher, watch } from "node:fs";
import { basename, join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { audit, type Audit } from "../../hack/cluster/audit.ts";
import type { Cluster } from "../../hack/cluster/cluster.ts";
import { LocalNode } from "../../hack/cluster/local-node.ts";
import { configMapPath, KubeApi, secretPath } from "../../src/kube/index.ts";
import { leaks } from "../support/leaks.ts";
import { Faults } from "./faults.ts";
import { History } from "./history.ts";
import { alive, readJournal } from "./journal.ts";
import { judge } from "./model.ts";
import { ANCHOR, type PlannedWish, Planner, type Round } from "./plan.ts";
import { type Slot, Slots, StuckWish, summaryOf } from "./slots.ts";

/** Published by the slots' Containers, one each; below those that the kernel gives to clients. */
const FIRST_PORT = 20_000;
const PORTS_A_NODE = 50;
const READY_MS = 60_000;
const LOOK_AGAIN_MS = 1000;
const UID = /[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/;

/** What a run is to do. */
export interface ChaosOptions {
  readonly seed: number;
  /** How many Containers, on all nodes together. */
  readonly containers: number;
  /** Milliseconds between two wishes on average. */
  readonly wishMs: number;
  /** Whether parts are taken away meanwhile. */
  readonly faults: boolean;
  /** Milliseconds in which all must be as it has to: longer than the longest waits of the agent's and of restarts (1 min). */
  readonly settleMs: number;
  /** Begin with a round of nothing but creations, and kill the first node's agent when half of them have started. */
  readonly killHalfWay?: true;
  /** Called when a round is over and all is as it must be. */
  readonly onRound?: () => Promise<void>;
  readonly say: (line: string) => void;
}

/** What a run was about, for a person. */
export interface Outcome {
  readonly wishes: number;
  /** By part and kind. */
  readonly faults: ReadonlyMap<string, number>;
  /** Runs of containers' processes, and how many of these went on in an earlier one's filesystem. */
  readonly runs: number;
  readonly restarts: number;
  /** How often a Container was compared with the model, a round. */
  readonly verdicts: number;
  /** What is not as it must be. */
  readonly failures: readonly string[];
  /** Rounds and audits that were as they had to be. */
  readonly passed: number;
}

/** Carries out what a seed says on a cluster that is up. Stops at the first round that fails. */
export class Chaos {
  readonly #cluster: Cluster;
  readonly #planner: Planner;
  readonly #history = new History();
  readonly #faults: Faults;
  readonly #api: KubeApi;
  readonly #slots: Slots;
  readonly #all: readonly Slot[];
  readonly #failures: string[] = [];
  readonly #watchers = new Map<Slot, FSWatcher>();
  readonly #options: ChaosOptions;
  #verdicts = 0;
  #passed = 0;
  #runs = 0;
  #restarts = 0;

  constructor(cluster: Cluster, options: ChaosOptions) {
    const { seed, containers, wishMs, faults } = options;
    this.#cluster = cluster;
    this.#options = options;
    this.#planner = new Planner(seed, { nodes: cluster.nodes.length, slots: containers, wishMs, faults });
    this.#faults = new Faults(cluster, this.#history);
    this.#api = KubeApi.load({ kubeconfig: cluster.kubeconfig });
    this.#slots = new Slots({
      api: this.#api,
      image: `${cluster.registry.host}/library/busybox:1.36`,
      dir: join(cluster.dir, "chaos"),
      history: this.#history,
    });
    this.#all = Array.from({ length: containers }, (_, number) => this.#slot(number));
  }

  /** Rounds of this length for so long, then the audit. */
  async run(minutes: number, roundMs: number): Promise<Outcome> {
    const started = Date.now();
    const lasts = (): boolean => Date.now() - started < minutes * 60_000 && this.#failures.length === 0;
    const before = await Promise.all(this.#cluster.nodes.map(audit));
    await this.#makeReferences();
    await this.#wishAll(this.#planner.steady());
    await this.#settle("the steady ones");
    for (let number = 1; lasts(); number++) {
      const isFirst = number === 1;
      const halfWay = isFirst && this.#options.killHalfWay === true ? this.#killHalfWay() : undefined;
      await this.#churn(this.#planner.round(halfWay === undefined ? roundMs : 0, isFirst));
      await halfWay;
      await this.#settle(`round ${number}`);
      await this.#options.onRound?.();
    }
    if (this.#failures.length === 0) await this.#audit(before);
    return {
      wishes: this.#slots.wishes,
      faults: this.#faults.counts,
      runs: this.#runs,
      restarts: this.#restarts,
      verdicts: this.#verdicts,
      failures: this.#failures,
      passed: this.#passed,
    };
  }

  /** Lets go of the cluster. */
  async close(): Promise<void> {
    for (const watcher of this.#watchers.values()) watcher.close();
    await this.#slots.close();
    this.#api.close();
  }

  #slot(number: number): Slot {
    const { node, index } = this.#planner.place(number);
    const name = (at: number): string => `chaos-${node}-${at}`;
    return {
      name: name(index),
      node,
      nodeName: this.#node(node).name,
      hostPort: FIRST_PORT + (this.#cluster.nodes[0]?.index ?? 0) * PORTS_A_NODE + number,
      peer: name(ANCHOR),
      steady: index < ANCHOR,
      earlier: [],
    };
  }

  #node(index: number): LocalNode {
    const node = this.#cluster.nodes[index];
    if (node === undefined) throw new Error(`there is no node ${index}`);
    return node;
  }

  async #makeReferences(): Promise<void> {
    const metadata = { name: "chaos", namespace: "default" };
    const data = { word: Buffer.from("chaos").toString("base64") };
    await this.#api.create(configMapPath("default"), { apiVersion: "v1", kind: "ConfigMap", metadata, data });
    await this.#api.create(secretPath("default"), { apiVersion: "v1", kind: "Secret", metadata, data });
  }

  /** Each slot's wishes go one after the other, and so do each part's faults; beside each other all of them. */
  async #churn({ lengthMs, wishes, faults }: Round): Promise<void> {
    const started = Date.now();
    this.#slots.deadline = started + lengthMs + this.#options.settleMs;
    const inTurn = async <T extends { at: number }>(things: readonly T[], each: (thing: T) => Promise<void>) => {
      for (const thing of things) {
        await delay(Math.max(0, started + thing.at - Date.now()));
        await each(thing);
      }
    };
    const bySlot = Map.groupBy(wishes, ({ slot }) => slot);
    const byTarget = Map.groupBy(faults, ({ target }) => target);
    await Promise.all([
      ...[...bySlot.values()].map((own) => inTurn(own, (wish) => this.#wish(wish))),
      ...[...byTarget.values()].map((own) => inTurn(own, (fault) => this.#faults.do(fault))),
      delay(lengthMs),
    ]);
  }

  async #killHalfWay(): Promise<void> {
    const half = this.#all.length / 2;
    while (this.#all.filter((slot) => this.#slots.get(slot)?.status?.startedAt !== undefined).length < half) {
      await this.#slots.news(LOOK_AGAIN_MS);
    }
    await this.#faults.do({ at: 0, target: "agent-0", how: "kill", forMs: 0 });
  }

  async #wishAll(wishes: readonly PlannedWish[]): Promise<void> {
    await Promise.all(wishes.map((wish) => this.#wish(wish)));
  }

  async #wish({ slot: number, wish }: PlannedWish): Promise<void> {
    const slot = this.#all[number];
    if (slot === undefined) throw new Error(`there is no slot ${number}`);
    try {
      await this.#slots.carryOut(slot, wish);
      this.#watchRuns(slot);
    } catch (error) {
      if (!(error instanceof StuckWish)) throw error;
      this.#explain(slot, [`its ${wish.verb} is stuck: ${error.message}`]);
    }
  }

  /** Looks at each start, at once, whether another container of the object is there. */
  #watchRuns(slot: Slot): void {
    const dir = slot.wished?.dir;
    this.#watchers.get(slot)?.close();
    this.#watchers.delete(slot);
    if (dir === undefined) return;
    const watcher = watch(join(dir, "journal"), () => {
      const pids = alive()(dir);
      if (pids.length > 1) this.#failures.push(`${slot.name} ran twice at once: ${pids.join(", ")}`);
    });
    this.#watchers.set(slot, watcher);
  }

  /** Waits until all is as it must be. */
  async #settle(what: string): Promise<void> {
    await Promise.all(this.#cluster.nodes.map((node) => node.agentReady(READY_MS)));
    const started = Date.now();
    const made = this.#all.filter(({ wished, earlier }) => wished !== undefined || earlier.length > 0);
    let differences = await this.#differences(made);
    while (differences.size > 0 && Date.now() - started < this.#options.settleMs) {
      await this.#slots.news(LOOK_AGAIN_MS);
      differences = await this.#differences(made);
    }
    this.#verdicts += made.length;
    this.#failures.push(...this.#faults.problems);
    this.#count(made);
    for (const [about, lines] of differences) this.#explain(about, lines);
    const seconds = ((Date.now() - started) / 1000).toFixed(1);
    if (this.#failures.length === 0) this.#passed++;
    this.#options.say(`${what}: ${made.length} compared, ${differences.size} differ, after ${seconds} s`);
  }

  /** What differs, by slot or node. Nodes are looked at when their Containers are as they must be. */
  async #differences(slots: readonly Slot[]): Promise<Map<Slot | LocalNode, string[]>> {
    const found = new Map<Slot | LocalNode, string[]>();
    const now = alive();
    for (const slot of slots) {
      const lines = judge(slot, {
        container: this.#slots.get(slot),
        runs: slot.wished === undefined ? [] : readJournal(slot.wished.dir),
        alive: now,
        peer: slots.find(({ name }) => name === slot.peer)?.wished,
      });
      if (lines.length > 0) found.set(slot, lines);
    }
    if (found.size > 0) return found;
    for (const node of this.#cluster.nodes) {
      const lines = strangers(await audit(node), this.#containerIDs(node));
      if (lines.length > 0) found.set(node, lines);
    }
    return found;
  }

  #containerIDs(node: LocalNode): Set<string> {
    const own = this.#all.filter(({ nodeName }) => nodeName === node.name);
    const ids = own.map((slot) => this.#slots.get(slot)?.status?.containerID?.replace("containerd://", ""));
    return new Set(ids.filter((id) => id !== undefined));
  }

  #explain(about: Slot | LocalNode, lines: readonly string[]): void {
    this.#failures.push(...lines.map((line) => `${about.name}: ${line}`));
    if (about instanceof LocalNode) {
      const ids = new Set(lines.flatMap((line) => UID.exec(line)?.[0] ?? []));
      for (const id of ids) this.#tell(this.#cluster.nodes.indexOf(about), this.#history.aboutsOf(id), [id]);
      return;
    }
    const { name, node, wished, nodeName } = about;
    const container = this.#slots.get(about);
    const runs = wished === undefined ? [] : readJournal(wished.dir).map((run) => JSON.stringify(run));
    this.#options.say(
      [
        `\n${name} (${wished?.kind ?? "gone"}) on ${nodeName}: ${lines.join("; ")}`,
        `wished: ${JSON.stringify(wished)}`,
        `is: ${container === undefined ? "gone" : summaryOf(container)}`,
        `runs: ${runs.join(" ")}`,
      ].join("\n"),
    );
    this.#tell(node, [name], container === undefined ? [] : [container.metadata.uid]);
  }

  /** Tells the history of slots' Containers, with that of all that failed on their node. */
  #tell(node: number, names: readonly string[], ids: readonly string[]): void {
    const words = [...names.map((name) => `default/${name}"`), ...names.map((name) => `"${name}"`), ...ids];
    const abouts = [...names, `agent-${node}`, `containerd-${node}`, "apiserver"];
    const lines = this.#history.tell(abouts, { file: this.#node(node).agentLogFile, words });
    this.#options.say([`\nhistory of ${[...names, ...ids].join(", ")}:`, ...lines].join("\n"));
  }

  /** Of objects that are wished no more, once. */
  #count(slots: readonly Slot[], last = false): void {
    for (const slot of slots) {
      const over = slot.earlier.splice(0);
      if (last && slot.wished !== undefined) over.push(slot.wished);
      const runs = over.flatMap(({ dir }) => readJournal(dir));
      this.#runs += runs.length;
      this.#restarts += runs.length - new Set(runs.map(({ incarnation }) => incarnation)).size;
    }
  }

  async #audit(before: readonly Audit[]): Promise<void> {
    this.#count(this.#all, true);
    const left = await this.#slots.deleteAll(this.#all, this.#options.settleMs);
    this.#failures.push(...left.map((name) => `${name} can't be deleted`));
    for (const [index, node] of this.#cluster.nodes.entries()) {
      const earlier = before[index];
      const lines = earlier === undefined ? [] : await leaks(node, earlier);
      this.#failures.push(...lines.map((line) => `${node.name}: ${line}`));
    }
    if (this.#failures.length === 0) this.#passed++;
  }
}

/** What a node holds that belongs to no Container of its own, or the other way round. */
function strangers(found: Audit, ids: ReadonlySet<string>): string[] {
  const among = (kind: "task" | "container" | "snapshot" | "sandbox" | "lease" | "network namespace") =>
    found[kind].filter((name) => !ids.has(basename(name))).map((name) => `${kind} ${name} belongs to nothing`);
  const missing = [...ids].filter((id) => !found.container.includes(id));
  return [
    ...(["task", "container", "snapshot", "sandbox", "network namespace"] as const).flatMap(among),
    ...found.lease.map((lease) => `lease ${lease} is left`),
    ...missing.map((id) => `container ${id} is not there`),
  ];
}
