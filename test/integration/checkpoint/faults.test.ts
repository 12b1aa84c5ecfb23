// Checkpoints and restores that fail, and agents that die at it: the container goes on, nothing half counts, nothing is left.
import { existsSync, readdirSync, watch } from "node:fs";
import { mkdir, truncate } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "@jest/globals";
import type { Container, ContainerCheckpoint, ContainerSpec } from "../../../src/api/index.ts";
import { checkpointPath } from "../../../src/kube/index.ts";
import { mount, unmount } from "../../../src/node/index.ts";
import { pidOf } from "../../support/away.ts";
import {
  among,
  askCheckpoint,
  checkpointsDir,
  deleteCheckpoint,
  takeCheckpoint,
  untilCheckpoint,
  untilReason,
  untilTaken,
} from "../../support/checkpoint.ts";
import { untilEvent } from "../../support/events.ts";
import { expectVerdict, RUNTIME_ERROR, untilJudged } from "../../support/failed-start.ts";
import { untilOutput } from "../../support/probe.ts";
import { type TestNode, useNode } from "../../support/test-node.ts";

const test = useNode();

/** Says its number again and again; sh as process 1 ends at once when it is asked to. */
const COUNT = "trap 'exit 0' TERM; i=0; while true; do i=$((i + 1)); echo $i; sleep 0.1; done";

/** The node's flock(1): busybox has none. */
const FLOCK = '"$(ls /node/lib/*/ld-linux*.so.* | head -n 1)" --library-path /node/lib/*-linux-gnu /node/bin/flock';

async function counting(spec: Partial<ContainerSpec> = {}): Promise<Container> {
  const created = await test().create({ command: ["sh", "-c", COUNT], ...spec });
  await untilOutput(test(), created, "3\n");
  return test().untilState(created, "Running");
}

/** That a container's process still counts, and is the one it was. */
async function expectGoesOn(container: Container): Promise<void> {
  const last = Number(test().output(container).trimEnd().split("\n").at(-1));
  await untilOutput(test(), container, `\n${last + 3}\n`);
  expect(test().get(container)?.status).toMatchObject({ state: "Running", pid: pidOf(container), restartCount: 0 });
}

/** Waits until the node holds more of checkpoints than before: one is being written. */
async function untilBegun(node: TestNode): Promise<void> {
  const directory = checkpointsDir(node);
  await mkdir(directory, { recursive: true, mode: 0o700 });
  const begun = Promise.withResolvers<undefined>();
  const look = (): void => {
    if (readdirSync(directory).some((name) => name.endsWith(".new"))) begun.resolve(undefined);
  };
  const watcher = watch(directory, look);
  try {
    look();
    await begun.promise;
  } finally {
    watcher.close();
  }
}

async function expectFailedCheckpoint(container: Container, says: string): Promise<ContainerCheckpoint> {
  const failed = await takeCheckpoint(test(), container);
  expect(failed.status).toMatchObject({ state: "Failed", reason: "RuntimeError", nodeName: test().node.name });
  expect(failed.status?.message).toContain(says);
  expect(failed.status).not.toHaveProperty("size");
  expect(failed.status).not.toHaveProperty("createdAt");
  const event = await untilEvent(test(), container, "Failed");
  expect(event).toMatchObject({ type: "Warning", message: expect.stringContaining(says) });
  return failed;
}

describe("a checkpoint that fails", () => {
  it("says so in CRIU's words, for what it was not asked to hold, and leaves the container as it was", async () => {
    const connect = "sleep 3600 | nc -l -p 5000 & sleep 0.3; sleep 3600 | nc 127.0.0.1 5000 &";
    const container = await counting({
      command: ["sh", "-c", `${connect} ${FLOCK} /lock sleep 3600 & ${COUNT}`],
      volumes: [{ name: "node", hostPath: { path: "/usr" } }],
      volumeMounts: [{ name: "node", mountPath: "/node", readOnly: true }],
    });
    const before = await test().audit();
    const failed = await expectFailedCheckpoint(container, "spec.tcpEstablished of the ContainerCheckpoint");
    await expectGoesOn(container);
    expect(await test().leaks(before)).toEqual([]);
    const again = await takeCheckpoint(test(), container, { tcpEstablished: true });
    expect(again.status?.message).toContain("spec.fileLocks of the ContainerCheckpoint");

    const taken = await takeCheckpoint(test(), container, { tcpEstablished: true, fileLocks: true });
    expect(taken.status).toMatchObject({ state: "Completed" });
    const restored = await test().create({ ...container.spec, restoreFrom: taken.metadata.name });
    const running = await test().untilState(restored, "Running");
    await untilOutput(test(), running, "\n");
    // The lock is held, the connection is closed.
    const look = `${FLOCK} -n /lock true || echo held; netstat -tn | grep -c ESTABLISHED || true`;
    expect(await among(running, look)).toBe("held\n0\n");
    await Promise.all([test().delete(restored), test().delete(container)]);
    await Promise.all([failed, again, taken].map((checkpoint) => deleteCheckpoint(test(), checkpoint)));
  });

  it("for want of space leaves nothing but its words", async () => {
    const container = await counting();
    await mkdir(checkpointsDir(test()), { recursive: true });
    await mount({ type: "tmpfs", source: "tmpfs", target: checkpointsDir(test()), options: ["size=64k"] });
    try {
      const failed = await expectFailedCheckpoint(container, "No space left on device");
      expect(readdirSync(checkpointsDir(test()))).toEqual([]);
      await expectGoesOn(container);
      await deleteCheckpoint(test(), failed);
    } finally {
      await unmount(checkpointsDir(test()));
    }
    await test().delete(container);
  });
});

describe("a restore that fails", () => {
  it("leaves nothing, says why in CRIU's words, and is tried again", async () => {
    const container = await counting();
    const checkpoint = await takeCheckpoint(test(), container);
    await test().delete(container);
    await truncate(join(checkpointsDir(test()), checkpoint.metadata.uid, "criu", "core-1.img"), 10);
    const before = await test().audit();
    const broken = await test().create({ ...container.spec, restoreFrom: checkpoint.metadata.name });
    const judged = await untilJudged(test(), broken);
    expectVerdict(judged, { ...RUNTIME_ERROR, says: [checkpoint.metadata.name, "can't be restored: CRIU: "] });
    expect(judged.status).not.toHaveProperty("restoredFrom");
    expect(judged.status?.containerID).toBeUndefined();
    expect(await test().leaks(before)).toEqual([]);
    await test().delete(broken);
    await deleteCheckpoint(test(), checkpoint);
  });

  it("for want of CRIU says what to install, and comes about when it is there", async () => {
    const container = await counting();
    const checkpoint = await takeCheckpoint(test(), container);
    await test().delete(container);
    const before = await test().audit();
    await test().node.stopContainerd();
    await test().node.startContainerd({ criu: false });

    const restored = await test().create({ ...container.spec, restoreFrom: checkpoint.metadata.name });
    const judged = await untilJudged(test(), restored);
    expectVerdict(judged, { ...RUNTIME_ERROR, says: ["CRIU is not on this node", "install the package criu"] });
    expect(await test().leaks(before)).toEqual([]);
    const other = await counting();
    const failed = await expectFailedCheckpoint(other, "install the package criu");
    await expectGoesOn(other);
    await test().delete(other);

    await test().node.stopContainerd();
    await test().node.startContainerd();
    await test().untilState(restored, "Running");
    await test().delete(restored);
    await Promise.all([failed, checkpoint].map((each) => deleteCheckpoint(test(), each)));
  });
});

describe("an agent that dies", () => {
  it("while a checkpoint is taken: the next one takes it anew, and the container is not left held", async () => {
    const memory = "(head -c 100m /dev/zero; sleep 3600) | tail -c 100m & ";
    const container = await counting({ command: ["sh", "-c", memory + COUNT] });
    const begun = untilBegun(test());
    const asked = await askCheckpoint(test(), container.metadata.name);
    await begun;
    await test().node.stopAgent("kill");
    expect(existsSync(join(checkpointsDir(test()), asked.metadata.uid))).toBe(false);
    test().node.startAgent();
    const taken = await untilTaken(test(), asked);
    expect(taken.status).toMatchObject({ state: "Completed" });
    expect(readdirSync(checkpointsDir(test()))).toEqual([asked.metadata.uid]);
    await expectGoesOn(container);
    await test().delete(container);
    await deleteCheckpoint(test(), asked);
  });

  it("with the whole node, while a checkpoint is taken: what is not whole goes, and the container has ended", async () => {
    const memory = "(head -c 100m /dev/zero; sleep 3600) | tail -c 100m & ";
    const container = await counting({ command: ["sh", "-c", memory + COUNT], restartPolicy: "Never" });
    const begun = untilBegun(test());
    const asked = await askCheckpoint(test(), container.metadata.name);
    await begun;
    await test().node.reboot();
    test().node.startAgent();
    const ended = await test().untilCondition(container, "Failed");
    expect(ended.status).toMatchObject({ state: "Exited", reason: "NodeRebooted", exitCode: 255 });
    expect(await untilReason(test(), asked, "WaitingForContainer")).toContain("is not running");
    expect(readdirSync(checkpointsDir(test()))).toEqual([]);
    await test().delete(container);
    await deleteCheckpoint(test(), asked);
  });

  it("while a container is restored: the next one restores it, or finds it restored", async () => {
    const container = await counting({ command: ["sh", "-c", `echo begin; ${COUNT}`] });
    const checkpoint = await takeCheckpoint(test(), container);
    await test().delete(container);
    const begun = Promise.withResolvers<undefined>();
    const watcher = watch(test().node.stateDir, { recursive: true }, (_, name) => {
      if (name?.endsWith("criu.conf")) begun.resolve(undefined);
    });
    const restored = await test().create({ ...container.spec, restoreFrom: checkpoint.metadata.name });
    await begun.promise;
    watcher.close();
    await test().node.stopAgent("kill");
    test().node.startAgent();
    const running = await test().untilState(restored, "Running");
    expect(running.status).toMatchObject({ restoredFrom: checkpoint.metadata.name, restartCount: 0 });
    await untilOutput(test(), restored, "\n");
    expect(Number(test().output(restored).split("\n", 1)[0])).toBeGreaterThan(2);
    await test().delete(restored);
    await deleteCheckpoint(test(), checkpoint);
  });

  it("and finds a checkpoint deleted without it: its data goes", async () => {
    const container = await counting();
    const checkpoint = await takeCheckpoint(test(), container);
    await test().node.stopAgent();
    const { namespace, name } = checkpoint.metadata;
    await test().api.mergePatch(checkpointPath(namespace, name), { metadata: { finalizers: null } });
    await test().api.delete(checkpointPath(namespace, name));
    await untilCheckpoint(test(), checkpoint, (now) => now === undefined);
    expect(readdirSync(checkpointsDir(test()))).toEqual([checkpoint.metadata.uid]);
    const gone = Promise.withResolvers<undefined>();
    const watcher = watch(checkpointsDir(test()), () => {
      if (readdirSync(checkpointsDir(test())).length === 0) gone.resolve(undefined);
    });
    test().node.startAgent();
    await gone.promise;
    watcher.close();
    await test().delete(container);
  });
});
