/** A container's health: what a check's result makes of it, in pure functions (the rules are the Docker daemon's). */
import { isDeepStrictEqual } from "node:util";
import { type Healthcheck, healthcheckOf, type Probe, SpecError } from "../oci/index.ts";
import type { Record } from "./record.ts";

/** Bytes of a check's output that are kept, as in Docker. */
export const MAX_OUTPUT_BYTES = 4096;

/** How healthy a container is. */
export interface Health {
  readonly status: "Starting" | "Healthy" | "Unhealthy";
  /** Failures in a row, counted as far as `retries`. */
  readonly failingStreak: number;
  /** Of the check that made it so. */
  readonly output?: string;
}

/** Health as a container's record keeps it. */
export interface HealthRecord extends Health {
  /** Which run it is about: when that was started. */
  readonly run: string;
  /** Which check has found it. */
  readonly probe: Probe;
}

/** The result of one check. */
export interface ProbeResult {
  readonly healthy: boolean;
  readonly output: string;
}

/** What a run begins with. */
export const STARTING: Health = { status: "Starting", failingStreak: 0 };

/**
 * What a result makes of a container's health. A failure in the start period does not count before the first success.
 * @param sinceStartMs from the run's start to the check's
 */
export function afterProbe(before: Health, result: ProbeResult, check: Healthcheck, sinceStartMs: number): Health {
  const { healthy, output } = result;
  if (healthy) return { status: "Healthy", failingStreak: 0, output };
  if (before.status === "Starting" && sinceStartMs < check.startPeriodMs) return { ...before, output };
  const failingStreak = Math.min(before.failingStreak + 1, check.retries);
  return { status: failingStreak >= check.retries ? "Unhealthy" : before.status, failingStreak, output };
}

/** Whether there is something new to tell: a check that says the same in other words has said nothing new. */
export function isNews(before: Health, after: Health): boolean {
  return (
    before.status !== after.status ||
    before.failingStreak !== after.failingStreak ||
    (before.output === undefined && after.output !== undefined)
  );
}

/** Milliseconds from the end of one check, or the start of the run, to the next check. */
export function waitBeforeProbe(health: Health, check: Healthcheck, sinceStartMs: number): number {
  const starting = health.status === "Starting" && sinceStartMs < check.startPeriodMs;
  return starting ? check.startIntervalMs : check.intervalMs;
}

/** The check that a container's record asks for, with the health of its current run; undefined without a check or a run. */
export function healthOf({ applied, state, health }: Record): { check: Healthcheck; health: Health } | undefined {
  const { run } = state;
  const check = checkOf(applied);
  if (run === undefined || check === undefined) return undefined;
  const isCurrent = health?.run === run.startedAt && isDeepStrictEqual(health.probe, check.probe);
  return { check, health: isCurrent ? health : STARTING };
}

/** A check that can't be made is refused before it is applied; in a record of another version it counts as none. */
function checkOf({ spec, image }: Record["applied"]): Healthcheck | undefined {
  try {
    return healthcheckOf(spec, image);
  } catch (error) {
    if (error instanceof SpecError) return undefined;
    throw error;
  }
}

/** Why a container is unhealthy, for a person. */
export function whyUnhealthy({ failingStreak, output = "" }: Health): string {
  const times = failingStreak === 1 ? "" : ` ${failingStreak} times in a row`;
  return `The healthcheck has failed${times}: ${output.trim() || "it said nothing"}`;
}
