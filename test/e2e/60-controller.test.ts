// What the controller answers for agents that can't. The node is one of paper, a Node and a Lease that nobody renews, so that no
// real one has to be taken away.
import { afterAll, describe, expect, it } from "@jest/globals";
import { apply, container, kubectl, kubectlWith, remove, SYSTEM, until } from "./cluster.ts";
import type { Status } from "./cluster.ts";

const GHOST = "berth-e2e-ghost";

const ready = ({ conditions = [] }: Status): string | undefined =>
  conditions.find(({ type }) => type === "Ready")?.status;
const patchStatus = (what: string, status: object): Promise<string> =>
  kubectl("patch", what, "--subresource=status", "--type=merge", "-p", JSON.stringify({ status }));

afterAll(async () => {
  await kubectl("delete", "node", GHOST, "--ignore-not-found");
  await kubectl("delete", "lease", `berth-${GHOST}`, "--namespace", SYSTEM, "--ignore-not-found");
});

describe("a node without an agent", () => {
  it("is told to the Containers that name it, and keeps none of them", async () => {
    await apply(container("lost", { nodeName: "no-such-node" }));
    const status = await until("lost", "told", ({ reason }) => reason === "NoAgent");
    expect(status).toMatchObject({ state: "Pending" });
    expect(status.message).toContain(`No agent serves node "no-such-node"`);
    expect(ready(status)).toBe("False");
    await remove("lost");
  });
});

describe("a node that is not Ready, its agent silent", () => {
  it("leaves its Containers' state unknown", async () => {
    await apply({ apiVersion: "v1", kind: "Node", metadata: { name: GHOST } });
    const notReady = { type: "Ready", status: "False", reason: "KubeletNotReady", lastTransitionTime: new Date() };
    await patchStatus(`node/${GHOST}`, { conditions: [{ ...notReady, lastHeartbeatTime: new Date() }] });
    await kubectlWith(JSON.stringify(lease()), "--namespace", SYSTEM, "create", "-f", "-");
    const ghost = container("kept", { nodeName: GHOST }) as { metadata: object };
    // As its agent left it.
    await apply({ ...ghost, metadata: { ...ghost.metadata, finalizers: ["berth.dev/cleanup"] } });
    await patchStatus("container/kept", { state: "Running", reason: "Started", observedGeneration: 1 });
    const status = await until("kept", "unknown", ({ state }) => state === "Unknown");
    expect(status.reason).toBe("NodeNotReady");
    expect(ready(status)).toBe("Unknown");
  });

  it("and has them released when it is deleted", async () => {
    await kubectl("delete", "node", GHOST);
    await until("kept", "given up", ({ reason }) => reason === "NodeGone");
    await remove("kept");
  });
});

/** What a real agent writes, for a shorter time. */
function lease(): object {
  const now = `${new Date().toISOString().slice(0, -1)}000Z`;
  return {
    apiVersion: "coordination.k8s.io/v1",
    kind: "Lease",
    metadata: { name: `berth-${GHOST}`, namespace: SYSTEM },
    spec: { holderIdentity: "e2e", leaseDurationSeconds: 20, acquireTime: now, renewTime: now },
  };
}
