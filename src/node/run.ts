// Every process Berth starts on the node goes through `run`, so that there is one place which decides whose program a
// command is, how long it may take and how much of its output is kept.
import { spawn } from "node:child_process";
import { errorCode } from "./errno.ts";
import { programLine } from "./image.ts";

const DEFAULT_TIMEOUT_MS = 60_000;
const DEFAULT_MAX_OUTPUT_BYTES = 1024 * 1024;
// Enough for the last words of any tool, short enough for a status message.
const MESSAGE_LENGTH = 1000;

export type RunOptions = {
  /** Written to the command's standard input, which is then closed. */
  input?: string;
  /** The whole environment of the command; the agent's own when absent. */
  env?: Record<string, string>;
  cwd?: string;
  /** Milliseconds after which the command and all it started are killed. */
  timeoutMs?: number;
  /** Bytes of each of the two output streams that are kept; what goes beyond is read and dropped. */
  maxOutputBytes?: number;
  /** Open files that the command gets as its descriptors 3, 4 and so on. */
  fds?: readonly number[];
  /** Ends the command, and with it the call. */
  signal?: AbortSignal;
};

export type Output = { stdout: string; stderr: string };

type Failure = Output & {
  exitCode?: number | undefined;
  signal?: string | undefined;
  timedOut?: boolean;
  cause?: Error;
};

/** A command that could not be started, ended with another code than 0, or was killed. The message is its own words. */
export class CommandError extends Error {
  override readonly name = "CommandError";
  readonly command: readonly string[];
  readonly exitCode: number | undefined;
  readonly signal: string | undefined;
  readonly timedOut: boolean;
  readonly stdout: string;
  readonly stderr: string;

  constructor(command: readonly string[], failure: Failure) {
    super(describe(command, failure), { cause: failure.cause });
    this.command = command;
    this.exitCode = failure.exitCode;
    this.signal = failure.signal;
    this.timedOut = failure.timedOut ?? false;
    this.stdout = failure.stdout;
    this.stderr = failure.stderr;
  }
}

/** True when the command itself is not on this machine (or not executable). */
export function isCommandMissing(error: unknown): boolean {
  if (!(error instanceof CommandError)) return false;
  const code = errorCode(error.cause);
  return code === "ENOENT" || code === "EACCES";
}

/**
 * Runs a command to its end and answers what it wrote.
 *
 * The command leads a process group of its own: a Ctrl-C meant for the agent does not tear a plugin out of its work,
 * and a timeout reaches the processes it has started too (they would otherwise hold the pipes open).
 *
 * @throws CommandError
 */
export function run(command: string, args: readonly string[], options: RunOptions = {}): Promise<Output> {
  const words = [command, ...args];
  const [program, ...programArgs] = programLine(command, args);
  return new Promise((resolve, reject) => {
    const child = spawn(program, programArgs, {
      // The first three are pipes in any case, which is what its type says.
      stdio: ["pipe", "pipe", "pipe", ...(options.fds ?? [])] as unknown as "pipe",
      detached: true,
      ...(options.env === undefined ? {} : { env: options.env }),
      ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
      ...(options.signal === undefined ? {} : { signal: options.signal }),
    });
    child.once("error", (cause) => {
      reject(new CommandError(words, { stdout: "", stderr: "", cause }));
    });
    // It could not be started, as is told in a moment; with too many files open it has no streams either.
    if (child.pid === undefined) return;
    const limit = options.maxOutputBytes ?? DEFAULT_MAX_OUTPUT_BYTES;
    const stdout = collect(child.stdout, limit);
    const stderr = collect(child.stderr, limit);
    const output = (): Output => ({ stdout: stdout(), stderr: stderr() });

    let timedOut = false;
    const timer = setTimeout(() => {
      timedOut = true;
      killGroup(child.pid);
    }, options.timeoutMs ?? DEFAULT_TIMEOUT_MS);

    child.once("close", (exitCode, signal) => {
      clearTimeout(timer);
      if (exitCode === 0 && !timedOut) resolve(output());
      else
        reject(
          new CommandError(words, {
            ...output(),
            exitCode: exitCode ?? undefined,
            signal: signal ?? undefined,
            timedOut,
          }),
        );
    });

    // A command that ends without reading its input is judged by its exit code, not by the broken pipe.
    child.stdin.on("error", () => undefined);
    child.stdin.end(options.input ?? "");
  });
}

function collect(stream: NodeJS.ReadableStream, limit: number): () => string {
  const chunks: Buffer[] = [];
  let length = 0;
  stream.on("data", (chunk: Buffer) => {
    if (length < limit) chunks.push(chunk.subarray(0, limit - length));
    length += chunk.length;
  });
  return () => Buffer.concat(chunks).toString("utf8");
}

function killGroup(pid: number | undefined): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, "SIGKILL");
  } catch {
    // The group has just ended by itself.
  }
}

function describe(command: readonly string[], failure: Failure): string {
  const name = command[0] ?? "";
  if (errorCode(failure.cause) === "ENOENT") return `${name}: command not found on this node`;
  if (failure.cause !== undefined) return `${name}: ${failure.cause.message}`;
  const words = (failure.stderr.trim() || failure.stdout.trim()).slice(-MESSAGE_LENGTH);
  const suffix = words === "" ? "" : `: ${words}`;
  if (failure.timedOut) return `${name}: killed because it took too long${suffix}`;
  if (failure.signal !== undefined) return `${name}: killed by ${failure.signal}${suffix}`;
  return `${name}: exit code ${String(failure.exitCode)}${suffix}`;
}
