// What guards a start: it is called off when it is not wished any more, and a container that is being removed is not
// started, whatever becomes of the removal.
import { rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeAll, describe, expect, it } from "@jest/globals";
import { findTools } from "../../../hack/cluster/tools.ts";
import type { Container, ContainerSpec } from "../../../src/api/index.ts";
import { containerPath } from "../../../src/kube/index.ts";
import { pluginsWith, type SlowPlugin, slowPlugin } from "../../support/cni.ts";
import { countOf, untilEvent, untilEvents } from "../../support/events.ts";
import { conditionsOf } from "../../support/restart.ts";
import { useNode } from "../../support/test-node.ts";

const test = useNode({ startAgent: false });

const BRIDGE = { network: { mode: "Bridge" } } as const;
const inNode = (...names: string[]): string => join(test().node.dir, ...names);
const beginDeletion = ({ metadata }: Container): Promise<unknown> =>
  test().api.delete(containerPath(metadata.namespace, metadata.name));

async function restartAgent(flags: Record<string, string> = {}): Promise<void> {
  await test().node.stopAgent();
  test().node.startAgent(flags);
  await test().node.agentReady();
}

/** Which containers there is anything of at containerd. */
const containers = async (): Promise<string[]> => (await test().audit()).container;

describe("a start that is under way", () => {
  let plugin: SlowPlugin;
  beforeAll(async () => {
    plugin = await slowPlugin(test().node, "bridge", "ADD");
    await restartAgent(plugin.flags);
  });
  /** Lets the plugin that waits go on. */
  const goOn = (): Promise<void> => writeFile(plugin.gate, "");

  it("is undone when the object is deleted, and is no failure", async () => {
    const before = await test().audit();
    const created = await test().create(BRIDGE);
    await plugin.called();
    await beginDeletion(created);
    await test().until(created, "being deleted", ({ metadata }) => metadata.deletionTimestamp !== undefined);
    await goOn();
    await test().untilGone(created);
    expect(await test().leaks(before)).toEqual([]);
    const events = await untilEvents(test(), created, (all) => countOf(all, "Removed") === 1);
    expect([countOf(events, "Started"), countOf(events, "Failed"), countOf(events, "Killing")]).toEqual([0, 0, 0]);
  });

  it("is undone when Stopped is wished, counts for nothing, and is made when Running is", async () => {
    const before = await test().audit();
    const created = await test().create(BRIDGE);
    await plugin.called();
    const stopped = await test().patch(created, { spec: { desiredState: "Stopped" } });
    await test().until(created, "seen", ({ metadata }) => metadata.generation === 2);
    await goOn();
    const { status } = await test().untilCondition(stopped, "Ready");
    expect(status).toMatchObject({ state: "Pending", reason: "Stopped" });
    expect(status).not.toHaveProperty("startAttempts");
    expect(status).not.toHaveProperty("startedAt");
    expect(await test().leaks(before)).toEqual([]);

    const again = await test().patch(created, { spec: { desiredState: "Running" } });
    await plugin.called();
    await goOn();
    expect((await test().untilCondition(again, "Ready")).status?.restartCount).toBe(0);

    // The same for a start of what has run before: its record stays as it was.
    await test().untilCondition(await test().patch(created, { spec: { desiredState: "Stopped" } }), "Ready");
    await test().patch(created, {
      spec: { desiredState: "Running" },
      metadata: { annotations: { "berth.dev/restartedAt": "now" } },
    });
    await plugin.called();
    const resting = await test().patch(created, { spec: { desiredState: "Stopped" } });
    await test().until(created, "seen", ({ metadata }) => metadata.generation === resting.metadata.generation);
    await goOn();
    const { status: after } = await test().untilCondition(resting, "Ready");
    expect(after).toMatchObject({ state: "Exited", restartCount: 0 });
    expect(after).not.toHaveProperty("restartedAt");
    expect((await test().audit())["network namespace"]).toEqual([]);
    const events = await untilEvents(test(), created, (all) => countOf(all, "Exited") === 1);
    expect([countOf(events, "Started"), countOf(events, "Failed")]).toEqual([1, 0]);
    await test().delete(created);
    expect(await test().leaks(before)).toEqual([]);
  });

  it("is undone when another container is wished for, and that one is started", async () => {
    const before = await test().audit();
    const created = await test().create(BRIDGE);
    await plugin.called();
    const changed = await test().patch(created, { spec: { hostname: "another" } });
    await test().until(created, "seen", ({ metadata }) => metadata.generation === 2);
    await goOn();
    await plugin.called();
    expect(await containers()).not.toContain(`${created.metadata.uid}-1`);
    await goOn();
    const { status } = await test().untilCondition(changed, "Ready");
    expect(status).toMatchObject({ containerID: `containerd://${created.metadata.uid}-2`, restartCount: 0 });
    const events = await untilEvents(test(), created, (all) => countOf(all, "Started") === 1);
    expect([countOf(events, "Failed"), countOf(events, "Killing")]).toEqual([0, 0]);
    await test().delete(created);
    expect(await test().leaks(before)).toEqual([]);
  });

  it("goes on when something else of the object changes", async () => {
    const created = await test().create(BRIDGE);
    await plugin.called();
    const changed = await test().patch(created, { spec: { terminationGracePeriodSeconds: 3 } });
    await test().until(created, "seen", ({ metadata }) => metadata.generation === 2);
    await goOn();
    const { status } = await test().untilCondition(changed, "Ready");
    expect(status?.containerID).toBe(`containerd://${created.metadata.uid}-1`);
    await test().delete(created);
  });
});

describe("a removal that fails half-way", () => {
  const off = (): string => inNode("switch-is-off");
  const WORDS = "the switch is off";
  let flags: Record<string, string>;
  beforeAll(async () => {
    const real = join(findTools().cniBinDir, "bridge");
    const dir = await pluginsWith(test().node, {
      bridge: `#!/bin/sh
if [ "$CNI_COMMAND" = DEL ] && [ -e ${off()} ]; then echo '{"cniVersion":"1.0.0","code":100,"msg":"${WORDS}"}'; exit 1; fi
exec ${real}
`,
    });
    flags = { "cni-bin-dir": dir, "spare-networks": "0" };
    await restartAgent(flags);
  });
  afterEach(async () => {
    await rm(off(), { force: true });
  });

  const running = async (spec: Partial<ContainerSpec> = {}): Promise<Container> =>
    test().untilCondition(await test().create({ ...BRIDGE, ...spec }), "Ready");
  const untilDead = (container: Container): Promise<Container> =>
    test().until(container, "Dead", ({ status }) => status?.state === "Dead");

  it("is Dead, says what is in the way, and goes on by itself when that is gone", async () => {
    const before = await test().audit();
    const created = await running();
    await writeFile(off(), "");
    await beginDeletion(created);
    const dead = await untilDead(created);
    expect(dead.status).toMatchObject({ reason: "RemovalFailed", message: expect.stringContaining(WORDS) });
    expect(dead.status?.message).toContain("its network");
    expect(conditionsOf(dead)).toEqual(["Reconciling"]);
    // All else is gone; the record stays, by which the removal goes on.
    const { task, snapshot, container } = await test().audit();
    expect({ task, snapshot, container }).toEqual({ task: [], snapshot: [], container: [`${created.metadata.uid}-1`] });
    expect((await untilEvent(test(), created, "Failed")).message).toContain(WORDS);
    await rm(off());
    await test().untilGone(created);
    expect(await test().leaks(before)).toEqual([]);
  });

  it("is taken up by the next agent", async () => {
    const before = await test().audit();
    const created = await running();
    await writeFile(off(), "");
    await beginDeletion(created);
    await untilDead(created);
    await test().node.stopAgent("kill");
    test().node.startAgent(flags);
    await test().node.agentReady();
    expect(await containers()).toEqual([`${created.metadata.uid}-1`]);
    await rm(off());
    await test().untilGone(created);
    expect(await test().leaks(before)).toEqual([]);
  });

  it("is final: the container is not started again, also when the spec is what it was; another takes its place", async () => {
    const before = await test().audit();
    const created = await running();
    await writeFile(off(), "");
    await test().patch(created, { spec: { hostname: "another" } });
    const dead = await untilDead(created);
    expect(conditionsOf(dead)).toEqual(["Reconciling"]);
    const back = await test().patch(created, { spec: { hostname: null } });
    await test().until(back, "seen", ({ status }) => status?.observedGeneration === back.metadata.generation);
    expect(test().get(created)?.status).toMatchObject({ state: "Dead", reason: "RemovalFailed" });
    expect((await test().audit()).task).toEqual([]);
    await rm(off());
    const { status } = await test().untilCondition(back, "Ready");
    expect(status?.containerID).toBe(`containerd://${created.metadata.uid}-3`);
    expect(await containers()).toEqual([`${created.metadata.uid}-3`]);
    await test().delete(created);
    expect(await test().leaks(before)).toEqual([]);
  });

  it("is not what an end is that can't give back its address: that end is told, and what is in the way", async () => {
    await writeFile(off(), "");
    const created = await test().create({ ...BRIDGE, command: ["sh", "-c", "exit 3"], restartPolicy: "Never" });
    const ended = await test().untilCondition(created, "Failed");
    expect(ended.status).toMatchObject({ state: "Exited", exitCode: 3, reason: "Error" });
    expect(ended.status?.message).toContain(WORDS);
    await rm(off());
    await test().until(created, "at rest", ({ status }) => status?.message === undefined);
    expect((await test().audit())["network namespace"]).toEqual([]);
    await test().delete(created);
  });

  it("may be the undoing of a start: nothing is started before it is done", async () => {
    const before = await test().audit();
    await writeFile(off(), "");
    const created = await test().create({ ...BRIDGE, command: ["no-such-command"] });
    await test().until(created, "judged", ({ status }) => status?.reason === "CommandNotFound");
    const changed = await test().patch(created, { spec: { command: ["sleep", "3600"] } });
    const waits = await test().until(created, "waiting", ({ status }) => status?.reason === "RemovalFailed");
    expect(waits.status).toMatchObject({ state: "Pending", message: expect.stringContaining(WORDS) });
    await rm(off());
    await test().untilCondition(changed, "Ready");
    await test().patch(created, { spec: { terminationGracePeriodSeconds: 0 } });
    await test().delete(created);
    expect(await test().leaks(before)).toEqual([]);
  });
});
