// The restart manager, by Docker's rules: what resets its count and its wait, what cancels a restart, and that all of it
// survives the agent.
import { describe, expect, it } from "@jest/globals";
import type { Container, ContainerSpec } from "../../../src/api/index.ts";
import { untilOutput } from "../../support/probe.ts";
import { askRestart, conditionsOf, waitOf } from "../../support/restart.ts";
import { useNode } from "../../support/test-node.ts";

const test = useNode();

const ON_FAILURE = { restartPolicy: "OnFailure" } as const;
const fails = (script = ""): Partial<ContainerSpec> => ({ command: ["sh", "-c", `echo run; ${script} exit 3`] });
const runs = (container: Container): number => test().output(container).split("run\n").length - 1;

const untilWaiting = (container: Container, ms: number): Promise<Container> =>
  test().until(container, `waiting ${ms} ms`, (now) => now.status?.state === "Restarting" && waitOf(now) >= ms);
const untilFailed = (container: Container, restartCount: number): Promise<Container> =>
  test().until(
    container,
    "Failed",
    (now) => conditionsOf(now).includes("Failed") && now.status?.restartCount === restartCount,
  );

describe("maxRestarts", () => {
  it("counts anew from each start that was asked for; restartCount goes on", async () => {
    const created = await test().create({ ...fails(), ...ON_FAILURE, maxRestarts: 2 });
    await untilFailed(created, 2);
    // Stopped and Running again: no restart, and two more of them after that.
    await test().untilCondition(await test().patch(created, { spec: { desiredState: "Stopped" } }), "Ready");
    await test().patch(created, { spec: { desiredState: "Running" } });
    await untilFailed(created, 4);
    expect(runs(created)).toBe(6);
    // A restart that was asked for is one, and two more follow.
    await askRestart(test(), created, "now");
    const failed = await untilFailed(created, 7);
    expect(failed.status).toMatchObject({ state: "Exited", exitCode: 3 });
    expect(runs(created)).toBe(9);
    // Made anew, it begins at 0.
    await test().patch(created, { spec: { hostname: "another" } });
    await untilFailed(created, 2);
    await test().delete(created);
  });

  it("may be raised for what has failed by it, which then goes on", async () => {
    const created = await test().create({ ...fails(), ...ON_FAILURE, maxRestarts: 1 });
    await untilFailed(created, 1);
    await test().patch(created, { spec: { maxRestarts: 2 } });
    await untilFailed(created, 2);
    expect(runs(created)).toBe(3);
    await test().delete(created);
  });
});

describe("the wait before a restart", () => {
  it("begins anew after a run of 10 s", async () => {
    const script = "echo >> /runs; test $(wc -l < /runs) = 4 && sleep 10.5;";
    const created = await test().create({ ...fails(script), ...ON_FAILURE, maxRestarts: 7 });
    const seen = new Map<number, number>();
    await test().until(
      created,
      "Failed",
      (now) => {
        const { state, restartCount = 0 } = now.status ?? {};
        if (state === "Restarting") seen.set(restartCount, waitOf(now));
        return conditionsOf(now).includes("Failed");
      },
      40_000,
    );
    for (const [count, wait] of seen)
      expect([count, wait]).toEqual([count, 100 * 2 ** (count < 3 ? count : count - 3)]);
    // The shortest ones may be over before there was time to tell of them.
    expect([...seen.keys()]).toContain(6);
    await test().delete(created);
  });

  it("is over when nextRetryAt says so, not before", async () => {
    const created = await test().create({ ...fails(), ...ON_FAILURE });
    const waiting = await untilWaiting(created, 1600);
    const { restartCount = 0, nextRetryAt = "" } = waiting.status ?? {};
    const again = await test().until(created, "restarted", ({ status }) => (status?.restartCount ?? 0) > restartCount);
    const late = Date.parse(again.status?.startedAt ?? "") - Date.parse(nextRetryAt);
    expect(late).toBeGreaterThanOrEqual(0);
    expect(late).toBeLessThan(1500);
    await test().delete(created);
  });

  it("is cancelled by Stopped at once, and by a deletion", async () => {
    const before = await test().audit();
    const created = await test().create({ ...fails(), network: { mode: "Bridge" } });
    const waiting = await untilWaiting(created, 3200);
    await test().patch(created, { spec: { desiredState: "Stopped" } });
    const { status } = await test().until(created, "Exited", (now) => now.status?.state === "Exited");
    expect(Date.now()).toBeLessThan(Date.parse(waiting.status?.nextRetryAt ?? ""));
    expect(status).toMatchObject({ restartCount: waiting.status?.restartCount });
    expect(status).not.toHaveProperty("nextRetryAt");
    // Asked for, it starts at once, and the first wait is the shortest again.
    const ran = runs(created);
    const again = await test().patch(created, { spec: { desiredState: "Running" } });
    const first = await test().until(
      again,
      "waiting",
      (now) => now.status?.state === "Restarting" && now.status.observedGeneration === again.metadata.generation,
    );
    expect(waitOf(first)).toBeLessThan(3200);
    const long = await untilWaiting(again, 1600);
    expect(runs(created)).toBeGreaterThan(ran);
    await test().delete(created);
    expect(Date.now()).toBeLessThan(Date.parse(long.status?.nextRetryAt ?? ""));
    expect(await test().leaks(before)).toEqual([]);
  });

  it("and the count go on when the agent is killed", async () => {
    const created = await test().create({ ...fails(), ...ON_FAILURE, maxRestarts: 6 });
    const waiting = await untilWaiting(created, 1600);
    const { restartCount = 0, nextRetryAt = "", containerID } = waiting.status ?? {};
    await test().node.stopAgent("kill");
    test().node.startAgent();
    const again = await test().until(created, "restarted", ({ status }) => (status?.restartCount ?? 0) > restartCount);
    expect(Date.parse(again.status?.startedAt ?? "")).toBeGreaterThanOrEqual(Date.parse(nextRetryAt));
    expect(again.status).toMatchObject({ restartCount: restartCount + 1, containerID });
    await untilFailed(created, 6);
    expect(runs(created)).toBe(7);
    await test().delete(created);
  });
});

describe("Paused, wished for what waits for its restart", () => {
  it("is reached once it runs again", async () => {
    const created = await test().create({
      command: ["sh", "-c", "test -e /again || { touch /again; exit 3; }; echo running; exec sleep 3600"],
      terminationGracePeriodSeconds: 0,
    });
    const paused = await test().patch(created, { spec: { desiredState: "Paused" } });
    const { status } = await test().untilCondition(paused, "Ready");
    expect(status).toMatchObject({ state: "Paused" });
    await test().patch(created, { spec: { desiredState: "Running" } });
    await untilOutput(test(), created, "running");
    await test().delete(created);
  });
});
