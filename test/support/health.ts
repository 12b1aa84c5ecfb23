/** What tests of health checks share: what steers a check, and what it leaves. */
import { mkdirSync, readdirSync, readFileSync, readlinkSync, rmSync, watch, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Container, ContainerSpec } from "../../src/api/index.ts";
import { pidOf } from "./away.ts";
import type { TestNode } from "./test-node.ts";

const TIMEOUT_MS = 30_000;

/** A directory of the node that the container and its check see as `/switch`: what is in it steers them. */
export class Switch {
  readonly dir: string;
  readonly #test: TestNode;

  constructor(test: TestNode, name: string) {
    this.#test = test;
    this.dir = join(test.node.dir, name);
    mkdirSync(this.dir, { mode: 0o777 });
    writeFileSync(join(this.dir, "checks"), "");
  }

  set(name: string, text = "on"): void {
    writeFileSync(join(this.dir, name), text);
  }

  clear(name: string): void {
    rmSync(join(this.dir, name), { force: true });
  }

  /** How many checks have been made: each writes a line. */
  get checks(): number {
    return readFileSync(join(this.dir, "checks"), "utf8").split("\n").length - 1;
  }

  /** Waits for so many more checks. */
  async more(count: number): Promise<void> {
    const wanted = this.checks + count;
    const done = Promise.withResolvers<undefined>();
    const look = (): void => {
      if (this.checks >= wanted) done.resolve(undefined);
    };
    const watcher = watch(join(this.dir, "checks"), look);
    const timer = setTimeout(() => {
      done.reject(new Error(`${this.checks} checks of ${wanted} were made\n${this.#test.agentLog()}`));
    }, TIMEOUT_MS);
    try {
      look();
      await done.promise;
    } finally {
      watcher.close();
      clearTimeout(timer);
    }
  }

  /** Mounts it. */
  get spec(): Pick<ContainerSpec, "volumes" | "volumeMounts"> {
    return {
      volumes: [{ name: "switch", hostPath: { path: this.dir } }],
      volumeMounts: [{ name: "switch", mountPath: "/switch" }],
    };
  }
}

/** A check that counts itself, then does as told. */
export const sh = (script: string) => ({ exec: { command: ["sh", "-c", `echo >> /switch/checks; ${script}`] } });
/** Rules of a check that is soon through. */
export const FAST = { interval: "200ms", retries: 2 } as const;

/** Waits for a health. */
export const untilHealth = (test: TestNode, container: Container, status: string): Promise<Container> =>
  test.until(container, status, (now) => now.status?.health?.status === status);

/** The command lines of all processes in a container, as the node sees them. */
export function processesOf(container: Container): string[] {
  const namespace = (pid: string): string => readlinkSync(`/proc/${pid}/ns/pid`);
  const own = namespace(String(pidOf(container)));
  return readdirSync("/proc").flatMap((pid) => {
    try {
      if (!/^\d+$/.test(pid) || namespace(pid) !== own) return [];
      return [readFileSync(`/proc/${pid}/cmdline`, "utf8").replaceAll("\0", " ").trim()];
    } catch {
      return []; // It has just ended.
    }
  });
}

/** Waits until no process is left that a check has started. Nothing tells a stranger of that: hence the looking. */
export async function untilNoneOf(container: Container, command: string): Promise<void> {
  const deadline = Date.now() + TIMEOUT_MS;
  for (;;) {
    const left = processesOf(container).filter((line) => line.includes(command));
    if (left.length === 0) return;
    if (Date.now() > deadline) throw new Error(`still there: ${left.join("; ")}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
