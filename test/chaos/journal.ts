/** What containers' processes themselves have written about their runs, and which of them are there now. */
import { closeSync, constants, openSync, readdirSync, readFileSync, readlinkSync, statSync, writeSync } from "node:fs";
import { join } from "node:path";
import { errorCode } from "../../src/node/index.ts";

/** One run of a container's process. */
export interface Run {
  /** The word in its writable layer: one for each incarnation of the container. */
  readonly incarnation: string;
  /** The exit code it said it would end with; absent when it runs, or ended without a word. */
  exitCode?: number;
  /** It was told to use up its memory. */
  oom?: true;
}

/** All runs of an object's containers, in order. */
export function readJournal(dir: string): Run[] {
  const runs: Run[] = [];
  for (const line of readFileSync(join(dir, "journal"), "utf8").split("\n")) {
    const [word, incarnation = "", code] = line.split(" ");
    const run = runs.findLast((each) => each.incarnation === incarnation);
    if (word === "S") runs.push({ incarnation });
    // The last word counts: a signal may have come between the first one and the end.
    else if (word === "E" && run !== undefined) run.exitCode = Number(code);
    else if (word === "O" && run !== undefined) run.oom = true;
  }
  return runs;
}

/** The containers that are there now, as one process each (pid on the node), by their object's folder. */
export type Alive = (dir: string) => readonly number[];

/**
 * Looks at all processes of the machine: a container's hold its object's FIFO open as descriptor 3, and each container is
 * in a pid namespace of its own.
 */
export function alive(): Alive {
  const found = new Map<string, Map<string, number>>();
  for (const pid of readdirSync("/proc")) {
    if (!/^\d+$/.test(pid)) continue;
    try {
      const file = statSync(`/proc/${pid}/fd/3`);
      if (!file.isFIFO()) continue;
      const namespaces = found.get(identity(file)) ?? new Map<string, number>();
      found.set(identity(file), namespaces);
      const namespace = readlinkSync(`/proc/${pid}/ns/pid`);
      if (!namespaces.has(namespace)) namespaces.set(namespace, Number(pid));
    } catch {
      // It has just ended, or has no such descriptor.
    }
  }
  return (dir) => [...(found.get(identity(statSync(join(dir, "control"))))?.values() ?? [])];
}

function identity({ dev, ino }: { dev: number; ino: number }): string {
  return `${dev}:${ino}`;
}

/** Writes a line to the container's process; answers false when nobody is there to read it. */
export function order(dir: string, line: string): boolean {
  try {
    const fifo = openSync(join(dir, "control"), constants.O_WRONLY | constants.O_NONBLOCK);
    try {
      writeSync(fifo, `${line}\n`);
    } finally {
      closeSync(fifo);
    }
    return true;
  } catch (error) {
    if (errorCode(error) === "ENXIO") return false;
    throw error;
  }
}
