import { status } from "@grpc/grpc-js";
import { describe, expect, it } from "@jest/globals";
import { ContainerdError, ImagePullError } from "../containerd/index.ts";
import { SpecError, StartError, startFailure, type StartFailureReason } from "../oci/index.ts";
import { at, bothOf, verdictAfter } from "./failure.ts";
import type { Verdict } from "./record.ts";

const NOW = new Date("2026-01-02T03:04:05.678Z");
const WISH = { generation: 3 };

const failing = (reason: StartFailureReason): StartError => new StartError(startFailure(reason, "why"));

/** Seconds from now to the next try, of one failure after the other. */
function waitsOf(failures: number, reason: StartFailureReason = "VolumeSetupFailed"): number[] {
  let verdict: Verdict | undefined;
  return Array.from({ length: failures }, () => {
    verdict = verdictAfter(failing(reason), WISH, verdict, NOW);
    return (Date.parse(verdict.nextRetryAt ?? "") - NOW.getTime()) / 1000;
  });
}

describe("verdictAfter", () => {
  it("waits a second, then twice as long each time, to 5 minutes", () => {
    expect(waitsOf(11)).toEqual([1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]);
  });

  it("never waits longer than that, however often it failed", () => {
    const earlier = verdictAfter(failing("RuntimeError"), WISH, undefined, NOW);
    const { nextRetryAt, attempts } = verdictAfter(failing("RuntimeError"), WISH, { ...earlier, attempts: 5000 }, NOW);
    expect([nextRetryAt, attempts]).toEqual([new Date(NOW.getTime() + 300_000).toISOString(), 5001]);
  });

  it("sets no time for what is final", () => {
    const verdict = verdictAfter(failing("CommandNotFound"), WISH, undefined, NOW);
    expect(verdict).toEqual({ failure: failing("CommandNotFound").failure, attempts: 1, generation: 3 });
  });

  it("calls a pull's second failure and those after it ImagePullBackOff, and no other failure", () => {
    const reasons = (reason: StartFailureReason): string[] => {
      const first = verdictAfter(failing(reason), WISH, undefined, NOW);
      const second = verdictAfter(failing(reason), WISH, first, NOW);
      const third = verdictAfter(failing(reason), WISH, second, NOW);
      return [first, second, third].map(({ failure }) => failure.reason);
    };
    expect(reasons("ErrImagePull")).toEqual(["ErrImagePull", "ImagePullBackOff", "ImagePullBackOff"]);
    expect(reasons("ErrImageNeverPull")).toEqual(Array(3).fill("ErrImageNeverPull"));
    expect(reasons("NetworkSetupFailed")).toEqual(Array(3).fill("NetworkSetupFailed"));
  });

  it.each([
    ["spec", { generation: 4 }],
    ["annotation", { generation: 3, restartedAt: "now" }],
  ])("counts anew when the %s changed", (_, wish) => {
    const earlier = verdictAfter(failing("ErrImagePull"), WISH, undefined, NOW);
    const verdict = verdictAfter(failing("ErrImagePull"), wish, { ...earlier, attempts: 7 }, NOW);
    expect(verdict).toMatchObject({ ...wish, attempts: 1, failure: { reason: "ErrImagePull" } });
  });
});

describe("at", () => {
  it("answers what the step does", async () => {
    await expect(at("pull", () => 1)).resolves.toBe(1);
    await expect(at("pull", () => Promise.resolve(2))).resolves.toBe(2);
  });

  it.each([
    ["a SpecError, whatever the step", "storage", new SpecError("spec.runtime", "wrong"), "InvalidSpec"],
    ["a bad image name", "pull", new ImagePullError("InvalidName", "wrong"), "InvalidImageName"],
    ["an image that is not there", "pull", new ImagePullError("NotFound", "wrong"), "ErrImagePull"],
    ["a volume's error", "storage", new Error("wrong"), "VolumeSetupFailed"],
    [
      "a snapshot's error",
      "storage",
      new ContainerdError("Snapshots.Prepare", status.UNKNOWN, "wrong"),
      "RuntimeError",
    ],
    ["a network's error", "network", new Error("wrong"), "NetworkSetupFailed"],
  ] as const)("makes a StartError of %s", async (_, step, error, reason) => {
    const thrown: unknown = await at(step, () => Promise.reject(error)).catch((caught: unknown) => caught);
    expect(thrown).toBeInstanceOf(StartError);
    expect(thrown).toMatchObject({ cause: error, failure: { reason } });
  });

  it("passes on that containerd is away, and what is a StartError already", async () => {
    const away = new ContainerdError("Tasks.Create", status.UNAVAILABLE, "no connection");
    await expect(at("create", () => Promise.reject(away))).rejects.toBe(away);
    const known = failing("ErrImageNeverPull");
    await expect(at("create", () => Promise.reject(known))).rejects.toBe(known);
  });
});

describe("bothOf", () => {
  it("answers both", async () => {
    await expect(bothOf(Promise.resolve(1), Promise.resolve("two"))).resolves.toEqual([1, "two"]);
  });

  it("throws only when the other has ended too", async () => {
    const other = Promise.withResolvers<undefined>();
    let settled = false;
    const both = bothOf(Promise.reject(new Error("failed")), other.promise).finally(() => {
      settled = true;
    });
    const thrown = expect(both).rejects.toThrow("failed");
    await new Promise(setImmediate);
    expect(settled).toBe(false);
    other.resolve(undefined);
    await thrown;
  });
});
