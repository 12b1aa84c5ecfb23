/** The commands on the node, run as a person would: as processes of their own, told where the node is by the environment. */
import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process";
import { join } from "node:path";
import { MAIN } from "../../hack/cluster/local-node.ts";
import { sharedDir, type TestNode } from "./test-node.ts";

/** None of the API server's: the commands must do without. */
const FLAGS = ["containerd-address", "containerd-namespace", "state-dir", "data-dir", "log-dir"];
const TIMEOUT_MS = 30_000;

/** What a command that has ended has said. */
export interface Said {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** A command that runs. */
export interface Running {
  readonly child: ChildProcessWithoutNullStreams;
  readonly ended: Promise<Said>;
  /** What it has written on standard output so far. */
  stdout(): string;
  /** Waits until it has written a text on standard output. */
  until(text: string): Promise<void>;
}

/** The environment that tells a command where a node is. */
export function environmentOf({ node }: TestNode): Record<string, string> {
  const flags = node.agentFlags();
  const own = FLAGS.map((name) => [`BERTH_${name.replaceAll("-", "_").toUpperCase()}`, flags[name] ?? ""] as const);
  return {
    PATH: process.env["PATH"] ?? "",
    // Each is a process of its own: the second one need not compile what the first one has.
    NODE_COMPILE_CACHE: join(sharedDir(), "compile-cache"),
    NODE_OPTIONS: "--disable-warning=ExperimentalWarning",
    ...Object.fromEntries(own),
  };
}

/** The words that start a command, for a shell of one's own. */
export const BERTH = `${process.execPath} ${MAIN}`;

/** Starts a command; another program, with the command as its words, when that is given. */
export function startBerth(test: TestNode, args: readonly string[], through?: readonly [string, ...string[]]): Running {
  const [program, ...words] = through ?? [process.execPath, MAIN, ...args];
  const child = spawn(program, words, { env: environmentOf(test) });
  let stdout = "";
  let stderr = "";
  let look = (): void => undefined;
  child.stdout.on("data", (chunk: Buffer) => {
    stdout += chunk.toString();
    look();
  });
  child.stderr.on("data", (chunk: Buffer) => (stderr += chunk.toString()));
  child.stdin.on("error", () => undefined);
  const timer = setTimeout(() => child.kill("SIGKILL"), TIMEOUT_MS);
  const ended = new Promise<Said>((done) => {
    child.once("close", (code) => {
      clearTimeout(timer);
      done({ code, stdout, stderr });
      look();
    });
  });
  const until = (text: string): Promise<void> =>
    new Promise((done, fail) => {
      look = () => {
        if (stdout.includes(text)) done();
        else if (child.exitCode !== null || child.signalCode !== null) {
          fail(new Error(`it ended without "${text}": ${stdout}${stderr}`));
        }
      };
      look();
    });
  return { child, ended, until, stdout: () => stdout };
}

/** Runs a command to its end. */
export async function berth(test: TestNode, args: readonly string[], input = ""): Promise<Said> {
  const { child, ended } = startBerth(test, args);
  child.stdin.end(input);
  return ended;
}
