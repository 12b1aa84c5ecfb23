/**
 * Keeps what was seen of each node's agent, and tells when its standing changes. Nothing is asked of the API server: the
 * facts come by watches, time passes by one timer a node.
 */
import { isDeepStrictEqual } from "node:util";
import { type Clock, KeyTimers, systemClock } from "../kube/index.ts";
import { type Facts, type LeaseFacts, type NodeFacts, type Patience, type Standing, standingOf } from "./standing.ts";

/** An agent's Lease as it is now. */
export interface SeenLease {
  readonly durationMs: number;
  readonly renewTime?: string;
  readonly hadNode: boolean;
}

/** A Node object as it is now. */
export interface SeenNode {
  readonly uid: string;
  readonly notReadySince?: string;
}

/** What {@link Nodes} is given. */
export interface NodesOptions {
  readonly patience: Patience;
  /** A node's standing is another one now. */
  readonly onChange: (nodeName: string) => void;
  /** Milliseconds of a clock that nobody sets. */
  readonly uptime?: () => number;
  readonly after?: Clock["after"];
}

interface Entry {
  lease: LeaseFacts;
  node: NodeFacts;
  standing: Standing;
}

const UNDECIDED: Standing = { kind: "undecided" };

/** The nodes that have, or had, an agent's Lease or an object. */
export class Nodes {
  readonly #options: NodesOptions;
  readonly #uptime: () => number;
  readonly #timers: KeyTimers;
  readonly #entries = new Map<string, Entry>();
  /** The Node objects there are. */
  readonly #objects = new Map<string, SeenNode>();
  #nodesKnown = false;
  #leasesKnown = false;
  /** Time that does not count, for nothing could be seen. */
  #lostMs = 0;
  #awaySince: number | undefined;

  constructor(options: NodesOptions) {
    this.#options = options;
    this.#uptime = options.uptime ?? (() => performance.now());
    this.#timers = new KeyTimers({ now: () => this.#now(), after: options.after ?? systemClock.after });
  }

  /** How a node's agent stands. Nothing is known of any before the Leases are. */
  standing(nodeName: string): Standing {
    return this.#entries.get(nodeName)?.standing ?? UNDECIDED;
  }

  /** All nodes that are known of, with their standing. */
  *standings(): Iterable<readonly [nodeName: string, standing: Standing]> {
    for (const [name, { standing }] of this.#entries) yield [name, standing];
  }

  /** Nodes whose agents have a Lease. */
  agents(): string[] {
    return [...this.#entries].filter(([, { lease }]) => !("missingSince" in lease)).map(([name]) => name);
  }

  /** The Node object, where there is one. */
  node(nodeName: string): SeenNode | undefined {
    return this.#objects.get(nodeName);
  }

  /** An object names the node. */
  need(nodeName: string): void {
    if (!this.#entries.has(nodeName)) this.#look(nodeName, this.#entry(nodeName));
  }

  /** An agent's Lease has come, changed or gone. */
  setLease(nodeName: string, seen: SeenLease | undefined): void {
    const entry = this.#entry(nodeName);
    if (seen === undefined) {
      if (!("missingSince" in entry.lease)) entry.lease = { missingSince: this.#now() };
    } else {
      // What the controller itself has noted in it is no sign of life.
      const { lease } = entry;
      const isNews = "missingSince" in lease || lease.renewTime !== seen.renewTime;
      entry.lease = { ...seen, heardAt: isNews ? this.#now() : lease.heardAt };
    }
    this.#look(nodeName, entry);
  }

  /** A Node object has come, changed or gone. */
  setNode(nodeName: string, seen: SeenNode | undefined): void {
    if (seen === undefined) this.#objects.delete(nodeName);
    else this.#objects.set(nodeName, seen);
    const entry = this.#entries.get(nodeName);
    if (entry !== undefined) this.#lookAtNode(nodeName, entry);
  }

  /** All Leases that there are have been told of: what has none has none. */
  leasesSynced(): void {
    this.#leasesKnown = true;
    for (const [name, entry] of this.#entries) {
      if ("missingSince" in entry.lease) entry.lease = { missingSince: this.#now() };
      this.#look(name, entry);
    }
  }

  /** All Nodes that there are have been told of. */
  nodesSynced(): void {
    this.#nodesKnown = true;
    for (const [name, entry] of this.#entries) this.#lookAtNode(name, entry);
  }

  /** Whether Leases can be seen to change now. While they can't, no time passes for anybody. */
  connected(isConnected: boolean): void {
    if (!isConnected) {
      this.#awaySince ??= this.#uptime();
      return;
    }
    if (this.#awaySince === undefined) return;
    this.#lostMs += this.#uptime() - this.#awaySince;
    this.#awaySince = undefined;
    for (const [name, entry] of this.#entries) this.#look(name, entry);
  }

  /** The node's agent has written what contradicts what was said of it: it lives. */
  contradicted(nodeName: string): void {
    const entry = this.#entries.get(nodeName);
    if (entry === undefined) return;
    const { lease } = entry;
    entry.lease =
      "missingSince" in lease ? { ...lease, contradictedAt: this.#now() } : { ...lease, heardAt: this.#now() };
    this.#look(nodeName, entry);
  }

  /** Ends all timers. */
  close(): void {
    this.#timers.cancelAll();
  }

  #now(): number {
    return (this.#awaySince ?? this.#uptime()) - this.#lostMs;
  }

  #entry(nodeName: string): Entry {
    const known = this.#entries.get(nodeName);
    if (known !== undefined) return known;
    const entry = { lease: { missingSince: this.#now() }, node: this.#factsOf(nodeName), standing: UNDECIDED };
    this.#entries.set(nodeName, entry);
    return entry;
  }

  #factsOf(nodeName: string, before?: NodeFacts): NodeFacts {
    if (!this.#nodesKnown) return "unknown";
    const seen = this.#objects.get(nodeName);
    if (seen !== undefined) return seen;
    const wasMissing = typeof before === "object" && "missingSince" in before;
    return wasMissing ? before : { missingSince: this.#now() };
  }

  #lookAtNode(nodeName: string, entry: Entry): void {
    entry.node = this.#factsOf(nodeName, entry.node);
    this.#look(nodeName, entry);
  }

  #look(nodeName: string, entry: Entry): void {
    if (!this.#leasesKnown) return;
    const facts: Facts = entry;
    const { standing, next } = standingOf(facts, this.#now(), this.#options.patience);
    if (next === undefined) this.#timers.cancel(nodeName);
    else {
      this.#timers.set(nodeName, next, () => {
        this.#look(nodeName, entry);
      });
    }
    if (isDeepStrictEqual(standing, entry.standing)) return;
    entry.standing = standing;
    this.#options.onChange(nodeName);
  }
}
