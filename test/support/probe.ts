/** Containers that look at themselves: a script runs to its end, and what it wrote tells what a process sees inside. */
import { watch } from "node:fs";
import type { Container, ContainerSpec } from "../../src/api/index.ts";
import { logFile } from "../../src/lifecycle/task.ts";
import type { TestNode } from "./test-node.ts";

/** A container that has ended, and what it wrote. */
export interface Probed {
  readonly container: Container;
  readonly output: string;
}

/** Runs a shell script in a container of its own and waits for its end, well or not. */
export async function probe(test: TestNode, script: string, spec: Partial<ContainerSpec> = {}): Promise<Probed> {
  return runToEnd(test, { command: ["sh", "-c", script], ...spec });
}

/** Runs a container once, with the image's own command unless the spec has one. */
export async function runToEnd(test: TestNode, spec: Partial<ContainerSpec>): Promise<Probed> {
  const created = await test.create({ command: [], restartPolicy: "Never", ...spec });
  const container = await test.untilState(created, "Exited");
  // The status comes after the task's deletion, and that after the last byte of its output.
  return { container, output: container.status?.startedAt === undefined ? "" : test.output(container) };
}

/** The `key=value` lines of an output. */
export function valuesOf(output: string): Record<string, string> {
  const lines = output.split("\n").filter((line) => line.includes("="));
  return Object.fromEntries(
    lines.map((line) => [line.slice(0, line.indexOf("=")), line.slice(line.indexOf("=") + 1)] as const),
  );
}

const OUTPUT_TIMEOUT_MS = 30_000;

/** Waits until a container has been started and has written a text. */
export async function untilOutput(test: TestNode, container: Container, text: string): Promise<void> {
  const started = await test.until(container, "started", ({ status }) => status?.startedAt !== undefined);
  const done = Promise.withResolvers<undefined>();
  const look = (): void => {
    if (test.output(started).includes(text)) done.resolve(undefined);
  };
  const watcher = watch(logFile(test.node.logDir, started.metadata), look);
  const timer = setTimeout(() => {
    done.reject(new Error(`"${text}" was not written; the output is: ${test.output(started)}`));
  }, OUTPUT_TIMEOUT_MS);
  try {
    look();
    await done.promise;
  } finally {
    watcher.close();
    clearTimeout(timer);
  }
}
