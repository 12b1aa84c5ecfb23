/** What tests of absence look at: processes that end while nobody watches, and what an agent says of what it misses. */
import { existsSync, readFileSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";
import type { LocalNode } from "../../hack/cluster/local-node.ts";
import type { Container } from "../../src/api/index.ts";

const POLL_MS = 20;
const TIMEOUT_MS = 20_000;

/** The process id of a container that runs. */
export function pidOf({ metadata, status }: Container): number {
  if (status?.pid === undefined) throw new Error(`${metadata.name} has no pid`);
  return status.pid;
}

/** Ends a container's process by a signal, and returns when it is gone. Nothing tells a stranger of that: hence the looking. */
export async function endBy(signal: NodeJS.Signals, pid: number): Promise<void> {
  process.kill(pid, signal);
  const deadline = Date.now() + TIMEOUT_MS;
  while (existsSync(`/proc/${pid}`)) {
    if (Date.now() > deadline) throw new Error(`process ${pid} did not end on ${signal}`);
    await delay(POLL_MS);
  }
}

/** What an agent says of its readiness. */
export interface Readiness {
  readonly ready: boolean;
  /** A line a check: `containerd: …`. */
  readonly lines: readonly string[];
}

/** Asks an agent's /readyz; not ready, and no lines, when nobody answers. */
export async function readiness({ metricsAddress }: Pick<LocalNode, "metricsAddress">): Promise<Readiness> {
  try {
    const answer = await fetch(`http://${metricsAddress}/readyz`, { signal: AbortSignal.timeout(5000) });
    return { ready: answer.ok, lines: (await answer.text()).trimEnd().split("\n") };
  } catch {
    return { ready: false, lines: [] };
  }
}

/** Waits until an agent says of one thing it needs that it misses it, with these words, and answers all it says. */
export async function untilMissed(
  node: Pick<LocalNode, "metricsAddress">,
  check: "containerd" | "apiserver" | "node",
  timeoutMs = TIMEOUT_MS,
  words = "",
): Promise<Readiness> {
  const deadline = Date.now() + timeoutMs;
  for (;;) {
    const said = await readiness(node);
    const line = said.lines.find((candidate) => candidate.startsWith(`${check}: `));
    if (line !== undefined && line !== `${check}: ok` && line.includes(words)) return said;
    if (Date.now() > deadline) throw new Error(`the agent does not miss ${check}: ${said.lines.join("; ")}`);
    await delay(POLL_MS);
  }
}

/** Waits until an agent's log has said something. */
export async function untilSaid(node: Pick<LocalNode, "agentLogFile">, words: string): Promise<void> {
  const deadline = Date.now() + TIMEOUT_MS;
  while (!readFileSync(node.agentLogFile, "utf8").includes(words)) {
    if (Date.now() > deadline) throw new Error(`the agent has not said "${words}"`);
    await delay(POLL_MS);
  }
}

/** Waits until a container has a task that runs as another process than before, asked of containerd alone. */
export async function untilRestarted(node: LocalNode, { status }: Container): Promise<void> {
  const id = status?.containerID?.replace("containerd://", "") ?? "";
  const deadline = Date.now() + TIMEOUT_MS;
  for (;;) {
    const tasks = (await node.ctr("tasks", "list")).split("\n").map((line) => line.trim().split(/\s+/));
    const [, pid, state] = tasks.find(([name]) => name === id) ?? [];
    if (state === "RUNNING" && Number(pid) !== status?.pid) return;
    if (Date.now() > deadline) {
      const log = readFileSync(node.agentLogFile, "utf8").trimEnd().split("\n").slice(-30).join("\n");
      throw new Error(`container ${id} was not started again: it is ${state ?? "gone"}\n${log}`);
    }
    await delay(POLL_MS);
  }
}
