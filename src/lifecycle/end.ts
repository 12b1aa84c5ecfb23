/**
 * Ends of runs. Nothing is lost on the way: exit status and OOM count are read and written into the record before the
 * task, which alone holds them, is deleted.
 */
import { endReason, nextDelay, UNKNOWN_EXIT_STATUS } from "../oci/index.ts";
import { oomKillCount } from "../node/index.ts";
import { recordedCgroup } from "./cgroup.ts";
import { type Instance, restarts } from "./decide.ts";
import type { Parts } from "./parts.ts";
import type { End, Run, RunState } from "./record.ts";
import { deleteTask, logFile } from "./task.ts";

/** The same words each time, so that a container that keeps ending has one such Event with a count. */
const BACK_OFF = "The container has ended by itself and is started again after a wait, each twice as long as the last";

/** Records the end of a stopped task, then deletes the task. */
export async function recordEnd(parts: Parts, { record, task }: Instance): Promise<void> {
  if (task === undefined) return;
  const finishedAt = (task.exitedAt ?? parts.clock()).toISOString();
  // A crash between record and deletion: the end is known already, and must not count twice.
  if (record.state.run !== undefined || record.state.lastEnd?.finishedAt !== finishedAt) {
    const oomKills = await oomKillCount(parts.cgroups, await recordedCgroup(parts, record.id));
    const oomKilled = oomKills !== undefined && oomKills > 0;
    const { reason, exitCode } = endReason(task.exitStatus, oomKilled);
    await saveEnd(parts, { record, task }, { exitCode, reason, oomKilled, finishedAt });
  }
  await deleteTask(parts, record.id);
}

/** Records the end of a run whose task is gone without a word: the node was rebooted, or containerd lost it. */
export async function recordLoss(parts: Parts, instance: Instance): Promise<void> {
  const rebooted = instance.record.state.run?.bootID !== parts.bootID;
  const reason = rebooted ? "NodeRebooted" : "Unknown";
  const finishedAt = parts.clock().toISOString();
  await saveEnd(parts, instance, { exitCode: UNKNOWN_EXIT_STATUS, reason, oomKilled: false, finishedAt });
}

/** A run that begins now. */
export function runNow({ clock, uptime, bootID }: Parts): Omit<Run, "pid"> {
  return { startedAt: clock().toISOString(), startedMs: uptime(), bootID };
}

/** Takes over a running task that the record does not know of: the agent died between its start and the record. */
export async function adopt(parts: Parts, { record, task }: Instance): Promise<void> {
  if (task === undefined) return;
  const { starting: _, ...state } = record.state;
  const run = { ...runNow(parts), pid: task.pid };
  await parts.records.saveState(record.id, { ...state, run });
}

async function saveEnd(
  parts: Parts,
  { record }: Instance,
  how: Pick<End, "exitCode" | "reason" | "oomKilled" | "finishedAt">,
): Promise<void> {
  const { run, stopping, starting: _, ...state } = record.state;
  const checkpoint = stopping?.checkpoint;
  const end: End = {
    ...how,
    ...(run === undefined ? {} : { startedAt: run.startedAt }),
    // The healthcheck's wish is nobody's: such an end counts for the restart policy, as a failed one.
    ...(stopping?.unhealthy === true ? { reason: "Unhealthy" } : {}),
    ...(checkpoint === undefined ? {} : { checkpoint, reason: "Checkpointed" }),
    requested: stopping !== undefined && stopping.unhealthy !== true && checkpoint === undefined,
  };
  const stoppedFor = stopping?.restartedAt;
  const ended = { ...state, lastEnd: end, ...(stoppedFor === undefined ? {} : { stoppedFor }) };
  const next = withNextRestart(ended, record.applied.spec);
  await parts.records.saveState(record.id, next);
  parts.observer.ended(end.reason);
  announce(parts, record.applied, end);
  if (next.nextRetryAt !== undefined) parts.announce(record.applied, "Warning", "BackOff", BACK_OFF);
}

/** Puts the time of the next restart into the state, where the policy wants one: the wait begins with the end. */
function withNextRestart(state: RunState, spec: Instance["record"]["applied"]["spec"]): RunState {
  const end = state.lastEnd;
  if (end === undefined || !restarts(spec, state)) return state;
  const ranForMs = end.startedAt === undefined ? 0 : Date.parse(end.finishedAt) - Date.parse(end.startedAt);
  const backoffMs = nextDelay(state.backoffMs, ranForMs);
  const nextRetryAt = new Date(Date.parse(end.finishedAt) + backoffMs).toISOString();
  return { ...state, backoffMs, nextRetryAt };
}

function announce(parts: Parts, applied: Instance["record"]["applied"], end: End): void {
  const output = logFile(parts.logDir, applied);
  const message = `Container ended with exit code ${end.exitCode} (${end.reason}); its output is in ${output}`;
  const failed = end.exitCode !== 0 && !end.requested && end.checkpoint === undefined;
  parts.announce(applied, failed ? "Warning" : "Normal", end.oomKilled ? "OOMKilled" : "Exited", message);
}
