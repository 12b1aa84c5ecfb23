// A process of the local cluster that outlives the command which started it. It is known by a mark in its environment,
// not by its number alone: numbers are used again, and a command killed half-way may not have written one down.
import { spawn } from "node:child_process";
import { closeSync, mkdirSync, openSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";

const MARK = "BERTH_LOCAL";
const POLL_MS = 20;

export type StartOptions = { env?: Record<string, string>; cwd?: string };

/** A daemon that ended, or was not ready in time. The message carries the end of its log. */
export class DaemonError extends Error {
  override readonly name = "DaemonError";
  readonly log: string;

  constructor(name: string, what: string, log: string) {
    super(`${name} ${what}${log === "" ? "" : `; the end of its log:\n${log}`}`);
    this.log = log;
  }
}

/** One daemon: pid file `<dir>/<name>.pid`, both output streams in `<dir>/<name>.log`. Any process can stop it. */
export class Daemon {
  readonly name: string;
  readonly logFile: string;
  readonly #mark: string;
  readonly #pidFile: string;
  /** The one that this object has started last. */
  #child: number | undefined;

  constructor(dir: string, name: string) {
    this.name = name;
    this.logFile = join(dir, `${name}.log`);
    this.#pidFile = join(dir, `${name}.pid`);
    this.#mark = join(dir, name);
  }

  /** Its process id while it runs. */
  get pid(): number | undefined {
    const pid = Number(readText(this.#pidFile) ?? NaN);
    return Number.isInteger(pid) && this.#isMarked(pid) ? pid : undefined;
  }

  /** The variable that marks a process as belonging to what is in `path`: see {@link markedProcesses}. */
  static mark(path: string): Record<string, string> {
    return { [MARK]: path };
  }

  /** Starts it, detached, unless it runs. Its environment is PATH and HOME, and what is given. */
  start(command: readonly [string, ...string[]], options: StartOptions = {}): void {
    if (this.pid !== undefined) return;
    mkdirSync(dirname(this.logFile), { recursive: true });
    const log = openSync(this.logFile, "a");
    const [program, ...args] = command;
    const child = spawn(program, args, {
      detached: true,
      stdio: ["ignore", log, log],
      env: { PATH: process.env["PATH"], HOME: process.env["HOME"], ...options.env, ...Daemon.mark(this.#mark) },
      ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
    });
    closeSync(log);
    // A program that can't be executed shows as a daemon that is not running, with this in its log.
    child.once("error", (error) => {
      writeFileSync(this.logFile, `${error.message}\n`, { flag: "a" });
    });
    this.#child = child.pid;
    if (child.pid !== undefined) writeFileSync(this.#pidFile, String(child.pid));
    child.unref();
  }

  /**
   * Waits until `probe` answers true.
   *
   * @throws DaemonError when it ends before that, or takes longer than `timeoutMs`
   */
  async waitUntil(what: string, probe: () => Promise<boolean>, timeoutMs: number): Promise<void> {
    const deadline = Date.now() + timeoutMs;
    while (!(await probe())) {
      if (this.pid === undefined) throw new DaemonError(this.name, "ended by itself", this.logTail());
      if (Date.now() > deadline) throw new DaemonError(this.name, `was not ${what} in time`, this.logTail());
      await delay(POLL_MS);
    }
  }

  /** Sends a signal to it, if it runs. */
  signal(signal: NodeJS.Signals): void {
    kill(this.pid, signal);
  }

  /** Ends it: SIGTERM, and SIGKILL for what is still there after `timeoutMs`. Returns when it is gone. */
  async stop(timeoutMs = 10_000): Promise<void> {
    const { pid } = this;
    this.signal("SIGTERM");
    if (!(await this.#gone(pid, timeoutMs))) await this.kill();
    rmSync(this.#pidFile, { force: true });
  }

  /** Ends it with SIGKILL, as a crash does. Returns when it is gone. */
  async kill(): Promise<void> {
    const { pid } = this;
    this.signal("SIGKILL");
    if (!(await this.#gone(pid, 10_000))) throw new DaemonError(this.name, "does not end on SIGKILL", "");
    rmSync(this.#pidFile, { force: true });
  }

  /** The last lines of its log. */
  logTail(lines = 15): string {
    return (readText(this.logFile) ?? "").trimEnd().split("\n").slice(-lines).join("\n");
  }

  /** Everything that was started by it, or by what it started, and kept its environment; itself first. */
  family(): number[] {
    return markedProcesses(this.#mark);
  }

  async #gone(pid: number | undefined, timeoutMs: number): Promise<boolean> {
    const deadline = Date.now() + timeoutMs;
    while (pid !== undefined && isThere(pid)) {
      if (Date.now() > deadline) return false;
      await delay(POLL_MS);
    }
    return true;
  }

  #isMarked(pid: number): boolean {
    return environment(pid).includes(`${MARK}=${this.#mark}`) || (this.#child === pid && isStarting(pid));
  }
}

/** Whether a process is there whose program is just taking the place of another one: it has no environment for a moment. */
function isStarting(pid: number): boolean {
  if (environment(pid).some(Boolean)) return false;
  const state = /^\d+ \(.*\) (\S)/s.exec(readText(`/proc/${pid}/stat`) ?? "")?.[1];
  return state !== undefined && !"ZX".includes(state);
}

/** Processes whose mark is this path, or below it. */
export function markedProcesses(path: string): number[] {
  const isOurs = (entry: string) => entry === `${MARK}=${path}` || entry.startsWith(`${MARK}=${path}/`);
  return processIds().filter((pid) => pid !== process.pid && environment(pid).some(isOurs));
}

/** Processes that were started as, or with, something whose path begins so: also those that have lost their mark. */
export function processesNaming(prefix: string): number[] {
  const names = (pid: number): boolean =>
    (readText(`/proc/${pid}/cmdline`) ?? "").split("\0").some((word) => word.startsWith(prefix));
  return processIds().filter((pid) => pid !== process.pid && names(pid));
}

/** Ends these processes with SIGKILL. */
export function killAll(pids: readonly number[]): void {
  for (const pid of pids) kill(pid, "SIGKILL");
}

/** All processes of the machine. */
export function processIds(): number[] {
  return readdirSync("/proc")
    .filter((entry) => /^\d+$/.test(entry))
    .map(Number);
}

// Empty for a process that has ended, a zombie included.
function environment(pid: number): string[] {
  return (readText(`/proc/${String(pid)}/environ`) ?? "").split("\0");
}

/**
 * Whether anything of a process is left. Its environment goes first; its other threads, with them its sockets, may live on
 * for a while, and whoever takes its place would find the address in use.
 */
function isThere(pid: number): boolean {
  const stat = readText(`/proc/${String(pid)}/stat`);
  if (stat === undefined) return false;
  const isZombie = stat.slice(stat.lastIndexOf(")")).startsWith(") Z");
  return !isZombie || threadsOf(pid) > 1;
}

function threadsOf(pid: number): number {
  try {
    return readdirSync(`/proc/${String(pid)}/task`).length;
  } catch {
    return 0;
  }
}

function kill(pid: number | undefined, signal: NodeJS.Signals): void {
  if (pid === undefined) return;
  try {
    process.kill(pid, signal);
  } catch {
    // It has just ended.
  }
}

/** A file's text, or undefined when it can't be read. */
export function readText(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return undefined;
  }
}
