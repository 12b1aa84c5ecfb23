/**
 * Loaded into a real agent before its program (`node --import`): gives it the instrumented source in place of the plain one,
 * counts its moments, and kills it at one of them, with a signal that nothing can be done about.
 */
import { existsSync, readFileSync } from "node:fs";
import { registerHooks } from "node:module";
import { createServer } from "node:net";
import { createInterface } from "node:readline";
import { fileURLToPath, pathToFileURL } from "node:url";
import { join, resolve } from "node:path";
import { watchEffects } from "./effects.ts";
import type { Command, Death, Moment } from "./trace.ts";

const SOURCE = resolve(import.meta.dirname, "../../src");
const { BERTH_CRASH_SOCKET: socket = "", BERTH_CRASH_SOURCE: instrumented = "" } = process.env;

const counts = new Map<string, number>();
let log: Moment[] = [];
let beganAt = performance.now();
let death: Death | undefined;
let underWay = 0;
let lastAt = 0;

function pass(kind: Moment["kind"], what: string, unchanged = false): void {
  lastAt = performance.now();
  const name = `${kind} ${what}`;
  const hit = (counts.get(name) ?? 0) + 1;
  counts.set(name, hit);
  log.push({ kind, what, atMs: lastAt - beganAt, ...(unchanged ? { unchanged } : {}) });
  if (death === undefined || death.kind !== kind || death.what !== what || death.hit !== hit) return;
  if (death.afterMs > 0) setTimeout(die, death.afterMs);
  else die();
}

function die(): void {
  process.kill(process.pid, "SIGKILL");
}

function restart(at?: Death): void {
  counts.clear();
  log = [];
  beganAt = performance.now();
  death = at;
}

async function awaiting<T>(point: string, promise: T): Promise<Awaited<T>> {
  pass("await", point);
  try {
    return await promise;
  } finally {
    pass("resume", point);
  }
}

async function* iterating<T>(point: string, values: AsyncIterable<T> | Iterable<T>): AsyncGenerator<T> {
  for await (const value of values) {
    pass("resume", point);
    yield value;
    pass("await", point);
  }
}

/** What is disposed of at its scope's end, if there is anything. */
function using<T extends AsyncDisposable | undefined>(point: string, value: T): T {
  if (value === undefined) return value;
  const dispose = value[Symbol.asyncDispose].bind(value);
  return Object.defineProperty(value, Symbol.asyncDispose, { value: () => awaiting(point, dispose()) });
}

Object.assign(globalThis, { __crash: { awaiting, iterating, using } });

/** client-node's API, a thousand files of which the agent uses none: loading them would take half of the walk's time. */
const UNUSED: readonly (readonly [string, string])[] = [
  ["@kubernetes/client-node/dist/index.js", `export { KubeConfig } from "./config.js";`],
  ["@kubernetes/client-node/dist/gen/index.js", "export const createConfiguration = null, ServerConfiguration = null;"],
];

registerHooks({
  load(url, context, next) {
    const source = UNUSED.find(([name]) => url.endsWith(name))?.[1];
    if (source !== undefined) return { format: "module", source, shortCircuit: true };
    const path = url.startsWith("file:") ? fileURLToPath(url) : "";
    const copy = path.startsWith(`${SOURCE}/`) ? join(instrumented, path.slice(SOURCE.length)) : "";
    if (copy === "" || !existsSync(copy)) return next(url, context);
    return { format: "module", source: readFileSync(copy, "utf8"), shortCircuit: true };
  },
});

watchEffects({
  begin: (what) => {
    underWay++;
    pass("begin", what);
  },
  end: (what, unchanged) => {
    underWay--;
    pass("end", what, unchanged);
  },
});

const begun = Promise.withResolvers<undefined>();

const answer = (command: Command, reply: (value: unknown) => void): void => {
  switch (command.command) {
    case "go":
      begun.resolve(undefined);
      break;
    case "record":
      restart();
      break;
    case "die":
      restart(command.at);
      break;
    case "rest":
      whenAtRest(command.forMs, () => {
        reply({});
      });
      return;
    case "tell":
      reply(log);
      return;
  }
  reply({});
};

function whenAtRest(forMs: number, then: () => void): void {
  const left = lastAt + forMs - performance.now();
  if (left <= 0 && underWay === 0) then();
  else
    setTimeout(
      () => {
        whenAtRest(forMs, then);
      },
      Math.max(left, 5),
    );
}

const server = createServer((connection) => {
  connection.on("error", () => undefined);
  createInterface(connection).on("line", (line) => {
    answer(JSON.parse(line) as Command, (value) => {
      connection.write(`${JSON.stringify(value)}\n`);
    });
  });
});
server.listen(socket);

// All that takes long is done while the agent before this one lives: what is left is the program itself.
await import(pathToFileURL(join(SOURCE, "agent.ts")).href);
await begun.promise;
server.unref();
