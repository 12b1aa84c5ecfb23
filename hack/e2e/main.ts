// `make e2e` and `make e2e-up`: a whole cluster on a machine within this machine, and the suite of test/e2e against it.
import { copyFileSync, existsSync, mkdirSync, readFileSync, readdirSync, rmSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { run } from "../../src/node/index.ts";
import { cacheDir, findTools } from "../cluster/tools.ts";
import { Machine } from "./machine.ts";

const CHECKOUT = resolve(import.meta.dirname, "../..");
const DIR = join(CHECKOUT, ".berth/e2e");
const ENV = join(DIR, "env.json");
/** What a failed run leaves for a person to read. */
const LOGS = join(CHECKOUT, ".berth/e2e-logs");
const UP_TIMEOUT_MS = 300_000;
const IMAGE_TIMEOUT_MS = 1_800_000;
const SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"] as const;
const USAGE = "usage: main.ts test|up|down|enter COMMAND...";
const machine = new Machine(DIR);

/** Brings the cluster up, runs the suite, takes all down. Of a cluster that is kept, only the second. */
async function test(): Promise<void> {
  if (existsSync(ENV)) {
    process.exitCode = await enter("npm", "run", "test:e2e");
    return;
  }
  await orDown(async (signal) => {
    await start(false, signal);
    process.exitCode = await enter("npm", "run", "test:e2e");
  });
  await down();
}

async function up(): Promise<void> {
  await orDown((signal) => start(true, signal));
  say(`up. In it, with kubectl, helm and the suite's environment:

  node hack/e2e/main.ts enter bash
  make e2e

Take it down with: make down`);
}

async function down(): Promise<void> {
  if (process.exitCode !== undefined && process.exitCode !== 0) keepLogs();
  await machine.stop();
}

async function start(isKept: boolean, signal: AbortSignal): Promise<void> {
  if (!existsSync(ENV)) await machine.stop();
  rmSync(LOGS, { recursive: true, force: true });
  mkdirSync(DIR, { recursive: true });
  const assets = process.env["KUBEBUILDER_ASSETS"] ?? "";
  const archives = [await image(signal)];
  const started = Date.now();
  await machine.start([process.execPath, join(import.meta.dirname, "cluster.ts"), DIR, ...archives], {
    keep: [CHECKOUT, cacheDir(), ...(assets === "" ? [] : [assets])],
    readyFile: ENV,
    isKept,
    env: { BERTH_CACHE: cacheDir(), KUBEBUILDER_ASSETS: assets },
    timeoutMs: UP_TIMEOUT_MS,
  });
  say(`a cluster of one node is ready after ${((Date.now() - started) / 1000).toFixed(1)} s`);
}

/** Builds Berth's image; answers its archive. */
async function image(signal: AbortSignal): Promise<string> {
  const { stdout } = await run(join(CHECKOUT, "hack/image.sh"), [], { timeoutMs: IMAGE_TIMEOUT_MS, signal });
  return stdout.trim();
}

/** Runs a command in the machine, with kubectl in its PATH and the environment of the suite. Answers its exit code. */
async function enter(...command: readonly string[]): Promise<number> {
  const env = JSON.parse(readFileSync(ENV, "utf8")) as Record<string, string>;
  const { kubectl, helm } = findTools();
  const path = [dirname(kubectl), dirname(helm), process.env["PATH"]].join(":");
  return machine.enter(command, { ...process.env, ...env, PATH: path, BERTH_CACHE: cacheDir() });
}

// What fails or is interrupted leaves nothing behind but logs.
async function orDown(work: (signal: AbortSignal) => Promise<void>): Promise<void> {
  const { promise: interrupted, reject } = Promise.withResolvers<never>();
  const ending = new AbortController();
  const onSignal = (signal: NodeJS.Signals) => {
    reject(new Error(`interrupted by ${signal}: all is taken down`));
    ending.abort();
  };
  for (const signal of SIGNALS) process.on(signal, onSignal);
  try {
    await Promise.race([work(ending.signal), interrupted]);
  } catch (error) {
    process.exitCode = 1;
    await down();
    throw error;
  } finally {
    for (const signal of SIGNALS) process.off(signal, onSignal);
  }
}

function keepLogs(): void {
  mkdirSync(LOGS, { recursive: true });
  const files = readdirSync(DIR, { recursive: true, encoding: "utf8" }).filter((file) => file.endsWith(".log"));
  for (const file of files) copyFileSync(join(DIR, file), join(LOGS, basename(file)));
  say(`the logs are in ${LOGS}`);
}

function say(message: string): void {
  process.stderr.write(`==> ${message}\n`);
}

const [, , name = "", ...args] = process.argv;
const commands: Record<string, () => Promise<void>> = {
  test,
  up,
  down,
  enter: async () => {
    process.exitCode = await enter(...args);
  },
};
try {
  const command = commands[name];
  if (command === undefined) throw new Error(USAGE);
  await command();
} catch (error) {
  say(error instanceof Error ? error.message : String(error));
  process.exitCode = 1;
}
