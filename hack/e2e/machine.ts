// The machine of machine.sh, from outside: started, entered and taken away.
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, readFileSync, rmSync } from "node:fs";
import { join, resolve } from "node:path";
import { cgroupDirectories, detectCgroups, processesIn, removeCgroup } from "../../src/node/index.ts";
import { Daemon, killAll } from "../cluster/daemon.ts";
import { freeze, thawBelow } from "../cluster/traces.ts";

const SCRIPT = join(import.meta.dirname, "machine.sh");
const NAMESPACES = ["--mount", "--net", "--pid", "--ipc", "--uts", "--cgroup"] as const;

/** Any process can open it again by its directory. */
export class Machine {
  readonly dir: string;
  /** The cgroup of this machine that is the root of the other's. */
  readonly cgroup: string;
  readonly #daemon: Daemon;

  constructor(dir: string) {
    this.dir = resolve(dir);
    this.cgroup = `/berth-e2e-${createHash("sha256").update(this.dir).digest("hex").slice(0, 12)}`;
    this.#daemon = new Daemon(this.dir, "machine");
  }

  /**
   * Starts it with `command`, and waits until that has written `readyFile`.
   *
   * @param options.keep directories that it shares with this machine, read and write
   * @param options.isKept whether it outlives this process
   * @throws DaemonError when the command failed, with the end of its output, or takes longer than `timeoutMs`
   */
  async start(
    command: readonly string[],
    options: {
      keep: readonly string[];
      readyFile: string;
      isKept: boolean;
      env: Record<string, string>;
      timeoutMs: number;
    },
  ): Promise<void> {
    const { keep, readyFile, isKept, env, timeoutMs } = options;
    const dying = isKept ? (["setpriv"] as const) : (["setpriv", "--pdeathsig", "KILL"] as const);
    this.#daemon.start([...dying, "--", SCRIPT, this.cgroup, ...keep, "--", ...command], { env });
    await this.#daemon.waitUntil("ready", () => Promise.resolve(existsSync(readyFile)), timeoutMs);
  }

  /** Runs a command in it, with this process's own streams. Answers its exit code. */
  async enter(command: readonly string[], env: Record<string, string>): Promise<number> {
    const [program, ...args] = this.command(command);
    const child = spawn(program, args, { stdio: "inherit", env });
    return new Promise((done, fail) => {
      child.once("error", fail);
      child.once("exit", (code) => {
        done(code ?? 1);
      });
    });
  }

  /**
   * What runs a command in it.
   *
   * @throws Error when it does not run
   */
  command(command: readonly string[]): [string, ...string[]] {
    const { pid } = this.#daemon;
    if (pid === undefined) throw new Error("the machine does not run");
    const init = readFileSync(`/proc/${String(pid)}/task/${String(pid)}/children`, "utf8").trim();
    return ["nsenter", "--target", init, ...NAMESPACES, "--", "env", "-C", process.cwd(), ...command];
  }

  /** Has all that runs in it stand still. */
  async freeze(): Promise<void> {
    cgroupDirectories(await detectCgroups(), this.cgroup).forEach(freeze);
  }

  /** Has it go on. */
  async thaw(): Promise<void> {
    cgroupDirectories(await detectCgroups(), this.cgroup).forEach(thawBelow);
  }

  /** Ends everything in it and removes every trace. Also of one that came up half-way, or not at all; safe to repeat. */
  async stop(): Promise<void> {
    await this.#daemon.kill();
    const cgroups = await detectCgroups();
    // A paused container would not hear of its end.
    await this.thaw();
    // The kernel ends what was in it one by one; and what was killed before it had namespaces of its own.
    const { promise: gone, resolve: done } = Promise.withResolvers<undefined>();
    const look = setInterval(() => {
      void processesIn(cgroups, this.cgroup).then((pids) => {
        killAll(pids);
        if (pids.length === 0) done(undefined);
      });
    }, 20);
    await gone;
    clearInterval(look);
    await removeCgroup(cgroups, this.cgroup);
    rmSync(this.dir, { recursive: true, force: true });
  }
}
