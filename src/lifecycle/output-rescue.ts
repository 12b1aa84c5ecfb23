/**
 * Takes over a container's output from a shim that has given it up. A shim that can't write to the log, its disk being full,
 * copies no more of that stream, ever: the container would wait at its next 64 KiB for good. The pipe is still there, so
 * another process can read it: a shell, which outlives the agent and ends with the output, as for a terminal's.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { constants } from "node:fs";
import { open, readdir, readFile, readlink, realpath } from "node:fs/promises";
import { join } from "node:path";
import type { Logger } from "pino";
import { type Cgroups, orMissing } from "../node/index.ts";

/** A run of a container whose output goes to a file through pipes. */
export interface OutputRun {
  readonly pid: number;
  readonly log: string;
  /** Called when its output was taken over. */
  readonly onRescue: () => void;
}

/** In the place of a program's name: by it, and by what follows, a rescuer is found again. */
const NAME = "berth-output";
/**
 * The pipe comes open for reading and writing, so that opening it anew for reading need not wait for a writer; the first is
 * closed, so that the output ends with the container's writers.
 */
const SCRIPT = `exec 3</proc/self/fd/0 </dev/null >>"$1" 2>/dev/null; cd /; until cat <&3; do sleep 1; done`;

/** Looks after the outputs of all runs. Nothing here throws. */
export class OutputRescue {
  readonly #logger: Logger;
  readonly #idle: () => Promise<void>;
  readonly #script: string;
  readonly #runs = new Map<string, OutputRun>();
  readonly #asked = new Set<string>();
  #checking: Promise<void> = Promise.resolve();

  /**
   * @param options.cgroups of the node
   * @param options.idle resolves when there is nothing more urgent to do than to look at a new run
   */
  constructor(options: { cgroups: Pick<Cgroups, "hierarchies">; idle: () => Promise<void>; logger: Logger }) {
    this.#logger = options.logger;
    this.#idle = options.idle;
    this.#script = `${leaveCgroups(options.cgroups)} ${SCRIPT}`;
  }

  /** Follows a key's run, or none any more. One that is new here may have been given up before. */
  follow(key: string, run: OutputRun | undefined): void {
    const known = this.#runs.get(key);
    if (run === undefined) this.#runs.delete(key);
    else this.#runs.set(key, run);
    if (run === undefined || known?.pid === run.pid) return;
    void this.#idle().then(() => {
      const now = this.#runs.get(key);
      if (now?.pid === run.pid) this.#check([now]);
    });
  }

  /** Looks at a key's run, once however often it is asked meanwhile: its log had no room. */
  look(key: string): void {
    if (this.#asked.has(key)) return;
    this.#asked.add(key);
    void this.#checking.then(() => {
      this.#asked.delete(key);
      const run = this.#runs.get(key);
      if (run !== undefined) this.#check([run]);
    });
  }

  /** Looks at all runs. */
  checkAll(): void {
    this.#check([...this.#runs.values()]);
  }

  #check(runs: readonly OutputRun[]): void {
    this.#checking = this.#checking.then(async () => {
      for (const run of runs) {
        try {
          if (await rescue(run, this.#script)) {
            this.#logger.warn({ log: run.log, pid: run.pid }, "took over output that the shim had given up");
            run.onRescue();
          }
        } catch (error) {
          this.#logger.debug({ err: error, log: run.log }, "output can't be looked at");
        }
      }
    });
  }
}

/** Answers whether a stream had to be taken over. */
async function rescue({ pid, log }: OutputRun, script: string): Promise<boolean> {
  const [own, shims, file] = await Promise.all([
    openFiles(pid),
    parentOf(pid).then(openFiles),
    orMissing(realpath(log)),
  ]);
  if (file === undefined) return false;
  const held = [...shims.values()];
  const streams = ["1", "2"].flatMap((fd) => {
    const pipe = own.get(fd);
    return pipe?.startsWith("pipe:") === true && held.includes(pipe) ? [[pipe, fd] as const] : [];
  });
  // Both may be one, and one that the process has closed or sent elsewhere has ended rightly.
  const pipes = new Map(streams);
  // The shim has the log open once for each stream that it copies; which of two it has given up can't be seen.
  if (held.filter((path) => path === file || path === `${file} (deleted)`).length >= pipes.size) return false;
  const commands = await allCommands();
  const orphans = [...pipes].filter(([pipe]) => !commands.has(commandOf(file, pipe)));
  for (const [pipe, fd] of orphans) await takeOver(`/proc/${pid}/fd/${fd}`, script, file, pipe);
  return orphans.length > 0;
}

async function takeOver(path: string, script: string, log: string, pipe: string): Promise<void> {
  await using stream = await open(path, constants.O_RDWR | constants.O_NONBLOCK);
  const shell = spawn("/bin/sh", ["-c", script, NAME, log, pipe], {
    detached: true,
    stdio: [stream.fd, "ignore", "ignore"],
  });
  shell.unref();
  await once(shell, "spawn");
}

/**
 * The beginning of a rescuer's script: it leaves the agent's cgroup, for a Pod or a service is ended with all that is in its
 * own. Its children are to be out of there, too, hence by itself.
 */
function leaveCgroups({ hierarchies }: Pick<Cgroups, "hierarchies">): string {
  return hierarchies.map(({ mountPoint }) => `echo 0 2>/dev/null >'${mountPoint}/cgroup.procs';`).join(" ");
}

/** How a rescuer's command line ends. */
function commandOf(log: string, pipe: string): string {
  return [NAME, log, pipe, ""].join("\0");
}

/** The ends of the command lines of all rescuers. */
async function allCommands(): Promise<Set<string>> {
  const pids = (await readdir("/proc")).filter((name) => /^\d+$/.test(name));
  const found = await Promise.all(pids.map((pid) => readFile(`/proc/${pid}/cmdline`, "utf8").catch(() => "")));
  return new Set(found.flatMap((line) => (line.includes(`\0${NAME}\0`) ? [line.slice(line.indexOf(NAME))] : [])));
}

async function parentOf(pid: number): Promise<number> {
  const stat = await readFile(`/proc/${pid}/stat`, "utf8");
  return Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1]);
}

/** What a process has open, by descriptor. */
async function openFiles(pid: number): Promise<Map<string, string>> {
  const folder = `/proc/${pid}/fd`;
  const files = new Map<string, string>();
  for (const fd of await readdir(folder)) {
    const target = await orMissing(readlink(join(folder, fd)));
    if (target !== undefined) files.set(fd, target);
  }
  return files;
}
