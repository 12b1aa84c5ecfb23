/** Processes beside a container's first one, in its task: `docker exec` and health checks. */
import { randomUUID } from "node:crypto";
import { readFile, rm } from "node:fs/promises";
import type { Socket } from "node:net";
import { join } from "node:path";
import { type Readable, Writable } from "node:stream";
import { setTimeout as delay } from "node:timers/promises";
import {
  type Containerd,
  isDeadlineExceeded,
  isNotFound,
  isUnavailable,
  packProcess,
  taskState,
} from "../containerd/index.ts";
import { makeFifos, openFifoReader, openFifoWriter, orMissing } from "../node/index.ts";
import type { OciProcess } from "../oci/index.ts";
import { SIGKILL } from "./task.ts";

type Tasks = Containerd["tasks"];

/** A process to be run. */
export interface ExecOptions {
  readonly containerID: string;
  /** Made by oci's `execProcess`. */
  readonly process: OciProcess;
  /** The directory for the FIFOs of its streams: {@link execDirectory}. */
  readonly directory: string;
  /** Its exec id, unique in the container at a time; one of its own unless given. */
  readonly id?: string;
  /** Whether it can be written to; else its input is empty. */
  readonly stdin?: boolean;
  /** Cancels the start. */
  readonly signal?: AbortSignal | undefined;
}

/** The directory for the FIFOs of a container's execs; they are there only until they are opened. */
export function execDirectory(stateDir: string, containerID: string): string {
  return join(stateDir, "exec", containerID);
}

/** What a process has ended with that was gone before it could be asked: its container's end kills it. */
const KILLED = 128 + SIGKILL;

/** Milliseconds that a process may take to end on SIGKILL; one in an uninterruptible wait, or frozen, does not. */
const KILL_BOUND_MS = 10_000;
/** Milliseconds without a byte after which what still holds the streams of an ended process is a child it has left behind. */
const QUIET_MS = 500;
/** Milliseconds that the shim may take to close streams it was told to close. */
const CLOSE_BOUND_MS = 1000;
const RECONNECT_MS = 200;

/**
 * A process in a container's task, with its streams. To be disposed of: that kills it if it still runs, and leaves nothing
 * behind at containerd, in the shim or in the directory. Whoever has it reads `stdout` and `stderr`: an unread stream
 * holds the process up.
 */
export class Exec implements AsyncDisposable {
  readonly id: string;
  readonly #tasks: Tasks;
  readonly #options: ExecOptions;
  readonly #outputs: Socket[] = [];
  /** Fulfilled when all of the outputs have ended. */
  #ended: Promise<unknown> = Promise.resolve();
  #input: Writable | undefined;
  #pid: number | undefined;
  #deleted = false;

  private constructor(tasks: Tasks, options: ExecOptions) {
    this.#tasks = tasks;
    this.#options = options;
    this.id = options.id ?? `exec-${randomUUID()}`;
  }

  /**
   * Starts a process.
   * @throws ContainerdError, with the runtime's words when the process can't be; CommandError; the signal's reason
   */
  static async start(tasks: Tasks, options: ExecOptions): Promise<Exec> {
    const exec = new Exec(tasks, options);
    try {
      await exec.#start();
      return exec;
    } catch (error) {
      await exec[Symbol.asyncDispose]().catch(() => undefined);
      options.signal?.throwIfAborted();
      throw error;
    }
  }

  /** What the process writes; with a terminal, on either stream. */
  get stdout(): Readable {
    return this.#output(0);
  }

  /** Absent with a terminal. */
  get stderr(): Readable | undefined {
    return this.#outputs[1];
  }

  /** What the process reads, if it was asked for; ending it is the end of the process's input. */
  get stdin(): Writable | undefined {
    return this.#input;
  }

  /** Sends the process a signal; one that has ended is as good. */
  async kill(signal: number): Promise<void> {
    await this.#tasks.kill({ ...this.#name(), signal, all: false }).catch(ignoreNotFound);
  }

  /** Sets the size of the process's terminal, in characters. */
  async resize({ width, height }: { readonly width: number; readonly height: number }): Promise<void> {
    await this.#tasks.resizePty({ ...this.#name(), width, height }).catch(ignoreNotFound);
  }

  /**
   * Answers the process's exit code when it has ended and all it has written has been read. containerd may go away and
   * come back meanwhile.
   * @throws the signal's reason when it was aborted; the process then still runs
   */
  async wait(signal?: AbortSignal): Promise<number> {
    const exitCode = await this.#exitCode(signal);
    // What it wrote may still be on its way. A child that it left behind, though, may hold its streams for ever.
    let before: number;
    do before = this.#bytesRead();
    while (!(await this.#endsWithin(QUIET_MS)) && this.#bytesRead() !== before);
    await this[Symbol.asyncDispose]();
    return exitCode;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // The shim's copying must not be left with a stream that nobody reads, or it would wait for ever.
    for (const output of this.#outputs) output.unpipe().resume();
    try {
      await this.#delete();
      if (this.#pid !== undefined) await this.#endsWithin(CLOSE_BOUND_MS);
    } finally {
      for (const stream of [...this.#outputs, this.#input]) stream?.destroy();
      await this.#removeFifos();
    }
  }

  async #start(): Promise<void> {
    const { process, signal, stdin = false } = this.#options;
    const { terminal } = process;
    const outputs = terminal ? ["stdout"] : ["stdout", "stderr"];
    const path = (name: string): string => join(this.#directory(), name);
    await makeFifos(this.#directory(), stdin ? ["stdin", ...outputs] : outputs);
    // Before the shim opens them for writing, which would wait for somebody who reads.
    for (const name of outputs) this.#outputs.push(await openFifoReader(path(name)));
    this.#ended = Promise.all(this.#outputs.map(endOf));
    await this.#tasks.exec(
      {
        ...this.#name(),
        terminal,
        stdin: stdin ? path("stdin") : "",
        stdout: path("stdout"),
        stderr: terminal ? "" : path("stderr"),
        spec: packProcess(process),
      },
      { signal },
    );
    ({ pid: this.#pid } = await this.#tasks.start(this.#name(), { signal }));
    if (stdin) this.#input = await this.#openInput(path("stdin"), signal);
    await this.#removeFifos();
  }

  async #openInput(path: string, signal: AbortSignal | undefined): Promise<Writable> {
    // Should the process, and the shim with it, end just now, nobody would ever read.
    const gone = new AbortController();
    const settled = new AbortController();
    void this.#exitCode(settled.signal).then(
      () => {
        gone.abort();
      },
      () => undefined,
    );
    try {
      const input = await openFifoWriter(
        path,
        AbortSignal.any([gone.signal, ...(signal === undefined ? [] : [signal])]),
      );
      // It is the process's right to leave its input unread.
      input.on("error", () => undefined);
      input.once("close", () => {
        // The shim holds the FIFO open, too, so that one writer of many is not the end.
        void this.#tasks.closeIO({ ...this.#name(), stdin: true }).catch(() => undefined);
      });
      return input;
    } catch (error) {
      if (gone.signal.aborted)
        return new Writable({
          write: (_chunk, _encoding, done) => {
            done();
          },
        });
      throw error;
    } finally {
      settled.abort();
    }
  }

  async #exitCode(signal: AbortSignal | undefined): Promise<number> {
    for (;;) {
      signal?.throwIfAborted();
      try {
        return (await this.#tasks.wait(this.#name(), { signal })).exitStatus;
      } catch (error) {
        signal?.throwIfAborted();
        if (isNotFound(error)) return KILLED;
        if (!isUnavailable(error)) throw error;
      }
      // The shim, and with it the process and its streams, outlives containerd.
      await delay(RECONNECT_MS, undefined, { signal });
    }
  }

  /** Deletes the process at containerd, whatever state it is in. */
  async #delete(): Promise<void> {
    if (this.#deleted) return;
    try {
      await this.#deleteEnded();
    } catch {
      // It runs. (containerd has no code of its own for that.)
      if (this.#pid !== undefined) await killGroup(this.#pid, this.#options.containerID);
      await this.kill(SIGKILL);
      await this.#tasks.wait(this.#name(), { timeoutMs: KILL_BOUND_MS }).catch(ignoreNotFound);
      await this.#deleteEnded();
    }
    this.#deleted = true;
  }

  /** The shim waits for streams that a child of the process still holds as long as the call may take, then closes them. */
  async #deleteEnded(): Promise<void> {
    const remove = (timeoutMs?: number): Promise<unknown> =>
      this.#tasks.deleteProcess(this.#name(), { timeoutMs }).catch(ignoreNotFound);
    await remove(CLOSE_BOUND_MS).catch((error: unknown) => {
      if (!isDeadlineExceeded(error)) throw error;
      return remove();
    });
  }

  #name(): { containerId: string; execId: string } {
    return { containerId: this.#options.containerID, execId: this.id };
  }

  #directory(): string {
    return join(this.#options.directory, this.id);
  }

  #removeFifos(): Promise<void> {
    return rm(this.#directory(), { recursive: true, force: true });
  }

  #output(index: number): Socket {
    const output = this.#outputs[index];
    if (output === undefined) throw new Error("the process has not been started");
    return output;
  }

  /** Bytes that have come, as far as whoever reads them keeps up; another number each time while they don't. */
  #bytesRead(): number {
    if (this.#outputs.some((output) => output.readableLength > 0)) return NaN;
    return this.#outputs.reduce((sum, output) => sum + output.bytesRead, 0);
  }

  async #endsWithin(ms: number): Promise<boolean> {
    const settled = new AbortController();
    const bound = delay(ms, false, { signal: settled.signal }).catch(() => false);
    const ended = await Promise.race([this.#ended.then(() => true), bound]);
    settled.abort();
    return ended;
  }
}

/** What a process that ran to its end, or was not let, has written and ended with. */
export interface Captured {
  /** Absent when the time was over before the process had ended: it was killed. */
  readonly exitCode?: number;
  /** Both streams, in the order they were read, and no more than was asked for. */
  readonly output: string;
}

/**
 * Runs a process and keeps what it writes.
 *
 * @param options.maxBytes of the output that are kept; the rest is read and dropped
 * @param options.timeoutMs after which the process is killed, with the children of its session
 * @throws as {@link Exec.start}; the signal's reason when it was aborted
 */
export async function capture(
  tasks: Tasks,
  options: ExecOptions & { readonly maxBytes: number; readonly timeoutMs: number },
): Promise<Captured> {
  const { maxBytes, timeoutMs } = options;
  const chunks: Buffer[] = [];
  let length = 0;
  const keep = (chunk: Buffer): void => {
    if (length < maxBytes) chunks.push(chunk.subarray(0, maxBytes - length));
    length += chunk.length;
  };
  const output = (): string => Buffer.concat(chunks).toString("utf8");
  const timeout = AbortSignal.timeout(timeoutMs);
  const signal = options.signal === undefined ? timeout : AbortSignal.any([timeout, options.signal]);
  try {
    await using exec = await Exec.start(tasks, { ...options, signal });
    exec.stdout.on("data", keep);
    exec.stderr?.on("data", keep);
    return { exitCode: await exec.wait(signal), output: output() };
  } catch (error) {
    if (timeout.aborted && options.signal?.aborted !== true) return { output: output() };
    throw error;
  }
}

/**
 * Kills an exec's process with the children it has started: the runtime makes it the leader of a session. A group of
 * another cgroup than the container's is somebody else's, whom the kernel gave the number since.
 */
async function killGroup(pid: number, containerID: string): Promise<void> {
  const cgroup = await readFile(`/proc/${pid}/cgroup`, "utf8").catch(() => "");
  if (!cgroup.includes(containerID)) return;
  try {
    process.kill(-pid, SIGKILL);
  } catch {
    // It has just ended.
  }
}

/**
 * Ends what a process that died has left of its exec: process, exec and FIFOs; none is fine.
 * @throws ContainerdError
 */
export async function clearExec(
  tasks: Tasks,
  { containerID, id, directory }: Required<Pick<ExecOptions, "containerID" | "id" | "directory">>,
): Promise<void> {
  const left = join(directory, id);
  // A shim that was to start it may still wait for a reader, and answers nothing about the process before.
  const readers = await Promise.all(["stdout", "stderr"].map((name) => orMissing(openFifoReader(join(left, name)))));
  for (const reader of readers) reader?.resume();
  try {
    await deleteLeft(tasks, { containerId: containerID, execId: id });
  } finally {
    for (const reader of readers) reader?.destroy();
  }
  await rm(left, { recursive: true, force: true });
}

async function deleteLeft(tasks: Tasks, name: { containerId: string; execId: string }): Promise<void> {
  try {
    const { process } = await tasks.get(name);
    const state = process && taskState(process);
    // One that was never started can be deleted as it is.
    if (state?.status === "running") {
      await killGroup(state.pid, name.containerId);
      await tasks.kill({ ...name, signal: SIGKILL, all: false }).catch(ignoreNotFound);
      await tasks.wait(name, { timeoutMs: KILL_BOUND_MS });
    }
    await tasks.deleteProcess(name);
  } catch (error) {
    ignoreNotFound(error);
  }
}

function endOf(stream: Socket): Promise<unknown> {
  const ended = Promise.withResolvers<undefined>();
  for (const event of ["end", "close", "error"]) {
    stream.once(event, () => {
      ended.resolve(undefined);
    });
  }
  return ended.promise;
}

function ignoreNotFound(error: unknown): void {
  if (!isNotFound(error)) throw error;
}
