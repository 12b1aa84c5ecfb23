import { describe, expect, it } from "@jest/globals";
import type { ContainerCheckpoint, ContainerSpec } from "../../api/index.ts";
import { decide } from "../decide.ts";
import { end, instance, NOW, RUN, spec, status, wish } from "../status.test-support.ts";
import type { Taken } from "./data.ts";
import { restoringFrom, usedCheckpoint } from "./restore.ts";
import { hindrance, isThrough } from "./take.ts";

const current = instance({ run: RUN }, "running");

const checkpoint = (leaveRunning?: boolean): ContainerCheckpoint => ({
  apiVersion: "berth.dev/v1alpha1",
  kind: "ContainerCheckpoint",
  metadata: { name: "c", namespace: "default", uid: "u", generation: 1, resourceVersion: "1" },
  spec: { containerName: "web", ...(leaveRunning === undefined ? {} : { leaveRunning }) },
});
const taken = { containerID: current.record.id } as Taken;

describe("hindrance", () => {
  it.each<[string, Partial<ContainerSpec>]>([
    ["spec.tty", { tty: true }],
    ["spec.stdin", { stdin: true }],
    ["spec.hostPID", { hostPID: true }],
    ["spec.hostIPC", { hostIPC: true }],
  ])("names %s", (field, wished) => {
    expect(hindrance({ spec: spec(wished) })).toContain(`${field}: `);
  });

  it("is none for another container", () => {
    expect(hindrance({ spec: spec({ securityContext: { privileged: true }, network: { mode: "Host" } }) })).toBe(
      undefined,
    );
  });
});

describe("a complete checkpoint found after a crash", () => {
  const ended = instance({ lastEnd: end(137, { checkpoint: "c" }) });
  const ending = instance({ run: RUN, stopping: { deadlineMs: 0, checkpoint: "c" } }, "paused");

  it("is through when its container was to go on, is ended, or is gone", () => {
    expect(isThrough(taken, checkpoint(), current)).toBe(true);
    expect(isThrough(taken, checkpoint(false), ended)).toBe(true);
    expect(isThrough(taken, checkpoint(false), ending)).toBe(true);
    expect(isThrough(taken, checkpoint(false), undefined)).toBe(true);
  });

  it("is not when the container that it was to end has gone on", () => {
    expect(isThrough(taken, checkpoint(false), current)).toBe(false);
  });
});

describe("a container that a checkpoint ended", () => {
  const lastEnd = end(137, { reason: "Checkpointed", checkpoint: "c" });
  const ended = instance({ lastEnd });
  const verb = (rest: { restartedAt?: string } = {}) =>
    decide(wish({ restartPolicy: "Always" }, rest), { current: ended, leftovers: [] }, { date: NOW, uptimeMs: 0 }).verb;

  it("is not started again by itself, but when it is asked to", () => {
    expect(verb()).toBe("none");
    expect(verb({ restartedAt: "now" })).toBe("startAgain");
  });

  it("is killed first, held as it is", () => {
    const stopping = { deadlineMs: 0, checkpoint: "c" };
    const held = instance({ run: RUN, stopping }, "paused");
    expect(decide(wish(), { current: held, leftovers: [] }, { date: NOW, uptimeMs: 0 }).verb).toBe("kill");
  });

  it("says what to do", () => {
    const { state, reason, exitCode, message } = status(ended);
    expect({ state, reason, exitCode }).toEqual({ state: "Exited", reason: "Checkpointed", exitCode: 137 });
    expect(message).toContain('ContainerCheckpoint "c"');
    expect(message).toContain("spec.restoreFrom");
  });
});

describe("the value of restoreFrom", () => {
  it("is used when the first start has come about", () => {
    const before = instance({ starting: true, restoredFrom: "c" });
    expect(restoringFrom(before.record.state)).toBe("c");
    expect(usedCheckpoint(before.record.state)).toBeUndefined();
    expect(status(before)).not.toHaveProperty("restoredFrom");
    for (const state of [{ run: RUN }, { lastEnd: end(0) }, { lastEnd: end(0), starting: true as const }]) {
      const after = instance({ ...state, restoredFrom: "c" });
      expect(restoringFrom(after.record.state)).toBeUndefined();
      expect(status(after)).toMatchObject({ restoredFrom: "c" });
    }
  });
});
