// Restarts: by the policy, with Docker's waits, and on request.
import { describe, expect, it } from "@jest/globals";
import type { Container } from "../../src/api/index.ts";
import { endBy, pidOf } from "../support/away.ts";
import { countOf, untilEvents } from "../support/events.ts";
import { untilOutput } from "../support/probe.ts";
import { askRestart, conditionsOf, untilRestarted, waitOf } from "../support/restart.ts";
import { useNode } from "../support/test-node.ts";

const test = useNode();

describe("restartPolicy", () => {
  it("OnFailure starts again what failed, maxRestarts times, and is Failed then", async () => {
    const created = await test().create({
      command: ["sh", "-c", "echo run; exit 3"],
      restartPolicy: "OnFailure",
      maxRestarts: 2,
    });
    const failed = await test().untilCondition(created, "Failed");
    expect(failed.status).toMatchObject({ state: "Exited", exitCode: 3, reason: "Error", restartCount: 2 });
    expect(failed.status).not.toHaveProperty("nextRetryAt");
    expect(conditionsOf(failed)).toEqual(["Failed"]);
    expect(test().output(created)).toBe("run\nrun\nrun\n");
    await test().delete(created);
  });

  it("OnFailure leaves be what ended well", async () => {
    const created = await test().create({ command: ["true"], restartPolicy: "OnFailure" });
    const { status } = await test().untilCondition(created, "Complete");
    expect(status).toMatchObject({ state: "Exited", exitCode: 0, restartCount: 0 });
    await test().delete(created);
  });

  it("Always starts again also what ended well, and goes on telling of its last end", async () => {
    const script = "test -e /ran && exec sleep 3600; touch /ran";
    const created = await test().create({ command: ["sh", "-c", script], terminationGracePeriodSeconds: 0 });
    const { status } = await untilRestarted(test(), created, 1);
    expect(status).toMatchObject({ exitCode: 0, reason: "Started" });
    expect(Date.parse(status?.startedAt ?? "")).toBeGreaterThanOrEqual(Date.parse(status?.finishedAt ?? ""));
    await test().delete(created);
  });

  it("Always starts again what was killed", async () => {
    const created = await test().create();
    const first = await test().untilCondition(created, "Ready");
    await endBy("SIGKILL", pidOf(first));
    const again = await untilRestarted(test(), created, 1);
    expect(again.status).toMatchObject({ exitCode: 137, containerID: first.status?.containerID });
    expect(pidOf(again)).not.toBe(pidOf(first));
    expect(conditionsOf(again)).toEqual(["Ready"]);
    await test().delete(created);
  });
});

describe("the wait before a restart", () => {
  it("is 100 ms and doubles each time; the state says until when, the Events that it is so", async () => {
    const created = await test().create({
      command: ["sh", "-c", "exit 3"],
      restartPolicy: "OnFailure",
      maxRestarts: 5,
    });
    const seen = new Map<number, Container>();
    await test().until(created, "Failed", (now) => {
      const { state, restartCount = 0 } = now.status ?? {};
      if (state === "Restarting") seen.set(restartCount, now);
      return conditionsOf(now).includes("Failed");
    });
    // On a busy machine the first waits are over before there was time to tell of them.
    expect([...seen.keys()]).toContain(4);
    for (const [restartCount, now] of seen) {
      expect(waitOf(now)).toBe(100 * 2 ** restartCount);
      expect(now.status).toMatchObject({ reason: "Error", exitCode: 3 });
      expect(conditionsOf(now)).toEqual(["Reconciling"]);
    }
    const events = await untilEvents(test(), created, (all) => countOf(all, "BackOff") === 5);
    // The same words each time make one Event with a count.
    expect(events.filter(({ reason }) => reason === "BackOff")).toHaveLength(1);
    await test().delete(created);
  });
});

describe("berth.dev/restartedAt", () => {
  it("restarts in place: same container and files, no pull; the value is in the status", async () => {
    const created = await test().create({
      command: ["sh", "-c", "cat /kept 2>&1; echo kept > /kept; exec sleep 3600"],
      imagePullPolicy: "Always",
      terminationGracePeriodSeconds: 0,
    });
    const first = await test().untilCondition(created, "Ready");
    await askRestart(test(), created, "2024-05-01T12:00:00Z");
    const again = await untilRestarted(test(), created, 1);
    const { containerID, imageDigest } = first.status ?? {};
    expect(again.status).toMatchObject({
      containerID,
      imageDigest,
      restartedAt: "2024-05-01T12:00:00Z",
      restartCount: 1,
    });
    expect(pidOf(again)).not.toBe(pidOf(first));
    // An end that was asked for makes no restart wait.
    expect(again.status).not.toHaveProperty("nextRetryAt");

    await askRestart(test(), created, "any other text");
    await untilRestarted(test(), created, 2);
    await untilOutput(test(), created, "kept\nkept\n");
    const events = await untilEvents(test(), created, (all) => countOf(all, "Started") === 3);
    expect([countOf(events, "Pulling"), countOf(events, "BackOff")]).toEqual([1, 0]);
    await test().delete(created);
  });

  it("starts again a container that had ended for good, whose policy is Never", async () => {
    const created = await test().create({ command: ["sh", "-c", "echo run; exit 3"], restartPolicy: "Never" });
    await test().untilCondition(created, "Failed");
    await askRestart(test(), created, "again");
    const ended = await test().until(
      created,
      "ended again",
      (now) => now.status?.restartedAt === "again" && conditionsOf(now).includes("Failed"),
    );
    expect(ended.status).toMatchObject({ state: "Exited", exitCode: 3, restartCount: 1 });
    expect(test().output(created)).toBe("run\nrun\n");
    await test().delete(created);
  });

  it("cuts short the wait for a restart", async () => {
    const created = await test().create({ command: ["sh", "-c", "test -e /go || exit 3; exec sleep 3600"] });
    await test().until(created, "waiting", (now) => now.status?.state === "Restarting" && waitOf(now) >= 1600);
    const asked = await askRestart(test(), created, "now");
    const { restartCount = 0 } = asked.status ?? {};
    await test().until(
      created,
      "run",
      ({ status }) => status?.restartedAt === "now" && (status.restartCount ?? 0) > restartCount,
    );
    await test().delete(created);
  });

  it("that a first start already finds is no restart", async () => {
    const created = await test().create({}, { annotations: { "berth.dev/restartedAt": "before" } });
    const { status } = await test().untilCondition(created, "Ready");
    expect(status).toMatchObject({ restartCount: 0, restartedAt: "before" });
    await test().delete(created);
  });
});
