/** Real agents with the hook in them. The next is loaded while the present one lives, and begins when that is dead. */
import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, openSync, rmSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { join, resolve } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as delay } from "node:timers/promises";
import { Daemon } from "../../hack/cluster/daemon.ts";
import { AGENT_SOURCE, type LocalNode } from "../../hack/cluster/local-node.ts";
import { readiness } from "../support/away.ts";
import type { Command, Death, Moment } from "./trace.ts";

const HOOK = resolve(import.meta.dirname, "hook.ts");
const POLL_MS = 5;
const TIMEOUT_MS = 30_000;

/** An agent's process, from its loading to its death. */
export class CrashAgent {
  /** Resolves when the process is gone, with the signal that ended it. */
  readonly ended: Promise<NodeJS.Signals | null>;
  readonly #node: LocalNode;
  readonly #child: ChildProcess;
  readonly #connected: Promise<Socket>;
  readonly #answers: ((answer: unknown) => void)[] = [];

  /**
   * Begins to load an agent; it waits before its program until {@link begin}.
   * @param source where the instrumented source is
   */
  constructor(node: LocalNode, source: string, number: number) {
    this.#node = node;
    const socket = join(node.runDir, `hook-${number}.sock`);
    const [program, ...args] = AGENT_SOURCE;
    const flags = Object.entries(node.agentFlags()).map(([name, value]) => `--${name}=${value}`);
    const log = openSync(node.agentLogFile, "a");
    this.#child = spawn(program, ["--disable-warning=ExperimentalWarning", `--import=${HOOK}`, ...args, ...flags], {
      detached: true,
      stdio: ["ignore", log, log],
      env: {
        PATH: process.env["PATH"],
        HOME: process.env["HOME"],
        BERTH_CRASH_SOCKET: socket,
        BERTH_CRASH_SOURCE: source,
        NODE_COMPILE_CACHE: join(node.dir, "compile-cache"),
        // The node's own agent, as far as its clearing away is concerned.
        ...Daemon.mark(join(node.dir, "agent")),
      },
    });
    closeSync(log);
    this.ended = new Promise((done) => {
      this.#child.once("exit", (_, signal) => {
        rmSync(socket, { force: true });
        done(signal);
      });
    });
    this.#connected = this.#connect(socket);
    // Told to who asks for something.
    this.#connected.catch(() => undefined);
  }

  /** Lets it run its program, and returns when it is ready (connected, and the last one's leavings cleared), or dead. */
  async begin(): Promise<void> {
    await this.#ask({ command: "go" });
    const deadline = Date.now() + TIMEOUT_MS;
    while (!this.#isDead && !(await readiness(this.#node)).ready) {
      if (Date.now() > deadline) throw new Error("the agent was not ready in time");
      await delay(POLL_MS);
    }
  }

  /** Has it die at a moment, counted from now on. */
  async dieAt(at: Death): Promise<void> {
    await this.#ask({ command: "die", at });
  }

  /** Begins to record. */
  async record(): Promise<void> {
    await this.#ask({ command: "record" });
  }

  /** What was recorded. */
  async recorded(): Promise<Moment[]> {
    return (await this.#ask({ command: "tell" })) as Moment[];
  }

  /** Returns when it has done nothing for so many milliseconds, and nothing outside is under way for it. */
  async rest(forMs: number): Promise<void> {
    await this.#ask({ command: "rest", forMs });
  }

  /** Kills it, whatever it does. */
  async kill(): Promise<void> {
    this.#child.kill("SIGKILL");
    await this.ended;
  }

  get #isDead(): boolean {
    return this.#child.exitCode !== null || this.#child.signalCode !== null;
  }

  async #ask(command: Command): Promise<unknown> {
    const socket = await this.#connected;
    const answer = new Promise((done) => this.#answers.push(done));
    socket.write(`${JSON.stringify(command)}\n`);
    const died = this.ended.then(() => {
      throw new Error("the agent has died");
    });
    return Promise.race([answer, died]);
  }

  async #connect(path: string): Promise<Socket> {
    const deadline = Date.now() + TIMEOUT_MS;
    for (;;) {
      const socket = await tryConnect(path);
      if (socket !== undefined) {
        const lines = createInterface(socket);
        lines.on("line", (line) => this.#answers.shift()?.(JSON.parse(line)));
        // Of a process that was killed.
        lines.on("error", () => undefined);
        return socket;
      }
      if (this.#isDead) throw new Error("the agent has died");
      if (Date.now() > deadline) throw new Error("the hook does not answer");
      await delay(POLL_MS);
    }
  }
}

function tryConnect(path: string): Promise<Socket | undefined> {
  return new Promise((done) => {
    const socket = connect(path);
    socket.once("connect", () => {
      done(socket);
    });
    socket.on("error", () => {
      done(undefined);
    });
  });
}
