/** What an agent costs, beside the time that a start takes. */
import { readFileSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";
import type { LocalNode } from "../../hack/cluster/local-node.ts";
import { RequestLog } from "../support/request-log.ts";
import { parameter, say } from "../support/terminal.ts";
import type { Berth } from "./berth.ts";
import { PLAIN, type Shape } from "./peer.ts";
import { rounded } from "./statistics.ts";

/** Containers that are started, stopped or removed at once, to get as many as are wanted. */
const AT_ONCE = 30;
/** Milliseconds after which a start has written all that it will write. */
const SETTLE_MS = 3000;
/** Milliseconds after which an agent with nothing to do has written its Events, and collected its memory. */
const IDLE_MS = 30_000;
/** The node's subnet has no room for more. */
const MOST_ADDRESSES = 200;
/** Of the kernel's accounting: sysconf(_SC_CLK_TCK), 100 on all of Linux' architectures that matter here. */
const TICKS_A_SECOND = 100;

export interface AgentCosts {
  readonly statusWrites?: { readonly starts: number; readonly perStart: number };
  readonly idle?: {
    readonly containers: number;
    readonly seconds: number;
    readonly rssMB: number;
    readonly cpuPercent: number;
    readonly requestsPerMinute: number;
    /** By method and path without its query. */
    readonly requests: Readonly<Record<string, number>>;
  };
  readonly running?: { readonly containers: number; readonly rssMB: number };
}

/** What costs can be measured, and how: each leaves the agent with no Container. */
export const COSTS: Readonly<Record<string, (agent: MeasuredAgent) => Promise<AgentCosts>>> = {
  writes: (agent) => agent.statusWrites(),
  running300: (agent) => agent.running(),
  idle: (agent) => agent.idle(),
};

/** An agent whose requests are written down. Its Containers are the peer's, which sees them by its own way. */
export class MeasuredAgent {
  readonly #node: LocalNode;
  readonly #berth: Berth;
  readonly #newName: () => string;
  readonly #log: RequestLog;

  private constructor(node: LocalNode, berth: Berth, newName: () => string, log: RequestLog) {
    this.#node = node;
    this.#berth = berth;
    this.#newName = newName;
    this.#log = log;
  }

  /** Starts the node's agent anew, behind a door of its own to the API server, for as long as something is measured. */
  static async with<T>(
    { node, berth, newName }: { node: LocalNode; berth: Berth; newName: () => string },
    measure: (agent: MeasuredAgent) => Promise<T>,
  ): Promise<T> {
    await node.stopAgent();
    const log = await RequestLog.withAgent(node);
    try {
      return await measure(new MeasuredAgent(node, berth, newName, log));
    } finally {
      await node.stopAgent();
      await log.close();
      node.startAgent();
      await node.agentReady();
    }
  }

  /** Writes of statuses for a start of which nothing has to be pulled. */
  async statusWrites(): Promise<AgentCosts> {
    const starts = 10;
    const names = Array.from({ length: starts }, this.#newName);
    for (const name of names) await this.#berth.start(name, PLAIN);
    await delay(SETTLE_MS);
    const writes = this.#log.calls("/status").filter((call) => names.some((name) => call.includes(`/${name}/status`)));
    await this.#remove(names);
    return { statusWrites: { starts, perStart: writes.length / starts } };
  }

  /** Memory with many that run: most of them on the bridge, as most are. */
  async running(): Promise<AgentCosts> {
    const count = parameter("RUNNING", 300);
    const names: string[] = [];
    while (names.length < count) {
      const network: Shape["network"] = names.length < Math.min(MOST_ADDRESSES, count) ? "Bridge" : "None";
      const next = Array.from({ length: Math.min(AT_ONCE, count - names.length) }, this.#newName);
      await Promise.all(next.map((name) => this.#berth.start(name, { ...PLAIN, network })));
      names.push(...next);
    }
    // The agent's own memory is collected when it has nothing to do.
    await delay(IDLE_MS);
    const running = { containers: count, rssMB: rssMB(this.#pid) };
    await this.#remove(names);
    return { running };
  }

  /** What an agent takes that has many Containers, all of them stopped, and nothing to do. */
  async idle(): Promise<AgentCosts> {
    const count = parameter("STOPPED", 1000);
    const seconds = parameter("IDLE_SECONDS", 300);
    const names: string[] = [];
    while (names.length < count) {
      const next = Array.from({ length: Math.min(AT_ONCE, count - names.length) }, this.#newName);
      await Promise.all(next.map((name) => this.#berth.start(name, { ...PLAIN, network: "None" })));
      await Promise.all(next.map((name) => this.#berth.stop(name)));
      names.push(...next);
      if (names.length % (10 * AT_ONCE) === 0) say(`${names.length} stopped`);
    }
    await delay(IDLE_MS);
    say(`${count} stopped; looking at the agent for ${seconds} s`);
    const before = { cpu: cpuSeconds(this.#pid), requests: this.#log.requests.length, at: performance.now() };
    await delay(seconds * 1000);
    const took = (performance.now() - before.at) / 1000;
    const requests = this.#log.requests.slice(before.requests).map(({ method, path }) => `${method} ${pathOf(path)}`);
    const idle = {
      containers: count,
      seconds: rounded(took),
      rssMB: rssMB(this.#pid),
      cpuPercent: rounded(((cpuSeconds(this.#pid) - before.cpu) / took) * 100, 3),
      requestsPerMinute: rounded((requests.length / took) * 60, 2),
      requests: Object.fromEntries(
        Map.groupBy(requests, (request) => request)
          .entries()
          .map(([request, all]) => [request, all.length]),
      ),
    };
    await this.#remove(names);
    return { idle };
  }

  async #remove(names: readonly string[]): Promise<void> {
    for (let at = 0; at < names.length; at += AT_ONCE)
      await Promise.all(names.slice(at, at + AT_ONCE).map((name) => this.#berth.remove(name)));
  }

  get #pid(): number {
    const pid = this.#node.agentPid;
    if (pid === undefined) throw new Error("the agent does not run");
    return pid;
  }
}

/** The resident size of a process, in millions of bytes. */
function rssMB(pid: number): number {
  const kiB = Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]);
  return rounded((kiB * 1024) / 1e6);
}

/** Seconds of CPU that a process has used, in user and in kernel mode: proc(5), /proc/pid/stat. */
function cpuSeconds(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
  // Counted from behind the program's name, which may have spaces in it.
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11]) + Number(fields[12])) / TICKS_A_SECOND;
}

function pathOf(path: string): string {
  return path.split("?", 1).join();
}
