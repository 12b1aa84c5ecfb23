// What a checkpoint, or a start from one, waits for, and which can't be meant.
import { describe, expect, it } from "@jest/globals";
import type { Container, ContainerCheckpoint, ContainerSpec } from "../../../src/api/index.ts";
import { checkpointPath } from "../../../src/kube/index.ts";
import { pidOf } from "../../support/away.ts";
import {
  among,
  askCheckpoint,
  deleteCheckpoint,
  takeCheckpoint,
  untilCheckpoint,
  untilReason,
  untilTaken,
} from "../../support/checkpoint.ts";
import { expectFailedStart, INVALID_SPEC } from "../../support/failed-start.ts";
import { untilOutput } from "../../support/probe.ts";
import { useNode } from "../../support/test-node.ts";

const test = useNode();

const waitsFor = (reason: string) => (now: Container) =>
  now.status?.state === "Pending" && now.status.reason === reason;

async function running(spec: Partial<ContainerSpec> = {}, name?: string): Promise<Container> {
  return test().untilState(await test().create(spec, name === undefined ? {} : { name }), "Running");
}

/** Creates a checkpoint as the agent of another node has left it. */
async function ofAnotherNode(): Promise<ContainerCheckpoint> {
  const created = await askCheckpoint(test(), "elsewhere");
  await untilReason(test(), created, "WaitingForContainer");
  const status = { state: "Completed", nodeName: "another-node", size: "1Mi", reason: null, message: null };
  const path = checkpointPath(created.metadata.namespace, created.metadata.name, "status");
  return test().api.mergePatch<ContainerCheckpoint>(path, { status });
}

describe("a checkpoint", () => {
  it("waits for a Container that does not exist, then for one that does not run, and is taken when it does", async () => {
    const name = `later-${test().node.index}`;
    const asked = await askCheckpoint(test(), name);
    expect(await untilReason(test(), asked, "WaitingForContainer")).toContain(`"${name}" does not exist`);
    const stopped = await test().create({ desiredState: "Stopped" }, { name });
    const isNotRunning = (now?: ContainerCheckpoint): boolean =>
      now?.status?.message?.includes("is not running") === true;
    const waiting = await untilCheckpoint(test(), asked, isNotRunning);
    // It is no node's yet.
    expect(waiting?.status).toEqual({
      state: "Pending",
      reason: "WaitingForContainer",
      message: expect.stringContaining(`"${name}"`),
    });
    expect(waiting?.metadata.finalizers).toBeUndefined();
    await test().patch(stopped, { spec: { desiredState: "Running" } });
    const taken = await untilTaken(test(), asked);
    expect(taken.status).toMatchObject({ state: "Completed", nodeName: test().node.name });
    expect(taken.metadata.finalizers).toEqual(["berth.dev/cleanup"]);
    await test().delete(stopped);
    // The data is the checkpoint's, not the Container's.
    const restored = await running({ restoreFrom: taken.metadata.name });
    await test().delete(restored);
    await deleteCheckpoint(test(), taken);
  });

  it("that waits can be deleted", async () => {
    const asked = await askCheckpoint(test(), "nobody");
    await untilReason(test(), asked, "WaitingForContainer");
    await deleteCheckpoint(test(), asked);
  });

  it("of a container with a terminal has failed, says why, and leaves the container as it was", async () => {
    const container = await running({ tty: true });
    const failed = await untilCheckpoint(
      test(),
      await askCheckpoint(test(), container.metadata.name),
      (now) => now?.status?.state === "Failed",
    );
    expect(failed?.status).toMatchObject({ reason: "Unsupported", message: expect.stringContaining("tty") });
    expect(test().get(container)?.status).toMatchObject({ state: "Running", pid: pidOf(container) });
    await test().delete(container);
    if (failed !== undefined) await deleteCheckpoint(test(), failed);
  });

  it("of a paused container leaves it paused; what is restored from it runs", async () => {
    const container = await running();
    const paused = await test().untilCondition(
      await test().patch(container, { spec: { desiredState: "Paused" } }),
      "Ready",
    );
    const taken = await takeCheckpoint(test(), paused);
    expect(taken.status).toMatchObject({ state: "Completed" });
    expect(test().get(paused)?.status).toMatchObject({ state: "Paused", pid: pidOf(paused) });
    const restored = await running({ restoreFrom: taken.metadata.name });
    await Promise.all([test().delete(paused), test().delete(restored)]);
    await deleteCheckpoint(test(), taken);
  });
});

describe("spec.restoreFrom", () => {
  it("waits for a checkpoint that does not exist, then for one that is not taken, and goes on when it is", async () => {
    const before = await test().audit();
    const source = `source-${test().node.index}`;
    const created = await test().create({ restoreFrom: `of-${source}` });
    const missing = await test().until(created, "waiting", waitsFor("WaitingForCheckpoint"));
    expect(missing.status?.message).toContain(
      `ContainerCheckpoint "of-${source}" does not exist in namespace "default"`,
    );
    expect(await test().leaks(before)).toEqual([]);

    const checkpoint = await test().api.create<ContainerCheckpoint>(checkpointPath("default"), {
      apiVersion: "berth.dev/v1alpha1",
      kind: "ContainerCheckpoint",
      metadata: { name: `of-${source}`, namespace: "default" },
      spec: { containerName: source },
    });
    const isNotTaken = ({ status }: Container): boolean => status?.message?.includes("is not taken yet") === true;
    await test().until(created, "waiting for it to be taken", isNotTaken);
    const container = await running({}, source);
    const restored = await test().untilState(created, "Running");
    expect(restored.status).toMatchObject({ restoredFrom: checkpoint.metadata.name });
    await Promise.all([test().delete(container), test().delete(restored)]);
    await deleteCheckpoint(test(), checkpoint);
  });

  it("is refused for what the restored process could not follow, and names all that is in the way", async () => {
    const container = await running({ env: [{ name: "A", value: "1" }] });
    const taken = await takeCheckpoint(test(), container);
    const { name } = taken.metadata;
    await test().delete(container);
    const spec = { env: [{ name: "A", value: "1" }], restoreFrom: name };
    const refused = [
      await expectFailedStart(
        test(),
        { ...spec, image: test().image("files") },
        { ...INVALID_SPEC, says: ["spec.restoreFrom", name, "of image", "name that one in spec.image"] },
      ),
      await expectFailedStart(
        test(),
        { ...spec, env: [], command: ["sleep", "1"], network: { mode: "Host" } },
        { ...INVALID_SPEC, says: ["spec.restoreFrom", "another spec.command, spec.env, spec.network.mode"] },
      ),
    ];
    await Promise.all(refused.map((each) => test().delete(each)));
    await deleteCheckpoint(test(), taken);
  });

  it("is refused for a checkpoint of another node", async () => {
    const foreign = await ofAnotherNode();
    const refused = await expectFailedStart(
      test(),
      { restoreFrom: foreign.metadata.name },
      { ...INVALID_SPEC, says: ["spec.restoreFrom", 'is on node "another-node"', test().node.name] },
    );
    await test().delete(refused);
    await deleteCheckpoint(test(), foreign);
  });

  it("is used once for each value: a recreation for another reason starts afresh", async () => {
    const command = [
      "sh",
      "-c",
      "trap 'exit 0' TERM; test -e /written || echo kept > /written; echo ready; sleep 3600 & wait",
    ];
    const container = await running({ command });
    await untilOutput(test(), container, "ready\n");
    const look = "cat /written; rm /written; ls /mark 2> /dev/null || true";
    const taken = await takeCheckpoint(test(), container);
    const { name } = taken.metadata;
    await test().delete(container);
    const restored = await running({ command, restoreFrom: name });
    await among(restored, "touch /mark");

    // Recreated, with the same value: a new filesystem, the status goes on telling of it.
    const recreated = await test().untilCondition(
      await test().patch(restored, { spec: { network: { mode: "None", dns: { searches: ["example.com"] } } } }),
      "Ready",
    );
    expect(recreated.status?.containerID).not.toBe(restored.status?.containerID);
    expect(recreated.status).toMatchObject({ restoredFrom: name });
    await untilOutput(test(), recreated, "ready\n");
    expect(await among(recreated, look)).toBe("kept\n");

    // Another value, then the first again: it is used again.
    const second = await takeCheckpoint(test(), recreated);
    const other = await test().untilCondition(
      await test().patch(recreated, { spec: { restoreFrom: second.metadata.name } }),
      "Ready",
    );
    expect(other.status).toMatchObject({ restoredFrom: second.metadata.name });
    expect(await among(other, "ls /written 2> /dev/null || echo removed")).toBe("removed\n");
    const first = await test().untilCondition(await test().patch(other, { spec: { restoreFrom: name } }), "Ready");
    expect(first.status).toMatchObject({ restoredFrom: name });
    expect(await among(first, "cat /written")).toBe("kept\n");
    await test().delete(first);
    await Promise.all([deleteCheckpoint(test(), taken), deleteCheckpoint(test(), second)]);
  });
});
