/**
 * A peer in a process of its own: starting a program costs a process the more the more memory it has, and what the benchmark
 * does beside is not the peer's. Both ends of it.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import type { Peer, Shape } from "./peer.ts";

/** What the process is asked. */
type Ask =
  | { readonly id: number; readonly verb: "up" | "down" }
  | { readonly id: number; readonly verb: "start"; readonly name: string; readonly shape: Shape }
  | { readonly id: number; readonly verb: "stop" | "restart" | "recreate" | "remove"; readonly name: string }
  /** The process that is to end by itself, for the `restart` of this id, has been told to. */
  | { readonly id: number; readonly verb: "ended" };

/** What it says. */
type Say =
  | { readonly id: number; readonly done: true; readonly versions: Peer["versions"] }
  | { readonly id: number; readonly error: string }
  /** It waits for the end of the process that the `restart` of this id is about. */
  | { readonly id: number; readonly ready: true };

/** An {@link Ask} without its number, of each kind. */
type Question = Ask extends infer A ? (A extends Ask ? Omit<A, "id"> : never) : never;

/** What is done in the process: a peer's verbs. */
export type Verbs = Pick<Peer, "versions" | "up" | "start" | "stop" | "restart" | "recreate" | "remove" | "down">;

/** The benchmark's end. */
export class PeerProcess {
  versions: Peer["versions"] = {};
  readonly #child: ChildProcess;
  readonly #listeners = new Map<number, (said: Say) => void>();
  #asked = 0;

  /** @param command of a program that calls {@link servePeer} */
  constructor(command: readonly [string, ...string[]], env: NodeJS.ProcessEnv = process.env) {
    const [program, ...args] = command;
    this.#child = spawn(program, args, { stdio: ["inherit", "inherit", "inherit", "ipc"], env });
    this.#child.on("message", (said: Say) => {
      this.#listeners.get(said.id)?.(said);
    });
    this.#child.on("exit", (code) => {
      for (const [id, listener] of this.#listeners) listener({ id, error: `the peer's process ended with ${code}` });
    });
  }

  /**
   * Has it carry out a verb, and returns when that is done.
   * @param end of a `restart`
   * @throws Error with the process' own words
   */
  async ask(question: Question, end?: () => Promise<void>): Promise<void> {
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

  /** Ends it. */
  async down(): Promise<void> {
    if (!this.#child.connected) return;
    const gone = once(this.#child, "exit");
    await this.ask({ verb: "down" });
    this.#child.disconnect();
    await gone;
  }
}

/** The process' end: carries out what the benchmark asks, and ends with it, however that ends. */
export function servePeer(peer: Verbs): void {
  /** Of each `restart` under way. */
  const ended = new Map<number, () => void>();
  const say = (said: Say): void => {
    process.send?.(said);
  };
  const untilEnded = (id: number): Promise<void> => {
    const { promise, resolve } = Promise.withResolvers<undefined>();
    ended.set(id, () => {
      resolve(undefined);
    });
    say({ id, ready: true });
    return promise;
  };
  process.on("message", (ask: Ask) => {
    if (ask.verb === "ended") {
      ended.get(ask.id)?.();
      ended.delete(ask.id);
      return;
    }
    carryOut(peer, ask, () => untilEnded(ask.id)).then(
      () => {
        say({ id: ask.id, done: true, versions: peer.versions });
      },
      (error: unknown) => {
        say({ id: ask.id, error: error instanceof Error ? (error.stack ?? error.message) : String(error) });
      },
    );
  });
  process.on("disconnect", () => {
    process.exit();
  });
}

async function carryOut(peer: Verbs, ask: Exclude<Ask, { verb: "ended" }>, end: () => Promise<void>): Promise<void> {
  switch (ask.verb) {
    case "up":
    case "down":
      return peer[ask.verb]();
    case "start":
      return peer.start(ask.name, ask.shape);
    case "restart":
      return peer.restart?.(ask.name, end);
    case "stop":
    case "recreate":
    case "remove":
      return peer[ask.verb]?.(ask.name);
  }
}
