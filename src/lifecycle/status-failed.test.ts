import { describe, expect, it } from "@jest/globals";
import { RESTARTED_AT } from "../api/index.ts";
import type { Desired } from "./decide.ts";
import type { Verdict } from "./record.ts";
import { endedForGood, verdictOf } from "./told.ts";
import { ENDED, RETRY, object, wish, instance, RUN, end, verdict, status, held } from "./status.test-support.ts";

describe("a change that a running container could not take", () => {
  it("is told with its reason and its next try; the container runs on, but is not Ready", () => {
    const refused = verdict("ErrImagePull", { generation: 3 });
    const desired = { ...wish(), generation: 3 } as Desired;
    const told = status(instance({ run: RUN, verdict: refused }, "running"), { desired });
    expect(told).toMatchObject({ state: "Running", reason: "ErrImagePull", nextRetryAt: RETRY, pid: 42 });
    expect(told.message).toContain("what to do");
    expect(told).not.toHaveProperty("exitCode");
    expect(held(told)).toEqual(["Reconciling"]);
  });
});

describe("a start that failed", () => {
  it("for good is told with its verdict", () => {
    const told = status(undefined, {
      verdict: verdict("CommandNotFound", { restartedAt: "now" }),
      desired: wish({}, { restartedAt: "now" }),
    });
    expect(told).toMatchObject({
      state: "Exited",
      reason: "CommandNotFound",
      exitCode: 127,
      message: "what to do",
      error: "its own words",
      startAttempts: 3,
      restartedAt: "now",
    });
    expect(told).not.toHaveProperty("nextRetryAt");
    expect(held(told)).toEqual(["Failed", "Stalled"]);
  });

  it("and is tried again is told with the time", () => {
    const told = status(undefined, { verdict: verdict("ErrImagePull") });
    expect(told).toMatchObject({ state: "Pending", reason: "ErrImagePull", exitCode: 128, nextRetryAt: RETRY });
    expect(held(told)).toEqual(["Reconciling"]);
  });

  it("keeps the count of its attempts while the next one waits for its image", () => {
    const waiting = { reason: "Pulling", message: 'Pulling image "busybox"' };
    const told = status(undefined, { waiting, verdict: verdict("ErrImagePull") });
    expect(told).toMatchObject({ ...waiting, state: "Pending", startAttempts: 3, nextRetryAt: RETRY });
    for (const gone of ["exitCode", "error"]) expect(told).not.toHaveProperty(gone);
    expect(verdictOf(object(told))).toMatchObject({ attempts: 3, generation: 2, nextRetryAt: RETRY });
  });

  it("is a restart's, and does not hide what is known of the container", () => {
    const told = status(instance({ lastEnd: end(3), restartCount: 1, verdict: verdict("ErrImagePull") }));
    expect(told).toMatchObject({
      state: "Pending",
      reason: "ErrImagePull",
      exitCode: 128,
      restartCount: 1,
      finishedAt: ENDED,
    });
    expect(told.containerID).toBeDefined();
  });

  it.each<[string, Partial<Verdict>]>([
    ["spec", { generation: 1 }],
    ["value of the annotation", { restartedAt: "then" }],
  ])("of an earlier %s is not told of any more", (_, changes) => {
    const desired = wish({ desiredState: "Stopped" });
    const told = status(undefined, { desired, verdict: verdict("CommandNotFound", changes) });
    expect(told).toMatchObject({ state: "Pending", reason: "Stopped" });
    for (const gone of ["exitCode", "error", "startAttempts"]) expect(told).not.toHaveProperty(gone);
    expect(held(told)).toEqual(["Ready"]);
    const ended = status(instance({ lastEnd: end(0), verdict: verdict("CommandNotFound", changes) }), { desired });
    expect(ended).toMatchObject({ state: "Exited", exitCode: 0 });
  });

  it("is told with as much of the runtime's words as a status can hold", () => {
    const long = verdict("CommandNotFound");
    const told = status(undefined, {
      verdict: { ...long, failure: { ...long.failure, message: "x".repeat(100_000) } },
    });
    expect(told.message).toMatch(/^x{4096}…$/);
  });
});

describe("what a status tells the next agent", () => {
  it("is the verdict on a start that left no record", () => {
    for (const each of [verdict("CommandNotFound"), verdict("ErrImagePull", { restartedAt: "now" })]) {
      const desired = wish({}, each.restartedAt === undefined ? {} : { restartedAt: each.restartedAt });
      expect(verdictOf(object(status(undefined, { verdict: each, desired })))).toEqual(each);
    }
    expect(verdictOf(object())).toBeUndefined();
    expect(verdictOf(object(status(instance({ run: RUN }, "running"))))).toBeUndefined();
  });

  it("is whether it has ended for good, by this spec and this value of the annotation", () => {
    const desired = wish({ restartPolicy: "Never" });
    const ended = status(instance({ lastEnd: end(0), restartedAt: "then" }), { desired });
    expect(endedForGood(object(ended, { [RESTARTED_AT]: "then" }))).toBe(true);
    expect(endedForGood(object(ended, { [RESTARTED_AT]: "now" }))).toBe(false);
    expect(endedForGood(object(ended))).toBe(false);
    const newer = { ...object(ended, { [RESTARTED_AT]: "then" }) };
    expect(endedForGood({ ...newer, metadata: { ...newer.metadata, generation: 3 } })).toBe(false);
    expect(endedForGood(object(status(instance({ run: RUN }, "running"))))).toBe(false);
  });
});
