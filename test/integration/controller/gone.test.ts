// A machine that is gone: what it was that says so, and that nothing hangs on its finalizers then. What does not say so, too.
import { describe, expect, it } from "@jest/globals";
import type { Container, ContainerCheckpoint } from "../../../src/api/index.ts";
import { checkpointPath, containerPath, isNotFound, type Lease, nodePath } from "../../../src/kube/index.ts";
import { untilEvent } from "../../support/events.ts";
import { agentLease, createNode, letLeaseRunOut, useController } from "../../support/test-controller.ts";
import { useNode } from "../../support/test-node.ts";

const test = useNode({ ownControlPlane: true });

const NODE_UID = "berth.dev/node-uid";
/** Twice the controller's grace, and then some. */
const LONG_MS = 5000;

const controller = useController(test);

async function deleteNow({ metadata }: Container): Promise<void> {
  await test().api.delete(containerPath(metadata.namespace, metadata.name));
}

/** Waits until the controller has noted in the agent's Lease that its Node is there. */
async function untilNoted(): Promise<void> {
  const deadline = Date.now() + 20_000;
  while ((await test().api.get<Lease>(agentLease(test()))).metadata.annotations?.[NODE_UID] === undefined) {
    if (Date.now() > deadline) throw new Error("the Node was not noted in the Lease");
  }
}

describe("a machine outside of the cluster, which never had a Node", () => {
  it("is not gone for falling silent: it is its Lease's deletion that says so", async () => {
    const created = await test().create();
    await test().untilCondition(created, "Ready");
    await test().node.stopAgent("kill");
    await letLeaseRunOut(test());
    await deleteNow(created);
    const waiting = await test().until(
      created,
      "told of",
      ({ status }) => status?.message?.includes("The deletion waits for it") === true,
    );
    expect(waiting.status?.message).toContain(`kubectl delete lease -n berth-system berth-${test().node.name}`);
    // That nothing is released can be seen only by looking for a while.
    await new Promise((resolve) => setTimeout(resolve, LONG_MS));
    expect(test().get(created)).toBeDefined();
    await test().api.delete(agentLease(test()));
    await test().untilGone(created);
    const event = await untilEvent(test(), created, "NotCleanedUp");
    expect(event).toMatchObject({ type: "Warning" });
    expect(event.message).toContain("has no agent, and no Lease of one");
    // It comes back all the same, and removes what was left there: the file's last look shows that it has.
  });
});

describe("a Node that is deleted", () => {
  it("is not gone while its agent lives", async () => {
    await createNode(test());
    await untilNoted();
    const created = await test().create({
      command: ["sh", "-c", "trap '' TERM; sleep 3600 & wait"],
      terminationGracePeriodSeconds: 6,
    });
    await test().untilCondition(created, "Ready");
    await test().api.delete(nodePath(test().node.name));
    await deleteNow(created);
    await test().untilGone(created);
    expect(controller().daemon.logTail(1000)).not.toContain(`"name":"${created.metadata.name}"`);
  });

  it("is gone when its agent is silent: Containers and checkpoints are let go, also with their namespace", async () => {
    await createNode(test());
    await untilNoted();
    const { api } = test();
    await test().cluster.controlPlane.kubectl(["create", "namespace", "going"]);
    const created = await test().create({}, { namespace: "going" });
    const kept = await test().create();
    await test().untilCondition(created, "Ready");
    await test().untilCondition(kept, "Ready");
    const checkpoint = await api.create<ContainerCheckpoint>(checkpointPath("going"), {
      apiVersion: "berth.dev/v1alpha1",
      kind: "ContainerCheckpoint",
      metadata: { name: "moment", namespace: "going", finalizers: ["berth.dev/cleanup"] },
      spec: { containerName: "another" },
    });
    const { name } = checkpoint.metadata;
    await api.mergePatch(checkpointPath("going", name, "status"), {
      status: { state: "Completed", nodeName: test().node.name },
    });
    await test().node.stopAgent("kill");
    await letLeaseRunOut(test());
    await test().until(kept, "unreachable", ({ status }) => status?.reason === "AgentUnreachable");
    await api.delete(nodePath(test().node.name));
    // No controller-manager deletes what is in it: this does.
    await test().cluster.controlPlane.kubectl(["delete", "namespace", "going", "--wait=false"]);
    await api.delete(checkpointPath("going", name));
    await deleteNow(created);
    await test().untilGone(created);
    const deadline = Date.now() + 20_000;
    while (await isThere(checkpointPath("going", name)))
      if (Date.now() > deadline) throw new Error("the checkpoint was not let go");
    const { status } = await test().until(kept, "given up", (now) => now.status?.reason === "NodeGone");
    expect(status).toMatchObject({ state: "Unknown" });
    expect(controller().daemon.logTail(1000)).toContain("the release could not be told of");
    await deleteNow(kept);
    await test().untilGone(kept);
    expect((await untilEvent(test(), kept, "NotCleanedUp")).message).toContain("was deleted and its agent is silent");
    const metrics = await controller().metrics();
    expect(metrics.get('berth_controller_releases_total{resource="containercheckpoints"}')).toBe(1);
    expect(metrics.get('berth_controller_releases_total{resource="containers"}')).toBe(3);
  });
});

async function isThere(path: string): Promise<boolean> {
  try {
    await test().api.get(path);
    return true;
  } catch (error) {
    if (isNotFound(error)) return false;
    throw error;
  }
}
