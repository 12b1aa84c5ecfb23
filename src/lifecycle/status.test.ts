import { describe, expect, it } from "@jest/globals";
import type { Condition, ContainerSpec, ContainerStatus } from "../api/index.ts";
import type { TaskState } from "../containerd/index.ts";
import { startFailure } from "../oci/index.ts";
import type { Desired, Instance } from "./decide.ts";
import type { RunState } from "./record.ts";
import { type StatusInput, withoutRuntime } from "./status.ts";
import {
  NOW,
  STARTED,
  ENDED,
  RETRY,
  UID,
  object,
  wish,
  instance,
  RUN,
  end,
  status,
  held,
  verdict,
} from "./status.test-support.ts";

/** A spec that may not be applied before something is known. */
const WAITS = { reason: "WaitingForNamespace", state: "Pending", final: false, message: "m", error: "e" } as const;

describe("a container with a task", () => {
  it("tells all there is to know of its run", () => {
    const network = {
      netns: "/run/berth/netns/x",
      interfaces: [],
      ipAddresses: ["10.89.0.2"],
      gateway: "10.89.0.1",
      macAddress: "02:00:00:00:00:01",
      ports: [{ hostPort: 8080, containerPort: 80, protocol: "TCP" as const }],
    };
    const current = instance({ run: RUN, restartCount: 2, restartedAt: "then", lastEnd: end(3) }, "running");
    expect(status(current, { network })).toEqual({
      nodeName: "node-1",
      state: "Running",
      reason: "Started",
      containerID: `containerd://${UID}-1`,
      imageDigest: "sha256:1",
      runtime: "runc",
      pid: 42,
      restartCount: 2,
      restartedAt: "then",
      startedAt: STARTED,
      exitCode: 3,
      oomKilled: false,
      finishedAt: ENDED,
      network: {
        ipAddresses: ["10.89.0.2"],
        gateway: "10.89.0.1",
        macAddress: "02:00:00:00:00:01",
        ports: [{ hostPort: 8080, containerPort: 80, protocol: "TCP" }],
      },
      observedGeneration: 2,
      conditions: [
        {
          type: "Ready",
          status: "True",
          reason: "Started",
          message: "The container is running.",
          observedGeneration: 2,
          lastTransitionTime: NOW.toISOString(),
        },
      ],
    });
  });

  it.each<[string, Partial<RunState>, TaskState["status"], Partial<ContainerSpec>, string, string[]]>([
    ["runs, as it should", {}, "running", {}, "Running/Started", ["Ready"]],
    ["runs, and is to be paused", {}, "running", { desiredState: "Paused" }, "Running/Started", ["Reconciling"]],
    ["is paused, as it should", {}, "paused", { desiredState: "Paused" }, "Paused/Paused", ["Ready"]],
    ["is paused, and is to run", {}, "paused", {}, "Paused/Paused", ["Reconciling"]],
    ["runs, and is to be stopped", {}, "running", { desiredState: "Stopped" }, "Running/Started", ["Reconciling"]],
    ["is being stopped", { stopping: { deadlineMs: 0 } }, "running", {}, "Running/Stopping", ["Reconciling"]],
  ])("%s", (_, state, task, changes, wanted, conditions) => {
    const told = status(instance({ run: RUN, ...state }, task), { desired: wish(changes) });
    expect([`${told.state ?? ""}/${told.reason ?? ""}`, held(told)]).toEqual([wanted, conditions]);
  });

  it("that runs by an earlier spec, for the new one can't be applied, is told so", () => {
    const refusal = startFailure("InvalidSpec", "spec.tty: is not supported yet");
    const told = status(instance({ run: RUN }, "running"), { refusal });
    expect(told).toMatchObject({ state: "Running", reason: "InvalidSpec", message: refusal.message });
    expect(told).not.toHaveProperty("exitCode");
    expect(held(told)).toEqual(["Stalled"]);
  });

  it("that runs by an earlier spec, until it is known whether the new one may be applied, is on its way", () => {
    const told = status(instance({ run: RUN }, "running"), { refusal: WAITS });
    expect(told).toMatchObject({ state: "Running", reason: "WaitingForNamespace" });
    expect(held(told)).toEqual(["Reconciling"]);
  });
});

describe("a container that has a change to wait for", () => {
  it("runs on, says what the change waits for, and is on its way", () => {
    const desired = { ...wish(), generation: 3, deferred: true } as Desired;
    const waiting = { reason: "InsufficientResources", message: "no room" };
    const told = status(instance({ run: RUN }, "running"), { desired, waiting });
    const message = "The container runs on as it was, for the change of its spec waits: no room";
    expect(told).toMatchObject({ state: "Running", reason: "InsufficientResources", message, pid: 42 });
    expect(held(told)).toEqual(["Reconciling"]);
  });
});

describe("a container that has ended", () => {
  it.each<[string, Partial<RunState>, Partial<ContainerSpec>, string, string[]]>([
    ["with 0, for good", { lastEnd: end(0) }, { restartPolicy: "Never" }, "Exited/Completed", ["Complete"]],
    ["with 3, for good", { lastEnd: end(3) }, { restartPolicy: "Never" }, "Exited/Error", ["Failed"]],
    [
      "with 0, and is not restarted on success",
      { lastEnd: end(0) },
      { restartPolicy: "OnFailure" },
      "Exited/Completed",
      ["Complete"],
    ],
    [
      "as often as it may",
      { lastEnd: end(3), restartCount: 3, policyRestarts: 2 },
      { restartPolicy: "OnFailure", maxRestarts: 2 },
      "Exited/Error",
      ["Failed"],
    ],
    [
      "by what its healthcheck says, whatever its code",
      { lastEnd: end(0, { reason: "Unhealthy" }) },
      { restartPolicy: "Never" },
      "Exited/Unhealthy",
      ["Failed"],
    ],
    ["and is restarted", { lastEnd: end(0), nextRetryAt: RETRY }, {}, "Restarting/Completed", ["Reconciling"]],
    [
      "because a restart was asked for",
      { lastEnd: end(143, { requested: true }) },
      { restartPolicy: "Never" },
      "Restarting/Error",
      ["Reconciling"],
    ],
    [
      "because it is stopped",
      { lastEnd: end(143, { requested: true }), stopped: true },
      { desiredState: "Stopped" },
      "Exited/Error",
      ["Ready"],
    ],
    [
      "by itself while it was to be stopped",
      { lastEnd: end(0) },
      { desiredState: "Stopped" },
      "Exited/Completed",
      ["Ready"],
    ],
  ])("%s", (_, state, changes, wanted, conditions) => {
    const told = status(instance(state), { desired: wish(changes) });
    expect([`${told.state ?? ""}/${told.reason ?? ""}`, held(told)]).toEqual([wanted, conditions]);
    expect(told.nextRetryAt).toBe(state.nextRetryAt);
    expect(told).toMatchObject({ startedAt: STARTED, finishedAt: ENDED, exitCode: state.lastEnd?.exitCode });
    expect(told).not.toHaveProperty("pid");
  });
});

describe("a container without a task or an end", () => {
  const waiting = { reason: "WaitingForSecret", message: 'secret "s" does not exist' };
  it.each<[string, Instance | undefined, Partial<StatusInput>, Partial<ContainerStatus>, string[]]>([
    ["is about to start", undefined, {}, { state: "Pending", reason: "Starting" }, ["Reconciling"]],
    ["waits", undefined, { waiting }, { state: "Pending", ...waiting }, ["Reconciling"]],
    [
      "is not to start",
      undefined,
      { desired: wish({ desiredState: "Stopped" }) },
      { state: "Pending", reason: "Stopped" },
      ["Ready"],
    ],
    [
      "is not to start any more, after a first start that failed",
      instance({ starting: true, stopped: true }),
      { desired: wish({ desiredState: "Stopped" }) },
      { state: "Pending", reason: "Stopped" },
      ["Ready"],
    ],
    [
      "is made anew",
      undefined,
      { observed: { leftovers: [instance({ run: RUN }, "running")] } },
      { state: "Pending", reason: "Recreating" },
      ["Reconciling"],
    ],
    [
      "is deleted",
      instance({ run: RUN }, "running"),
      { desired: { kind: "deleting" } },
      { state: "Removing" },
      ["Reconciling"],
    ],
    [
      "can't be applied",
      undefined,
      { refusal: startFailure("InvalidSpec", "spec.tty: is not supported yet") },
      { state: "Exited", reason: "InvalidSpec", exitCode: 128 },
      ["Failed", "Stalled"],
    ],
    [
      "is not known to be allowed",
      undefined,
      { refusal: WAITS },
      { state: "Pending", reason: "WaitingForNamespace" },
      ["Reconciling"],
    ],
  ])("%s", (_, current, rest, wanted, conditions) => {
    const told = status(current, rest);
    expect(told).toMatchObject(wanted);
    expect(held(told)).toEqual(conditions);
  });

  it("says that containerd is away when that is so", () => {
    const told = withoutRuntime(object(), new Error("no socket"), NOW);
    expect(told).toMatchObject({ state: "Pending", reason: "RuntimeUnavailable", observedGeneration: 2 });
    expect(told.message).toContain("no socket");
    expect(held(told)).toEqual(["Reconciling"]);
  });
});

describe("a condition's transition time", () => {
  const earlier = "2025-12-31T00:00:00.000Z";
  const ready = (wasReady: boolean): Condition => ({
    type: "Ready",
    status: wasReady ? "True" : "False",
    reason: "Earlier",
    message: "as it was",
    observedGeneration: 1,
    lastTransitionTime: earlier,
  });
  const transition = (wasReady: boolean): string | undefined =>
    status(instance({ run: RUN }, "running"), { object: object({ conditions: [ready(wasReady)] }) }).conditions?.[0]
      ?.lastTransitionTime;

  it("stays while its status does, whatever the reason", () => {
    expect(transition(true)).toBe(earlier);
  });

  it("is now when its status changes", () => {
    expect(transition(false)).toBe(NOW.toISOString());
  });
});

describe("what can't be given back", () => {
  const obstacle = { purpose: "removal", message: "its network: the switch is off" } as const;
  const says: unknown = expect.stringContaining("its network: the switch is off");

  it("makes a container Dead, be it deleted or recreated", () => {
    const ended = instance({ lastEnd: end(0) });
    for (const desired of [{ kind: "deleting" } as const, wish()]) {
      const told = status(ended, { desired, obstacle });
      expect(told).toMatchObject({ state: "Dead", reason: "RemovalFailed", message: says });
      expect(held(told)).toEqual(["Reconciling"]);
    }
  });

  it("of an earlier object's container leaves the new one Pending", () => {
    const { record } = instance({ removing: true });
    const earlier = { record: { ...record, applied: { ...record.applied, uid: "another" } } };
    const told = status(undefined, { observed: { leftovers: [earlier] }, obstacle });
    expect(told).toMatchObject({ state: "Pending", reason: "RemovalFailed", message: says });
  });

  it("of a failed start does not hide why that failed", () => {
    const told = status(undefined, { verdict: verdict("CommandNotFound"), obstacle });
    expect(told).toMatchObject({ state: "Exited", reason: "CommandNotFound", exitCode: 127 });
  });

  it("of an ended container is told with the end", () => {
    const rest = { ...obstacle, purpose: "rest" } as const;
    const told = status(instance({ lastEnd: end(3), holdsNetwork: true }), {
      desired: wish({ restartPolicy: "Never" }),
      obstacle: rest,
    });
    expect(told).toMatchObject({ state: "Exited", exitCode: 3, reason: "Error", message: says });
    expect(held(told)).toEqual(["Failed"]);
  });
});
