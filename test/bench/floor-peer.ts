/**
 * The floor in a process of its own, as an agent is one: starting a program costs a process the more the more memory it has,
 * and what the benchmark does beside is not the floor's.
 */
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import type { LocalNode } from "../../hack/cluster/local-node.ts";
import type { Floor, FloorOptions } from "./floor.ts";
import type { Peer, Shape } from "./peer.ts";

/** What the floor's process is asked. */
export type Ask =
  | { readonly id: number; readonly verb: "up" | "down" }
  | { readonly id: number; readonly verb: "start"; readonly name: string; readonly shape: Shape }
  | { readonly id: number; readonly verb: "stop" | "restart" | "recreate" | "remove"; readonly name: string }
  /** The process that is to end by itself, for the `restart` of this id, has been told to. */
  | { readonly id: number; readonly verb: "ended" };

/** What it says. */
export type Say =
  | { readonly id: number; readonly done: true; readonly versions: Floor["versions"] }
  | { readonly id: number; readonly error: string }
  /** It waits for the end of the process that the `restart` of this id is about. */
  | { readonly id: number; readonly ready: true };

/** An {@link Ask} without its number, of each kind. */
type Question = Ask extends infer A ? (A extends Ask ? Omit<A, "id"> : never) : never;

export class FloorPeer implements Peer {
  readonly name = "floor";
  readonly measures = "from the first call to containerd or CNI until Tasks.Start has answered";
  versions: Floor["versions"] = {};
  readonly #child: ChildProcess;
  readonly #listeners = new Map<number, (said: Say) => void>();
  #asked = 0;

  constructor({ node, ...options }: Omit<FloorOptions, "node"> & { readonly node: LocalNode }) {
    // What the other process needs of the node, as plain data.
    const { name, containerdAddress, containerdNamespace, bridgeName, bridgeSubnet, cgroupRoot } = node;
    const { stateDir, dataDir, logDir } = node;
    const names = { name, containerdAddress, containerdNamespace, bridgeName, bridgeSubnet, cgroupRoot };
    const told: FloorOptions = { ...options, node: { ...names, stateDir, dataDir, logDir } };
    const program = `${import.meta.dirname}/floor-program.ts`;
    this.#child = fork(program, [JSON.stringify(told)], { execArgv: [] });
    this.#child.on("message", (said: Say) => {
      this.#listeners.get(said.id)?.(said);
    });
    this.#child.on("exit", (code) => {
      for (const [id, listener] of this.#listeners) listener({ id, error: `the floor's process ended with ${code}` });
    });
  }

  up(): Promise<void> {
    return this.#ask({ verb: "up" });
  }

  start(name: string, shape: Shape): Promise<void> {
    return this.#ask({ verb: "start", name, shape });
  }

  stop(name: string): Promise<void> {
    return this.#ask({ verb: "stop", name });
  }

  restart(name: string, end: () => Promise<void>): Promise<void> {
    return this.#ask({ verb: "restart", name }, end);
  }

  recreate(name: string): Promise<void> {
    return this.#ask({ verb: "recreate", name });
  }

  remove(name: string): Promise<void> {
    return this.#ask({ verb: "remove", name });
  }

  async down(): Promise<void> {
    if (!this.#child.connected) return;
    const gone = once(this.#child, "exit");
    await this.#ask({ verb: "down" });
    this.#child.disconnect();
    await gone;
  }

  async #ask(question: Question, end?: () => Promise<void>): Promise<void> {
    const id = ++this.#asked;
    const { promise, resolve, reject } = Promise.withResolvers<undefined>();
    this.#listeners.set(id, (said) => {
      if ("error" in said) reject(new Error(said.error));
      else if ("done" in said) {
        this.versions = said.versions;
        resolve(undefined);
      } else end?.().then(() => this.#child.send({ id, verb: "ended" } satisfies Ask), reject);
    });
    this.#child.send({ ...question, id } satisfies Ask);
    try {
      await promise;
    } finally {
      this.#listeners.delete(id);
    }
  }
}
