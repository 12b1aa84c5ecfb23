// How runs end: exit code, signal, OOM; what the status and the Events say of it.
import { describe, expect, it } from "@jest/globals";
import type { Container } from "../../src/api/index.ts";
import { endBy, pidOf } from "../support/away.ts";
import { countOf, untilEvent, untilEvents } from "../support/events.ts";
import { conditionsOf } from "../support/restart.ts";
import { useNode } from "../support/test-node.ts";

const test = useNode();

const RFC_3339_MS = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3,}Z$/;

const runOnce = (script: string): Promise<Container> =>
  test().create({ command: ["sh", "-c", script], restartPolicy: "Never" });

describe("an end", () => {
  it.each([
    [0, "Completed", "Complete"],
    [3, "Error", "Failed"],
    [255, "Error", "Failed"],
  ])("with code %i is %s, and for good %s", async (exitCode, reason, condition) => {
    const created = await runOnce(`exit ${exitCode}`);
    const ended = await test().untilCondition(created, condition);
    expect(ended.status).toMatchObject({ state: "Exited", exitCode, reason, oomKilled: false, restartCount: 0 });
    expect(conditionsOf(ended)).toEqual([condition]);
    expect(ended.status).not.toHaveProperty("pid");
    expect(ended.status).not.toHaveProperty("nextRetryAt");
    await test().delete(created);
  });

  it("has its times to the millisecond, the end not before the start", async () => {
    const created = await runOnce("true");
    const { status } = await test().untilState(created, "Exited");
    expect(status?.startedAt).toMatch(RFC_3339_MS);
    expect(status?.finishedAt).toMatch(RFC_3339_MS);
    expect(Date.parse(status?.finishedAt ?? "")).toBeGreaterThanOrEqual(Date.parse(status?.startedAt ?? ""));
    await test().delete(created);
  });

  it("by SIGKILL from outside has code 137, and is no OOM", async () => {
    const created = await test().create({ restartPolicy: "Never" });
    await endBy("SIGKILL", pidOf(await test().untilCondition(created, "Ready")));
    const ended = await test().untilCondition(created, "Failed");
    expect(ended.status).toMatchObject({ state: "Exited", exitCode: 137, reason: "Error", oomKilled: false });
    await test().delete(created);
  });

  it("by a fault of its own has 128 and the signal's number", async () => {
    // Without end, so that the stack runs over: SIGSEGV, the one signal that a container's first process can't ignore.
    const created = await runOnce("ulimit -s 64; f() { f; }; f");
    const ended = await test().untilCondition(created, "Failed");
    expect(ended.status).toMatchObject({ state: "Exited", exitCode: 139, reason: "Error", oomKilled: false });
    await test().delete(created);
  });

  it("takes the processes with it that the container's first one has left", async () => {
    const before = await test().audit();
    const created = await runOnce("sleep 3600 & exit 0");
    await test().untilCondition(created, "Complete");
    await test().delete(created);
    expect(await test().leaks(before)).toEqual([]);
  });
});

describe("out of memory", () => {
  const limited = { restartPolicy: "Never", resources: { limits: { memory: "16Mi" } } } as const;

  it("is OOMKilled with 137 when it was the first process", async () => {
    const created = await test().create({ ...limited, command: ["tail", "/dev/zero"] });
    const ended = await test().untilCondition(created, "Failed");
    expect(ended.status).toMatchObject({ state: "Exited", exitCode: 137, reason: "OOMKilled", oomKilled: true });
    expect((await untilEvent(test(), created, "OOMKilled")).type).toBe("Warning");
    await test().delete(created);
  });

  it("is OOMKilled also when it was a child, with the code of the first process", async () => {
    const created = await test().create({ ...limited, command: ["sh", "-c", "tail /dev/zero; exit 4"] });
    const ended = await test().untilCondition(created, "Failed");
    expect(ended.status).toMatchObject({ state: "Exited", exitCode: 4, reason: "OOMKilled", oomKilled: true });
    await test().delete(created);
  });

  it("is of one run alone: the next one that ends by itself is not", async () => {
    const script = "test -e /ran && exit 0; touch /ran; tail /dev/zero; exit 4";
    const created = await test().create({ ...limited, command: ["sh", "-c", script], restartPolicy: "OnFailure" });
    const ended = await test().untilCondition(created, "Complete");
    expect(ended.status).toMatchObject({ exitCode: 0, reason: "Completed", oomKilled: false, restartCount: 1 });
    await untilEvent(test(), created, "OOMKilled");
    await test().delete(created);
  });
});

describe("the Events of a life", () => {
  it("tell of pull, start, end and removal, each once", async () => {
    const created = await test().create({
      command: ["sh", "-c", "exit 3"],
      restartPolicy: "Never",
      imagePullPolicy: "Always",
    });
    await test().untilCondition(created, "Failed");
    await test().delete(created);
    const told = ["Pulling", "Pulled", "Started", "Exited", "Removed"];
    const events = await untilEvents(test(), created, (all) => told.every((reason) => countOf(all, reason) > 0));
    expect(events.map(({ reason, count }) => `${reason} ${count}`).sort()).toEqual(
      told.map((reason) => `${reason} 1`).sort(),
    );
    const exited = events.find(({ reason }) => reason === "Exited");
    expect(exited?.type).toBe("Warning");
    expect(exited?.message).toContain("exit code 3");
  });

  it("tell of a stop as Killing, and of its end as nothing to warn of", async () => {
    const created = await test().create({ command: ["sleep", "3600"], terminationGracePeriodSeconds: 0 });
    await test().untilCondition(created, "Ready");
    const stopped = await test().patch(created, { spec: { desiredState: "Stopped" } });
    await test().untilCondition(stopped, "Ready");
    const events = await untilEvents(
      test(),
      created,
      (all) => countOf(all, "Exited") > 0 && countOf(all, "Killing") > 0,
    );
    expect(events.filter(({ type }) => type === "Warning")).toEqual([]);
    await test().delete(created);
  });
});
