// The agent comes and goes; containers stay, and what happened meanwhile is found again.
import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { randomUUID } from "node:crypto";
import { afterEach, describe, expect, it } from "@jest/globals";
import { diff } from "../../../hack/cluster/audit.ts";
import { type Container, FINALIZER } from "../../../src/api/index.ts";
import { containerPath } from "../../../src/kube/index.ts";
import { run } from "../../../src/node/index.ts";
import { endBy, pidOf, readiness } from "../../support/away.ts";
import { useNode } from "../../support/test-node.ts";

const test = useNode();

/** Ends with 7 when it is told to by SIGUSR1. */
const ENDS_WITH_7 = ["sh", "-c", "trap 'exit 7' USR1; trap 'exit 0' TERM; sleep 3600 & wait"];

const startAgent = async (): Promise<void> => {
  test().node.startAgent();
  await test().node.agentReady();
};

/** Another Container from its creation to its end: whatever lay in the agent's queue before is done then. */
const passTime = async (): Promise<void> => {
  const other = await test().create({ command: ["true"], restartPolicy: "Never" });
  await test().untilCondition(other, "Complete");
  await test().delete(other);
};

afterEach(startAgent);

describe("an agent that ends", () => {
  it("does so within 5 s of SIGTERM, and leaves its containers running", async () => {
    const created = await test().create({ network: { mode: "Bridge" } });
    const running = await test().untilCondition(created, "Ready");
    const before = await test().audit();

    const told = performance.now();
    await test().node.stopAgent();
    expect(performance.now() - told).toBeLessThan(5000);
    expect((await readiness(test().node)).lines).toEqual([]);
    expect(diff(before, await test().audit())).toEqual([]);
    process.kill(pidOf(running), 0);
    await startAgent();
    await test().delete(created);
  });

  it("does so also while containers are being started", async () => {
    const containers = await Promise.all(Array.from({ length: 5 }, () => test().create()));
    const told = performance.now();
    await test().node.stopAgent();
    expect(performance.now() - told).toBeLessThan(5000);
    await startAgent();
    for (const container of containers) {
      const { status } = await test().untilCondition(container, "Ready");
      expect(status?.restartCount).toBe(0);
    }
    await Promise.all(containers.map((container) => test().delete(container)));
  });
});

describe("the next agent", () => {
  it("adopts what runs: neither started again nor written of", async () => {
    const created = await test().create();
    const paused = await test().create({ desiredState: "Paused" });
    const before = [await test().untilCondition(created, "Ready"), await test().untilCondition(paused, "Ready")];
    await test().node.stopAgent("kill");
    await startAgent();
    await passTime();
    for (const container of before) {
      const now = await test().api.get<Container>(containerPath("default", container.metadata.name));
      expect(now.metadata.resourceVersion).toBe(container.metadata.resourceVersion);
      process.kill(pidOf(container), 0);
    }
    await Promise.all([test().delete(created), test().delete(paused)]);
  });

  it("records the end of a container that ended meanwhile", async () => {
    const created = await test().create({ command: ENDS_WITH_7, restartPolicy: "Never" });
    const running = await test().untilCondition(created, "Ready");
    await test().node.stopAgent("kill");
    await endBy("SIGUSR1", pidOf(running));
    test().node.startAgent();
    const { status } = await test().untilCondition(created, "Failed");
    expect(status).toMatchObject({ state: "Exited", exitCode: 7, reason: "Error", restartCount: 0 });
    expect(status?.startedAt).toBe(running.status?.startedAt);
    expect(status).not.toHaveProperty("pid");
    await test().delete(created);
  });

  it("restarts one whose policy says so, once", async () => {
    const created = await test().create({ command: ENDS_WITH_7, restartPolicy: "OnFailure" });
    const running = await test().untilCondition(created, "Ready");
    await test().node.stopAgent("kill");
    await endBy("SIGUSR1", pidOf(running));
    test().node.startAgent();
    const again = await test().until(created, "restarted", ({ status }) => status?.restartCount === 1);
    const { status } = await test().until(again, "running", ({ status }) => status?.state === "Running");
    expect(status).toMatchObject({ exitCode: 7, restartCount: 1 });
    expect(status?.pid).not.toBe(pidOf(running));
    await test().delete(created);
  });

  it("removes a container whose object was deleted meanwhile", async () => {
    const empty = await test().audit();
    const created = await test().create({ network: { mode: "Bridge" } });
    await test().untilCondition(created, "Ready");
    await test().node.stopAgent("kill");
    await test().api.delete(containerPath("default", created.metadata.name));
    const waiting = await test().api.get<Container>(containerPath("default", created.metadata.name));
    expect(waiting.metadata.finalizers).toEqual([FINALIZER]);
    test().node.startAgent();
    await test().untilGone(created);
    expect(await test().leaks(empty)).toEqual([]);
  });

  it("removes a container whose object went without waiting, its finalizer torn off", async () => {
    const empty = await test().audit();
    const created = await test().create({ network: { mode: "Bridge" } });
    await test().untilCondition(created, "Ready");
    await test().node.stopAgent("kill");
    await test().patch(created, { metadata: { finalizers: null } });
    await test().delete(created);
    await startAgent();
    expect(await test().leaks(empty)).toEqual([]);
  });

  it("takes a new object of the same name for another one", async () => {
    const created = await test().create({}, { name: `twin-${test().node.index}` });
    const first = await test().untilCondition(created, "Ready");
    await test().node.stopAgent("kill");
    await test().patch(created, { metadata: { finalizers: null } });
    await test().delete(created);
    const twin = await test().create({}, { name: created.metadata.name });
    test().node.startAgent();
    const second = await test().untilCondition(twin, "Ready");
    expect(second.status?.containerID).not.toBe(first.status?.containerID);
    expect((await test().audit()).task).toEqual([`${twin.metadata.uid}-1`]);
    await test().delete(twin);
  });
});

describe("what a start cut short has left", () => {
  it("is swept when the next agent starts, and nothing that is another's", async () => {
    const { node } = test();
    const created = await test().create();
    await test().untilCondition(created, "Ready");
    const before = await test().audit();
    await node.stopAgent();

    const id = `${randomUUID()}-1`;
    const netns = join(node.stateDir, "netns", id);
    const files = join(node.dataDir, "containers", id, "hosts");
    for (const file of [netns, files]) {
      mkdirSync(dirname(file), { recursive: true });
      writeFileSync(file, "");
    }
    await run("unshare", [`--net=${netns}`, "true"]);
    await node.ctr("snapshots", "prepare", id);
    await node.ctr("snapshots", "label", id, "berth.dev/snapshot=true");
    await node.ctr("snapshots", "prepare", "others");
    expect(diff(before, await test().audit())).toEqual([
      `snapshot ${id} came`,
      "snapshot others came",
      `network namespace ${netns} came`,
      `mount nsfs on ${netns} came`,
      `file ${files} came`,
    ]);

    await startAgent();
    expect(diff(before, await test().audit())).toEqual(["snapshot others came"]);
    await node.ctr("snapshots", "remove", "others");
    await test().delete(created);
  });
});
