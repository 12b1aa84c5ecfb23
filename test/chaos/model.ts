/**
 * What must be, said from what was wished and what the containers' own processes have written, without a look at how the
 * agent goes about it; and in what the rest differs from that.
 */
import { readlinkSync } from "node:fs";
import type { Container, ContainerStatus } from "../../src/api/index.ts";
import type { Alive, Run } from "./journal.ts";
import { type Kind, kindOf } from "./kinds.ts";
import type { Slot, Wished } from "./slots.ts";

/** The exit code of a process that was killed. */
const KILLED = 137;
const FINALIZER = "berth.dev/cleanup";

/** What is seen of one slot. */
export interface Seen {
  readonly container: Container | undefined;
  readonly runs: readonly Run[];
  readonly alive: Alive;
  /** The Container that this one needs, where it needs one. */
  readonly peer: Wished | undefined;
}

/** What of a slot is not as it must be, a line each; none when all is. */
export function judge(slot: Slot, seen: Seen): string[] {
  const { wished } = slot;
  const left = slot.earlier.filter(({ dir }) => seen.alive(dir).length > 0);
  const found = left.map(({ mark }) => `a container of its earlier object ${mark} still runs`);
  if (wished === undefined) return [...found, ...(seen.container === undefined ? [] : ["it must be gone"])];
  const pids = seen.alive(wished.dir);
  if (pids.length > 1) found.push(`it runs ${pids.length} times at once: ${pids.join(", ")}`);
  found.push(...withoutCause(wished, seen.runs, pids.length));
  if (isAutoRemoved(wished, seen, pids)) return found;
  if (seen.container === undefined) return [...found, "it must be there"];
  return [...found, ...judgeObject(slot, wished, seen.container), ...judgeStatus(wished, seen.container, seen, pids)];
}

/** Whether it has gone by itself, as `autoRemove` has it. */
function isAutoRemoved({ kind }: Wished, { container, runs }: Seen, pids: readonly number[]): boolean {
  return kind === "removed" && container === undefined && runs.length > 0 && pids.length === 0;
}

/** A run that ended without anybody's wish, the reason why "it lives on" is no more than a word. */
function withoutCause(wished: Wished, runs: readonly Run[], alive: number): string[] {
  const kind = kindOf(wished.kind);
  if (kind.endsByItself === true || kind.needs === "network") return [];
  const ends = runs.length - alive;
  const causes = wished.stops + wished.orders;
  return ends <= causes ? [] : [`${ends} runs have ended, of which nobody wanted more than ${causes} to`];
}

function judgeObject(slot: Slot, wished: Wished, { metadata, status }: Container): string[] {
  const found: string[] = [];
  if (metadata.annotations?.["chaos/object"] !== wished.mark) found.push("it is an earlier object");
  if (metadata.deletionTimestamp !== undefined) found.push("it hangs in deletion");
  if (metadata.finalizers?.includes(FINALIZER) !== true) found.push("it has no finalizer");
  if (status?.nodeName !== slot.nodeName) found.push(`its status is of node ${String(status?.nodeName)}`);
  if (status?.observedGeneration !== metadata.generation) {
    found.push(`its status is of generation ${status?.observedGeneration ?? 0}, not of ${metadata.generation}`);
  }
  return found;
}

function judgeStatus(wished: Wished, container: Container, seen: Seen, pids: readonly number[]): string[] {
  const { status = {} } = container;
  const kind = kindOf(wished.kind);
  if (kind.fails !== undefined) return judgeFailure(kind.fails, status, seen.runs);
  const found = [...counts(wished, status, seen.runs), ...lastEnd(status, seen.runs, pids.length)];
  const [pid] = pids;
  if (pid === undefined) return [...found, ...judgeIdle(wished, container, seen)];
  const state = wished.desired === "Paused" ? "Paused" : "Running";
  if (wished.desired === "Stopped") found.push("it runs, and must not");
  else if (status.state !== state) found.push(`it is ${String(status.state)}, and must be ${state}`);
  if (status.pid !== pid) found.push(`its process is ${pid}, not ${String(status.pid)}`);
  if (!isTrue(status, "Ready")) found.push("it is not Ready");
  if (status.restartedAt !== wished.restartedAt && status.restartCount !== undefined) {
    found.push(`restartedAt ${String(wished.restartedAt)} was not acted on, but ${String(status.restartedAt)}`);
  }
  return [...found, ...network(kind, pid, seen)];
}

function judgeFailure(fails: NonNullable<Kind["fails"]>, status: ContainerStatus, runs: readonly Run[]): string[] {
  const { state, reason = "", exitCode } = status;
  const isAsSaid = state === fails.state && fails.reasons.includes(reason) && exitCode === fails.exitCode;
  return [
    ...(isAsSaid ? [] : [`it is ${String(state)} ${reason} ${String(exitCode)}, and must be ${JSON.stringify(fails)}`]),
    ...(runs.length === 0 ? [] : ["it has run"]),
  ];
}

/** What one that does not run must look like. */
function judgeIdle(wished: Wished, { spec, status = {} }: Container, seen: Seen): string[] {
  const { state = "", reason = "" } = status;
  if (wished.desired === "Stopped") {
    const isStopped = (state === "Exited" || (state === "Pending" && reason === "Stopped")) && isTrue(status, "Ready");
    return isStopped ? [] : [`it is ${state} ${reason}, and must be stopped and Ready`];
  }
  const peerRuns = seen.peer !== undefined && seen.alive(seen.peer.dir).length > 0;
  if (kindOf(wished.kind).needs !== undefined && !peerRuns && reason === "WaitingForContainer") return [];
  if (wished.kind === "removed" && seen.runs.length > 0) return ["it has ended, and must be gone"];
  const last = seen.runs.at(-1);
  if (last === undefined || status.containerID === undefined) return [`it must run, and is ${state} ${reason}`];
  const code = codeOf(last);
  const isOver = isOverAfter(spec, code, seen.runs.length);
  if (isOver) {
    const condition = code === 0 ? "Complete" : "Failed";
    if (state !== "Exited") return [`it is ${state} ${reason}, and must be Exited`];
    return isTrue(status, condition) ? [] : [`it is not ${condition}`];
  }
  // Those that end again and again are mostly found waiting.
  if (state === "Restarting" && kindOf(wished.kind).endsByItself === true && status.nextRetryAt !== undefined)
    return [];
  return [`it has ended with ${code}, is ${state} ${reason} and must run again`];
}

function isOverAfter(spec: Container["spec"], code: number, runs: number): boolean {
  switch (spec.restartPolicy ?? "Always") {
    case "Always":
      return false;
    case "Never":
      return true;
    case "OnFailure":
      return code === 0 || (spec.maxRestarts !== undefined && spec.maxRestarts > 0 && runs > spec.maxRestarts);
  }
}

/** Restarts are counted: no run is missing, and none is there that neither the policy nor a wish has started. */
function counts(wished: Wished, status: ContainerStatus, runs: readonly Run[]): string[] {
  const own = runs.filter(({ incarnation }) => incarnation === runs.at(-1)?.incarnation).length;
  const { restartCount, containerID } = status;
  if (restartCount === undefined || containerID === undefined || own === 0) return [];
  // A restart counts from when it is begun, also if what it needs has gone since, and it waits for that.
  const least = restartCount + (isWaiting(status) ? 0 : 1);
  const most = 1 + restartCount + wished.starts;
  if (own < least) return [`it was started ${own} times, and says that it was restarted ${restartCount} times`];
  if (own > most && kindOf(wished.kind).needs !== "network") {
    return [`it was started ${own} times; ${restartCount} restarts and ${wished.starts} wishes account for ${most}`];
  }
  return [];
}

/** The exit that the status tells of is the last one there was. */
function lastEnd(status: ContainerStatus, runs: readonly Run[], alive: number): string[] {
  const { exitCode, reason = "", oomKilled = false, containerID } = status;
  if (reason === "Unknown" || exitCode === 255) return ["the exit of its last run was lost"];
  const own = runs.filter(({ incarnation }) => incarnation === runs.at(-1)?.incarnation);
  const last = own.at(-1 - alive);
  if (last === undefined || containerID === undefined) return [];
  const { oom = false } = last;
  const found: string[] = [];
  if (exitCode !== codeOf(last)) found.push(`its exit code is ${String(exitCode)}, and must be ${codeOf(last)}`);
  if (oomKilled !== oom) found.push(`oomKilled is ${oomKilled}, and must be ${oom}`);
  if (alive > 0 || exitCode === undefined || isWaiting(status)) return found;
  const reasons = oom ? ["OOMKilled"] : ["Unhealthy", exitCode === 0 ? "Completed" : "Error"];
  if (!reasons.includes(reason)) found.push(`its reason is ${reason}, and must be ${reasons.join(" or ")}`);
  return found;
}

function isWaiting({ state, reason }: ContainerStatus): boolean {
  return state === "Pending" && reason === "WaitingForContainer";
}

function codeOf({ exitCode }: Run): number {
  return exitCode ?? KILLED;
}

/** Who joined a network is in it, as long as there is one. */
function network(kind: Kind, pid: number, { peer, alive }: Seen): string[] {
  const [other] = peer === undefined ? [] : alive(peer.dir);
  if (kind.needs !== "network" || other === undefined) return [];
  return namespaceOf(pid) === namespaceOf(other) ? [] : ["it is not in the network that it has joined"];
}

function namespaceOf(pid: number): string | undefined {
  try {
    return readlinkSync(`/proc/${pid}/ns/net`);
  } catch {
    return undefined;
  }
}

function isTrue({ conditions = [] }: ContainerStatus, wanted: string): boolean {
  return conditions.some(({ type, status }) => type === wanted && status === "True");
}
