/** `berth exec`: a process beside a container's first one, as `docker exec` has it. */
import { spawnSync } from "node:child_process";
import { constants } from "node:os";
import type { Readable, Writable } from "node:stream";
import { type Command, InvalidArgumentError } from "commander";
import { addFlags } from "../config.ts";
import { ContainerdError } from "../containerd/index.ts";
import type { Record } from "../lifecycle/record.ts";
import { Exec, execDirectory } from "../lifecycle/exec.ts";
import { keyOf } from "../lifecycle/record.ts";
import { errorCode, programLine } from "../node/index.ts";
import { classifyStartError, execProcess, type ResolvedUser, resolveUser, SpecError } from "../oci/index.ts";
import { RootFilesystem } from "../storage/index.ts";
import { CommandFailure, findContainer, onNode, type ThisNode } from "./node.ts";

interface Flags {
  readonly namespace?: string;
  readonly interactive?: boolean;
  readonly tty?: boolean;
  readonly user?: string;
  readonly workdir?: string;
  readonly env?: readonly string[];
}

/** Passed on to the process. The keyboard's, with a raw terminal, come as input instead. */
const SIGNALS = ["SIGHUP", "SIGINT", "SIGQUIT", "SIGTERM", "SIGUSR1", "SIGUSR2"] as const;

/** Adds the command. */
export function addExec(program: Command): void {
  const command = program
    .command("exec")
    .usage("[options] NAME -- COMMAND [ARG...]")
    .description("run a process in a container that runs, and end with its exit code")
    .argument("<name>", "NAME, NAMESPACE/NAME, or the beginning of an id")
    .argument("<command...>", "what to run")
    .passThroughOptions()
    .option("-n, --namespace <namespace>", "of the container (default: default)")
    .option("-i, --interactive", "pass standard input on")
    .option("-t, --tty", "give the process a terminal")
    .option("-u, --user <user>", "name or uid, with :group or :gid (default: the container's)")
    .option("-w, --workdir <directory>", "in the container (default: the container's)")
    .option("-e, --env <name=value>", "another variable; again for more", collectEnv);
  addFlags(command, "node").action(async (name: string, words: string[], flags: Flags) => {
    await onNode(command, (node) => exec(node, name, commandLine(words), flags));
  });
}

function collectEnv(entry: string, entries: readonly string[] = []): string[] {
  if (!/^[^=]+=/s.test(entry)) throw new InvalidArgumentError("must be NAME=VALUE");
  return [...entries, entry];
}

function commandLine([first = "", ...rest]: readonly string[]): string[] {
  if (first !== "--" && first.startsWith("-"))
    throw new CommandFailure(`give ${first} before the name of the container`);
  const line = first === "--" ? rest : [first, ...rest];
  if (line.length === 0) throw new CommandFailure("nothing says what to run: give a command after --");
  return line;
}

async function exec(node: ThisNode, name: string, args: readonly string[], flags: Flags): Promise<number> {
  const { interactive = false, tty = false, user, workdir, env, namespace } = flags;
  if (interactive && tty && !process.stdin.isTTY) {
    throw new CommandFailure("standard input is no terminal: leave out -t");
  }
  const { record, task } = await findContainer(node, { name, namespace });
  if (task?.status === "paused" || task?.status === "pausing") {
    throw new CommandFailure(`container ${keyOf(record.applied)} is paused: set its desiredState to Running first`);
  }
  if (task?.status !== "running") throw new CommandFailure(`container ${keyOf(record.applied)} is not running`);
  const spec = await node.records.spec(record.id);
  const options = {
    containerID: record.id,
    process: execProcess(spec.process, {
      args,
      tty,
      env,
      cwd: workdir,
      user: user === undefined ? undefined : await userOf(node, record, user),
      consoleSize: tty ? windowSize() : undefined,
    }),
    directory: execDirectory(node.config.stateDir, record.id),
    stdin: interactive,
  };
  await using started = await Exec.start(node.containerd.tasks, options).catch((error: unknown) => {
    throw error instanceof ContainerdError ? notStarted(error) : error;
  });
  using _ = attach(started, flags);
  return await started.wait();
}

/** A user as asked for, looked up in the container's files. */
async function userOf(node: ThisNode, { id, applied }: Record, user: string): Promise<ResolvedUser> {
  const { container } = await node.containerd.containers.get({ id });
  const snapshotter = container?.snapshotter ?? node.containerd.snapshotter;
  const { stateDir } = node.config;
  const rootfs = new RootFilesystem({ containerd: { snapshots: node.containerd.snapshots, snapshotter }, stateDir });
  const [passwd, group] = await rootfs.readFiles(await rootfs.mounts(id), ["/etc/passwd", "/etc/group"]);
  try {
    const { supplementalGroups } = applied.spec.securityContext ?? {};
    return resolveUser({ user, supplementalGroups }, { passwd, group });
  } catch (error) {
    throw error instanceof SpecError ? new CommandFailure(error.detail) : error;
  }
}

/** Docker's codes: 127 for what is not there, 126 for what can't be executed. */
function notStarted(error: ContainerdError): CommandFailure {
  const words = error.details
    .replace(/^.*?OCI runtime exec failed: (?:exec failed: )?(?:unable to start container process: )?/s, "")
    .replace(/: unknown$/, "");
  return new CommandFailure(`the process can't be started: ${words}`, classifyStartError(error, "start").exitCode ?? 1);
}

/** Connects a process with ours: streams, signals, the terminal and its size. Disposing of it takes all that back. */
function attach(started: Exec, { interactive = false, tty = false }: Flags): Disposable {
  const stack = new DisposableStack();
  const { stdin, stdout, stderr } = process;
  passOn(started, started.stdout, stdout);
  if (started.stderr !== undefined) passOn(started, started.stderr, stderr);
  for (const signal of SIGNALS) {
    onSignal(stack, signal, () => void started.kill(constants.signals[signal]).catch(() => undefined));
  }
  if (tty) {
    const resize = (): void => {
      const size = windowSize();
      if (size !== undefined) void started.resize(size).catch(() => undefined);
    };
    onSignal(stack, "SIGWINCH", resize);
    // The window may have changed since the process was asked for.
    resize();
  }
  if (interactive && started.stdin !== undefined) {
    if (tty) rawTerminal(stack);
    stdin.pipe(started.stdin);
    stack.defer(() => {
      stdin.unpipe().destroy();
    });
  }
  return stack;
}

/** Passes output on. When nobody reads ours any more, the process is told as a pipe would tell it. */
function passOn(started: Exec, output: Readable, to: Writable): void {
  to.removeAllListeners("error");
  to.on("error", (error) => {
    if (errorCode(error) !== "EPIPE") throw error;
    output.unpipe(to).resume();
    void started.kill(constants.signals.SIGPIPE).catch(() => undefined);
  });
  output.pipe(to, { end: false });
}

function onSignal(stack: DisposableStack, signal: NodeJS.Signals, listener: () => void): void {
  process.on(signal, listener);
  stack.defer(() => process.off(signal, listener));
}

/** Keys go to the process as they are, Ctrl-C too, until the end, whatever ends us. */
function rawTerminal(stack: DisposableStack): void {
  const restore = (): void => {
    process.stdin.setRawMode(false);
  };
  process.once("exit", restore);
  process.stdin.setRawMode(true);
  // Node's raw mode goes on turning line feeds into two characters, which the process's own terminal has seen to already.
  const [program, ...args] = programLine("stty", ["-opost"]);
  spawnSync(program, args, { stdio: ["inherit", "ignore", "ignore"] });
  stack.defer(() => {
    process.off("exit", restore);
    restore();
  });
}

function windowSize(): { width: number; height: number } | undefined {
  const { columns, rows, isTTY } = process.stdout;
  // Neither is there when standard output is no terminal.
  return isTTY && columns > 0 && rows > 0 ? { width: columns, height: rows } : undefined;
}
