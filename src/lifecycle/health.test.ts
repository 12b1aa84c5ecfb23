import { describe, expect, it } from "@jest/globals";
import type { Healthcheck } from "../oci/index.ts";
import { afterProbe, type Health, healthOf, isNews, STARTING, waitBeforeProbe, whyUnhealthy } from "./health.ts";
import { instance, RUN, spec, STARTED } from "./status.test-support.ts";

const CHECK: Healthcheck = {
  probe: { kind: "exec", args: ["true"] },
  intervalMs: 30_000,
  timeoutMs: 30_000,
  startPeriodMs: 10_000,
  startIntervalMs: 5000,
  retries: 3,
  onUnhealthy: "None",
};
const ok = { healthy: true, output: "fine" };
const bad = { healthy: false, output: "broken" };
const AFTER_START_PERIOD = 10_000;

/** What a row of results, all after the start period, makes of a health. */
const after = (before: Health, ...results: { healthy: boolean; output: string }[]): Health =>
  results.reduce((health, result) => afterProbe(health, result, CHECK, AFTER_START_PERIOD), before);
const seen = ({ status, failingStreak }: Health): string => `${status}/${failingStreak}`;

describe("afterProbe", () => {
  it.each<[string, { healthy: boolean; output: string }[], string]>([
    ["one success", [ok], "Healthy/0"],
    ["failures short of retries, from the start", [bad, bad], "Starting/2"],
    ["as many failures as retries", [bad, bad, bad], "Unhealthy/3"],
    ["more than that, of which no more are counted", [bad, bad, bad, bad, bad], "Unhealthy/3"],
    ["failures short of retries after a success", [ok, bad, bad], "Healthy/2"],
    ["a success between failures", [ok, bad, bad, ok, bad], "Healthy/1"],
    ["a success after all", [bad, bad, bad, ok], "Healthy/0"],
  ])("%s", (_, results, wanted) => {
    expect(seen(after(STARTING, ...results))).toBe(wanted);
  });

  it("does not count failures in the start period, until the first success", () => {
    const early = (health: Health, result: typeof ok): Health => afterProbe(health, result, CHECK, 9999);
    expect(early(STARTING, bad)).toEqual({ status: "Starting", failingStreak: 0, output: "broken" });
    expect(seen(early(early(STARTING, ok), bad))).toBe("Healthy/1");
  });
});

describe("isNews", () => {
  const unhealthy = after(STARTING, bad, bad, bad);

  it("is a status, a count, a first output", () => {
    expect(isNews(STARTING, after(STARTING, bad))).toBe(true);
    expect(isNews(unhealthy, after(unhealthy, ok))).toBe(true);
    expect(isNews(STARTING, { ...STARTING, output: "broken" })).toBe(true);
  });

  it("is not the same in other words", () => {
    expect(isNews(unhealthy, after(unhealthy, { healthy: false, output: "broken still" }))).toBe(false);
    expect(isNews(after(STARTING, ok), after(STARTING, { healthy: true, output: "finer" }))).toBe(false);
  });
});

it("waits the start interval in the start period before the first success, else the interval", () => {
  expect(waitBeforeProbe(STARTING, CHECK, 0)).toBe(5000);
  expect(waitBeforeProbe(STARTING, CHECK, AFTER_START_PERIOD)).toBe(30_000);
  expect(waitBeforeProbe(after(STARTING, ok), CHECK, 0)).toBe(30_000);
});

it("tells why a container is unhealthy", () => {
  expect(whyUnhealthy(after(STARTING, bad, bad, bad))).toBe("The healthcheck has failed 3 times in a row: broken");
  expect(whyUnhealthy({ status: "Unhealthy", failingStreak: 1, output: "" })).toBe(
    "The healthcheck has failed: it said nothing",
  );
});

describe("healthOf", () => {
  const recordWith = (health: object, state: object = { run: RUN }) => {
    const { record } = instance(state, "running");
    const applied = { ...record.applied, spec: spec({ healthcheck: { exec: { command: ["true"] } } }) };
    return { ...record, applied, health: { run: STARTED, probe: CHECK.probe, ...after(STARTING, ok), ...health } };
  };

  it("is what was found out about the run there is, by the check there is", () => {
    expect(healthOf(recordWith({}))?.health).toMatchObject({ status: "Healthy", output: "fine" });
    expect(healthOf(recordWith({ run: "2026-01-02T02:00:00.000Z" }))?.health).toEqual(STARTING);
    expect(healthOf(recordWith({ probe: { kind: "tcp", port: 1 } }))?.health).toEqual(STARTING);
  });

  it("is none without a run or a check", () => {
    expect(healthOf(recordWith({}, {}))).toBeUndefined();
    expect(healthOf(instance({ run: RUN }, "running").record)).toBeUndefined();
  });
});
