/** Takes parts away and gives them back. */
import { setTimeout as delay } from "node:timers/promises";
import type { Cluster } from "../../hack/cluster/cluster.ts";
import type { LocalNode } from "../../hack/cluster/local-node.ts";
import type { History } from "./history.ts";
import type { PlannedFault, Target } from "./plan.ts";

/** A part that faults are done to. */
interface Part {
  readonly pid: () => number | undefined;
  readonly end: (how: "kill" | "stop") => Promise<void>;
  readonly start: () => Promise<void>;
}

/** Does faults, counts them, and notes what a part does that no fault explains. */
export class Faults {
  readonly #cluster: Cluster;
  readonly #history: History;
  readonly #counts = new Map<string, number>();
  /** What went wrong with the parts themselves: an agent that ended by itself, or did not on SIGTERM. */
  readonly problems: string[] = [];

  constructor(cluster: Cluster, history: History) {
    this.#cluster = cluster;
    this.#history = history;
  }

  /** Faults so far, by part and kind. */
  get counts(): ReadonlyMap<string, number> {
    return this.#counts;
  }

  /** Does one, and returns when the part is back as far as it is up to the fault. */
  async do({ target, how, forMs }: PlannedFault): Promise<void> {
    const part = this.#part(target);
    const pid = part.pid();
    if (pid === undefined) {
      this.problems.push(`${target} has ended by itself`);
      await part.start();
      return;
    }
    const kind = `${target.replace(/-\d+$/, "")} ${how}`;
    this.#counts.set(kind, (this.#counts.get(kind) ?? 0) + 1);
    this.#history.note(target, `${how} for ${forMs} ms`);
    if (how === "freeze") {
      process.kill(pid, "SIGSTOP");
      await delay(forMs);
      process.kill(pid, "SIGCONT");
    } else {
      await part.end(how).catch((error: unknown) => {
        this.problems.push(`${target}: ${String(error)}`);
      });
      await delay(forMs);
      await part.start();
    }
    this.#history.note(target, "is back");
  }

  #part(target: Target): Part {
    if (target === "apiserver") {
      const { controlPlane } = this.#cluster;
      return {
        pid: () => controlPlane.apiserverPid,
        end: (how) => controlPlane.stopApiserver(how),
        start: () => controlPlane.startApiserver(),
      };
    }
    const [what, number] = target.split("-");
    const node = this.#cluster.nodes[Number(number)];
    if (node === undefined) throw new Error(`there is no ${target}`);
    return what === "agent" ? agentOf(node) : containerdOf(node);
  }
}

function agentOf(node: LocalNode): Part {
  return {
    pid: () => node.agentPid,
    end: (how) => node.stopAgent(how),
    // It need not become ready: what it needs may be away.
    start: () => {
      node.startAgent();
      return Promise.resolve();
    },
  };
}

function containerdOf(node: LocalNode): Part {
  return {
    pid: () => node.containerdPid,
    end: (how) => node.stopContainerd(how),
    start: () => node.startContainerd(),
  };
}
