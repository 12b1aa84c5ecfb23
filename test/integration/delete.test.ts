// A deletion stops a container as a stop does, whatever it is doing, and leaves nothing of it.
import { existsSync, mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "@jest/globals";
import { type Container, type ContainerSpec, FINALIZER } from "../../src/api/index.ts";
import { containerPath } from "../../src/kube/index.ts";
import { untilEvent } from "../support/events.ts";
import { untilOutput } from "../support/probe.ts";
import { conditionsOf, waitOf } from "../support/restart.ts";
import { useNode } from "../support/test-node.ts";

const test = useNode();

const BRIDGE = { network: { mode: "Bridge" } } as const;

const beginDeletion = (container: Container): Promise<unknown> =>
  test().api.delete(containerPath(container.metadata.namespace, container.metadata.name));

describe("a deletion", () => {
  it("lets the process end by itself, then removes everything, the log too", async () => {
    const before = await test().audit();
    const host = join(test().node.dir, "host");
    mkdirSync(host);
    const script = "trap 'sleep 1; echo goodbye > /host/words; exit 0' TERM; echo ready; sleep 3600 & wait";
    const created = await test().create({
      ...BRIDGE,
      command: ["sh", "-c", script],
      volumes: [{ name: "host", hostPath: { path: host } }],
      volumeMounts: [{ name: "host", mountPath: "/host" }],
    });
    await untilOutput(test(), created, "ready");
    const running = await test().untilCondition(created, "Ready");
    expect(running.metadata.finalizers).toEqual([FINALIZER]);

    await beginDeletion(created);
    const removing = await test().until(created, "Removing", ({ status }) => status?.state === "Removing");
    expect(conditionsOf(removing)).toEqual(["Reconciling"]);
    await test().untilGone(created);
    expect(readFileSync(join(host, "words"), "utf8")).toBe("goodbye\n");
    expect(await test().leaks(before)).toEqual([]);
    expect(existsSync(join(test().node.logDir, "default", created.metadata.name))).toBe(false);
    for (const reason of ["Killing", "Exited", "Removed"]) {
      expect((await untilEvent(test(), created, reason)).type).toBe("Normal");
    }
  });

  it("kills what outlives its grace period", async () => {
    const before = await test().audit();
    const created = await test().create({
      command: ["sh", "-c", "trap '' TERM; echo ready; while :; do sleep 0.1; done"],
      terminationGracePeriodSeconds: 1,
    });
    await untilOutput(test(), created, "ready");
    await test().delete(created);
    expect(await test().leaks(before)).toEqual([]);
    expect((await untilEvent(test(), created, "Exited")).message).toContain("137");
  });

  it("is final when it comes twice, or while the container is being stopped", async () => {
    const before = await test().audit();
    const created = await test().create({
      command: ["sh", "-c", "trap 'sleep 1; exit 0' TERM; echo ready; sleep 3600 & wait"],
    });
    await untilOutput(test(), created, "ready");
    await test().patch(created, { spec: { desiredState: "Stopped" } });
    await test().until(created, "stopping", ({ status }) => status?.reason === "Stopping");
    await beginDeletion(created);
    await beginDeletion(created);
    // What is wished of a thing that goes counts no more.
    await test().patch(created, { spec: { desiredState: "Running" } });
    await test().untilGone(created);
    expect(await test().leaks(before)).toEqual([]);
  });

  it.each<[string, Partial<ContainerSpec>, (now: Container) => boolean]>([
    [
      "waits for its restart",
      { ...BRIDGE, command: ["sh", "-c", "exit 3"] },
      (now) => now.status?.state === "Restarting" && waitOf(now) >= 1600,
    ],
    [
      "has ended for good",
      { ...BRIDGE, command: ["true"], restartPolicy: "Never" },
      ({ status }) => status?.state === "Exited",
    ],
    ["was stopped", { ...BRIDGE, desiredState: "Stopped" }, ({ status }) => status?.observedGeneration !== undefined],
    [
      "can't be started",
      { ...BRIDGE, command: ["no-such-command"] },
      ({ status }) => status?.reason === "CommandNotFound",
    ],
    [
      "waits for the next try of its start",
      { volumes: [{ name: "v", hostPath: { path: "/no/such/path", type: "Directory" } }] },
      ({ status }) => status?.reason === "VolumeSetupFailed",
    ],
  ])("of a container that %s leaves nothing", async (_, spec, wanted) => {
    const before = await test().audit();
    const created = await test().create(spec);
    await test().until(created, "as wanted", wanted);
    await test().delete(created);
    expect(await test().leaks(before)).toEqual([]);
  });

  it("that follows its creation at once leaves nothing, wherever the start is", async () => {
    const before = await test().audit();
    for (const imagePullPolicy of ["IfNotPresent", "Always"] as const) {
      const created = await test().create({ ...BRIDGE, imagePullPolicy });
      await test().delete(created);
    }
    expect(await test().leaks(before)).toEqual([]);
  });

  it("during a pull ends that", async () => {
    const before = await test().audit();
    // A registry that takes the connection and never answers.
    const created = await test().create({ image: "192.0.2.1:5000/never/answers:1", imagePullPolicy: "Always" });
    await test().until(created, "pulling", ({ status }) => status?.reason === "Pulling");
    await test().delete(created);
    expect(await test().leaks(before)).toEqual([]);
  });
});

describe("an object of the same name, created as soon as the old one is gone", () => {
  it("gets a container of its own", async () => {
    const before = await test().audit();
    const name = `again-${test().node.index}`;
    const spec = {
      ...BRIDGE,
      command: ["sh", "-c", "ls /kept; touch /kept; exec sleep 3600"],
      terminationGracePeriodSeconds: 0,
    };
    const first = await test().create(spec, { name });
    await untilOutput(test(), first, "No such file");
    await test().delete(first);
    const second = await test().create(spec, { name });
    const { status } = await test().untilCondition(second, "Ready");
    expect(second.metadata.uid).not.toBe(first.metadata.uid);
    expect(status).toMatchObject({ containerID: `containerd://${second.metadata.uid}-1`, restartCount: 0 });
    await untilOutput(test(), second, "No such file");
    expect(test().output(second).split("\n")).toHaveLength(2);
    await test().delete(second);
    expect(await test().leaks(before)).toEqual([]);
  });

  it("also when the old one's finalizer was torn off: its container goes first", async () => {
    const before = await test().audit();
    const name = `torn-${test().node.index}`;
    // It does not hear SIGTERM, so that its deletion takes as long as it is given.
    const deaf = { command: ["sleep", "3600"], terminationGracePeriodSeconds: 2 };
    const first = await test().create({ ...BRIDGE, ...deaf }, { name });
    await test().untilCondition(first, "Ready");
    await beginDeletion(first);
    await test().patch(first, { metadata: { finalizers: null } });
    const second = await test().create(BRIDGE, { name });
    const { status } = await test().until(
      second,
      "Ready",
      (now) => now.metadata.uid === second.metadata.uid && conditionsOf(now).includes("Ready"),
    );
    expect(status?.containerID).toBe(`containerd://${second.metadata.uid}-1`);
    expect((await test().audit()).container).toEqual([`${second.metadata.uid}-1`]);
    await test().delete(second);
    expect(await test().leaks(before)).toEqual([]);
  });
});
