import { describe, expect, it, jest } from "@jest/globals";
import { pino } from "pino";
import { StartError, startFailure } from "../oci/index.ts";
import { Obstacle } from "./obstacle.ts";
import { observedStep, phase } from "./observer.ts";
import type { Parts } from "./parts.ts";
import { NoLongerWanted } from "./wanted.ts";

function observing() {
  const observer = { step: jest.fn<Parts["observer"]["step"]>(), phase: jest.fn<Parts["observer"]["phase"]>() };
  return {
    ...observer,
    parts: { observer: observer as Partial<Parts["observer"]> as Parts["observer"], logger: pino({ level: "silent" }) },
  };
}

describe("a step", () => {
  it.each([
    ["startFailed", new StartError(startFailure("InvalidSpec", "no"))],
    ["calledOff", new NoLongerWanted("id")],
    ["obstacle", new Obstacle("removal", "busy")],
    ["error", new Error("else")],
  ])("that ends in %s is told of so, and throws what it did", async (result, error) => {
    const { step, parts } = observing();
    await expect(observedStep(parts, "create", () => Promise.reject(error))).rejects.toBe(error);
    expect(step.mock.calls).toEqual([["create", result, expect.any(Number)]]);
  });

  it("that waits is told from one that is done", async () => {
    const { step, parts } = observing();
    const waiting = { reason: "Pulling", message: "" };
    expect(await observedStep(parts, "create", () => Promise.resolve(waiting))).toBe(waiting);
    await observedStep(parts, "stop", () => Promise.resolve(undefined));
    expect(step.mock.calls.map(([verb, result]) => [verb, result])).toEqual([
      ["create", "waiting"],
      ["stop", "success"],
    ]);
  });
});

describe("a phase", () => {
  it("counts when it succeeds, in seconds", async () => {
    jest.useFakeTimers();
    try {
      const observed = observing();
      const done = phase(
        observed.parts,
        { id: "1" },
        "storage",
        () => new Promise((resolve) => setTimeout(resolve, 1500)),
      );
      await jest.advanceTimersByTimeAsync(1500);
      await done;
      await phase(observed.parts, { id: "1" }, "network", () => Promise.reject(new Error("no"))).catch(() => undefined);
      expect(observed.phase.mock.calls).toEqual([["storage", 1.5]]);
    } finally {
      jest.useRealTimers();
    }
  });
});
