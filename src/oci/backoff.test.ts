import { describe, expect, it } from "@jest/globals";
import { nextDelay, shouldRestart } from "./backoff.ts";

describe("nextDelay", () => {
  it("doubles from 100 ms to a minute", () => {
    const delays: number[] = [];
    for (let delay = 0, run = 0; run < 12; run++) delays.push((delay = nextDelay(delay, 50)));
    expect(delays).toEqual([100, 200, 400, 800, 1600, 3200, 6400, 12_800, 25_600, 51_200, 60_000, 60_000]);
  });

  it("begins anew after a run of 10 s, not before", () => {
    expect(nextDelay(51_200, 10_000)).toBe(100);
    expect(nextDelay(51_200, 9999)).toBe(60_000);
  });
});

describe("shouldRestart", () => {
  const question = { failed: false, restarts: 0, maxRestarts: 0 };

  it.each([
    ["Always", false, true],
    ["Always", true, true],
    ["Never", false, false],
    ["Never", true, false],
    ["OnFailure", false, false],
    ["OnFailure", true, true],
  ] as const)("%s of a run that failed (%s): %s", (policy, failed, expected) => {
    expect(shouldRestart({ ...question, policy, failed })).toBe(expected);
  });

  it("stops at maxRestarts, which only OnFailure heeds; 0 is no limit", () => {
    const failed = { ...question, failed: true, restarts: 3 };
    expect(shouldRestart({ ...failed, policy: "OnFailure", maxRestarts: 4 })).toBe(true);
    expect(shouldRestart({ ...failed, policy: "OnFailure", maxRestarts: 3 })).toBe(false);
    expect(shouldRestart({ ...failed, policy: "OnFailure", maxRestarts: 0 })).toBe(true);
    expect(shouldRestart({ ...failed, policy: "Always", maxRestarts: 3 })).toBe(true);
  });

  it("never restarts what is wished to be stopped", () => {
    expect(shouldRestart({ ...question, policy: "Always", desiredState: "Stopped" })).toBe(false);
    expect(shouldRestart({ ...question, policy: "Always", desiredState: "Paused" })).toBe(true);
  });
});
