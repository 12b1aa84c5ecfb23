// What belongs to nobody any more is cleared without a restart; what is another tool's is left alone.
import { randomUUID } from "node:crypto";
import { rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "@jest/globals";
import { pino } from "pino";
import { type Audit, diff } from "../../../hack/cluster/audit.ts";
import { findTools } from "../../../hack/cluster/tools.ts";
import { type Container, FINALIZER } from "../../../src/api/index.ts";
import { Containerd } from "../../../src/containerd/index.ts";
import { pluginsWith, slowPlugin } from "../../support/cni.ts";
import { ContainerdProxy } from "../../support/containerd-proxy.ts";
import { untilJudged } from "../../support/failed-start.ts";
import { untilOutput } from "../../support/probe.ts";
import { useNode } from "../../support/test-node.ts";

const test = useNode({ startAgent: false });

const BRIDGE = { network: { mode: "Bridge" } } as const;

const startAgent = async (flags: Record<string, string> = {}): Promise<void> => {
  test().node.startAgent(flags);
  await test().node.agentReady();
};
const restartAgent = async (flags?: Record<string, string>): Promise<void> => {
  await test().node.stopAgent();
  await startAgent(flags);
};

/** Deletes an object without the agent's leave: at once, or the agent would put its finalizer back. */
const tearOff = async (container: Container): Promise<void> => {
  await Promise.all([test().patch(container, { metadata: { finalizers: null } }), test().delete(container)]);
};

/** Waits until the node holds what it held before; no object is there any more that would tell of it. */
const untilClean = async (before: Audit): Promise<void> => {
  const deadline = Date.now() + 30_000;
  let leaks = await test().leaks(before);
  while (leaks.length > 0 && Date.now() < deadline) leaks = await test().leaks(before);
  expect(leaks).toEqual([]);
};

beforeAll(async () => {
  await startAgent();
  // The image is here from then on.
  const first = await test().create();
  await test().untilState(first, "Running");
  await test().delete(first);
});

describe("a finalizer that is torn off", () => {
  it("is put back as long as the object is there", async () => {
    const created = await test().create();
    const running = await test().untilCondition(created, "Ready");
    const torn = await test().patch(created, { metadata: { finalizers: null } });
    const isLater = ({ metadata }: Container): boolean =>
      Number(metadata.resourceVersion) > Number(torn.metadata.resourceVersion);
    await test().until(
      created,
      "kept again",
      (now) => isLater(now) && now.metadata.finalizers?.includes(FINALIZER) === true,
    );
    expect(test().get(created)?.status).toEqual(running.status);
    await test().delete(created);
  });

  it("lets the object go, while it is being started", async () => {
    const before = await test().audit();
    const plugin = await slowPlugin(test().node, "bridge", "ADD");
    await restartAgent(plugin.flags);
    const created = await test().create(BRIDGE);
    await plugin.called();
    await test().until(created, "kept", ({ metadata }) => metadata.finalizers !== undefined);
    await tearOff(created);
    await writeFile(plugin.gate, "");
    await untilClean(before);
    await restartAgent();
  });

  it("lets another object of its name come at once: the old container goes whole, the new one is started once", async () => {
    const before = await test().audit();
    const name = `namesake-${test().node.index}`;
    const spec = {
      ...BRIDGE,
      ports: [{ containerPort: 80, hostPort: 20_000 + test().node.index }],
      command: ["sh", "-c", "echo run of $HOSTNAME; touch /here; trap 'exit 0' TERM; sleep 3600 & wait"],
    };
    const first = await test().create({ ...spec, hostname: "first" }, { name });
    await untilOutput(test(), first, "first");
    await tearOff(first);
    const second = await test().create({ ...spec, hostname: "second" }, { name });
    const running = await test().until(
      second,
      "running",
      ({ metadata, status }) => metadata.uid === second.metadata.uid && status?.state === "Running",
    );
    expect(running.status).toMatchObject({ restartCount: 0, containerID: `containerd://${second.metadata.uid}-1` });
    await untilOutput(test(), second, "second");
    expect(test().output(second)).toBe("run of second\n");
    const { container, task } = await test().audit();
    expect({ container, task }).toEqual({
      container: [`${second.metadata.uid}-1`],
      task: [`${second.metadata.uid}-1`],
    });
    await test().delete(second);
    await untilClean(before);
  });

  it("and another object of its name, both while containerd is away: likewise", async () => {
    const before = await test().audit();
    const name = `absent-${test().node.index}`;
    const first = await test().create(BRIDGE, { name });
    await test().untilCondition(first, "Ready");
    await test().node.stopContainerd("kill");
    await tearOff(first);
    const second = await test().create(BRIDGE, { name });
    await test().until(second, "told of it", ({ status }) => status?.reason === "RuntimeUnavailable");
    await test().node.startContainerd();
    const running = await test().untilCondition(second, "Ready");
    expect(running.status).toMatchObject({ restartCount: 0, containerID: `containerd://${second.metadata.uid}-1` });
    expect((await test().audit()).container).toEqual([`${second.metadata.uid}-1`]);
    await test().delete(second);
    await untilClean(before);
  });
});

describe("what an undo has left", () => {
  let proxy: ContainerdProxy;
  beforeAll(async () => {
    const { node } = test();
    proxy = await ContainerdProxy.start(join(node.runDir, "proxy.sock"), node.containerdAddress);
    await restartAgent({ "containerd-address": proxy.address });
  });
  afterEach(() => {
    proxy.heal();
  });
  afterAll(async () => {
    await restartAgent();
    await proxy.close();
  });

  it.each(["Snapshots/Remove", "Store/Delete"])(
    "at %s goes also when its object goes without waiting for that",
    async (undo) => {
      const before = await test().audit();
      proxy.break({ method: "Tasks/Start", when: "before" }, { method: undo, when: "before" });
      const failed = await untilJudged(test(), await test().create({ ...BRIDGE }));
      await tearOff(failed);
      expect(diff(before, await test().audit())).not.toEqual([]);
      proxy.heal();
      await untilClean(before);
    },
  );

  it("goes also when another object of its name has come", async () => {
    const before = await test().audit();
    proxy.break({ method: "Tasks/Start", when: "before" }, { method: "Snapshots/Remove", when: "before" });
    const failed = await untilJudged(test(), await test().create({}, { name: `left-${test().node.index}` }));
    await tearOff(failed);
    const second = await test().create({}, { name: failed.metadata.name });
    proxy.heal();
    await test().untilState(second, "Running");
    expect((await test().audit()).snapshot).toEqual([`${second.metadata.uid}-1`]);
    await test().delete(second);
    await untilClean(before);
  });
});

describe("what a start that crashed has left", () => {
  it("and can't be removed when the next agent starts, goes when it can be, and holds up no other", async () => {
    const { node } = test();
    const before = await test().audit();
    const off = join(node.dir, "switch-is-off");
    const slow = await slowPlugin(node, "portmap", "ADD");
    await restartAgent(slow.flags);
    const created = await test().create({ ...BRIDGE, ports: [{ containerPort: 80, hostPort: 20_000 + node.index }] });
    await slow.called();
    await node.stopAgent("kill");
    await writeFile(slow.gate, "");
    await tearOff(created);
    const real = join(findTools().cniBinDir, "bridge");
    const dir = await pluginsWith(node, {
      bridge: `#!/bin/sh
if [ "$CNI_COMMAND" = DEL ] && [ -e ${off} ]; then echo '{"cniVersion":"1.0.0","code":100,"msg":"off"}'; exit 1; fi
exec ${real}
`,
    });
    await writeFile(off, "");
    await startAgent({ ...slow.flags, "cni-bin-dir": dir });
    const other = await test().create();
    await test().untilCondition(other, "Ready");
    await test().delete(other);
    expect((await test().audit())["network namespace"]).toEqual([
      join(node.stateDir, "netns", `${created.metadata.uid}-1`),
    ]);
    await rm(off);
    await untilClean(before);
    await restartAgent();
  });
});

describe("another tool in Berth's namespace at containerd", () => {
  it("keeps all that is its own, whatever it is called", async () => {
    const { node } = test();
    const empty = await test().audit();
    const lookalike = (): string => `${randomUUID()}-1`;
    const containers = ["tool", lookalike()];
    const spare = lookalike();
    const containerd = new Containerd({
      address: node.containerdAddress,
      namespace: node.containerdNamespace,
      snapshotter: "overlayfs",
      logger: pino({ level: "silent" }),
    });
    for (const id of containers) await node.ctr("run", "--detach", "--null-io", test().image(), id, "sleep", "3600");
    // Its own without a container, and under a container's name.
    for (const id of [spare, ...containers]) {
      await node.ctr("leases", "create", "--id", id);
      await containerd.sandboxes.create({ sandbox: { sandboxId: id, runtime: { name: "io.containerd.runc.v2" } } });
    }
    await node.ctr("snapshots", "prepare", spare);
    await node.ctr("images", "tag", test().image(), `tool.example/${spare}:1`);
    const before = await test().audit();
    expect(before.task).toEqual([...containers].sort());

    await restartAgent();
    const created = await test().create(BRIDGE);
    await test().untilCondition(created, "Ready");
    await node.stopContainerd("kill");
    await node.startContainerd();
    await test().node.agentReady();
    await test().delete(created);
    expect(diff(before, await test().audit())).toEqual([]);

    // Nor is its end of any account.
    for (const id of containers) {
      await node.ctr("tasks", "kill", "--signal", "SIGKILL", id);
      await node.ctr("tasks", "delete", "--force", id).catch(() => undefined);
      await node.ctr("containers", "delete", id);
    }
    for (const id of [spare, ...containers]) {
      await containerd.sandboxes.delete({ sandboxId: id });
      await node.ctr("leases", "delete", id);
    }
    containerd.close();
    await node.ctr("snapshots", "remove", spare);
    await node.ctr("images", "remove", `tool.example/${spare}:1`);
    await untilClean(empty);
  });
});
