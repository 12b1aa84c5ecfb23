// An agent that can't be reached: what the controller says for it, and that the agent's own word comes back with it.
import { describe, expect, it } from "@jest/globals";
import type { Container, ContainerStatus } from "../../../src/api/index.ts";
import { containerPath, nodePath } from "../../../src/kube/index.ts";
import { untilMissed } from "../../support/away.ts";
import { agentLease, createNode, letLeaseRunOut, setNodeReady, useController } from "../../support/test-controller.ts";
import { useNode } from "../../support/test-node.ts";

// A controller speaks for all nodes of its cluster.
const test = useNode({ ownControlPlane: true });

const controller = useController(test);

const conditionOf = ({ status }: Container, type: string) => status?.conditions?.find((each) => each.type === type);
const untilReason = (container: Container, reason: string): Promise<Container> =>
  test().until(container, reason, ({ status }) => status?.reason === reason);

async function loseAgent(): Promise<void> {
  await test().node.stopAgent("kill");
  await letLeaseRunOut(test());
}

describe("an agent that does not renew its Lease", () => {
  it("has its Containers Unknown until it is back, which then tells the truth though nothing has changed", async () => {
    const created = await test().create();
    const running = await test().untilCondition(created, "Ready");
    await loseAgent();
    const unknown = await untilReason(created, "AgentUnreachable");
    const { state, conditions: _, reason: __, message, ...rest } = unknown.status ?? {};
    const { state: ___, conditions: ____, reason: _____, message: ______, ...before } = running.status ?? {};
    expect(state).toBe("Unknown");
    expect(rest).toEqual(before);
    expect(message).toContain(`The agent of node "${test().node.name}" has not renewed its Lease since 20`);
    expect(conditionOf(unknown, "Ready")).toMatchObject({ status: "Unknown", reason: "AgentUnreachable" });

    test().node.startAgent();
    const back = await test().untilCondition(created, "Ready");
    expect(withoutTimes(back.status)).toEqual(withoutTimes(running.status));
  });

  it("leaves results, and tells of wishes that wait", async () => {
    const ended = await test().create({ command: ["false"], restartPolicy: "Never" });
    const running = await test().create();
    const result = await test().untilCondition(ended, "Failed");
    await test().untilCondition(running, "Ready");
    await loseAgent();
    await untilReason(running, "AgentUnreachable");
    const fresh = await test().create();
    const waiting = await untilReason(fresh, "AgentUnreachable");
    expect(waiting.status?.state).toBe("Pending");
    expect(conditionOf(waiting, "Ready")?.status).toBe("False");
    expect(test().get(ended)?.status).toEqual(result.status);
    await test().patch(ended, { metadata: { annotations: { "berth.dev/restartedAt": "now" } } });
    expect((await untilReason(ended, "AgentUnreachable")).status).toMatchObject({ state: "Unknown", exitCode: 1 });

    test().node.startAgent();
    await test().until(
      ended,
      "ended once more",
      ({ status }) => status?.restartedAt === "now" && status.state === "Exited",
    );
    await test().untilCondition(fresh, "Ready");
  });

  it("finds its own verdict on a start again", async () => {
    const created = await test().create({ image: test().image("no-such-tag") });
    const failed = await test().until(
      created,
      "waiting for the third try",
      ({ status }) => status?.reason === "ImagePullBackOff" || (status?.startAttempts ?? 0) > 2,
    );
    await loseAgent();
    const { status } = await untilReason(created, "AgentUnreachable");
    expect(status).toMatchObject({ state: "Unknown", startAttempts: failed.status?.startAttempts, exitCode: 128 });
    const seen = new Set<string | undefined>();
    test().node.startAgent();
    await test().until(created, "tried again", (now) => {
      seen.add(now.status?.reason);
      return (now.status?.startAttempts ?? 0) > (failed.status?.startAttempts ?? 0);
    });
    expect(
      [...seen].filter((reason) => !/^(AgentUnreachable|ErrImagePull|ImagePullBackOff|Pulling)$/.test(reason ?? "")),
    ).toEqual([]);
  });

  it("says that containerd is away, if it comes back without", async () => {
    const created = await test().create();
    await test().untilCondition(created, "Ready");
    await loseAgent();
    await untilReason(created, "AgentUnreachable");
    await test().node.stopContainerd();
    test().node.startAgent();
    await untilMissed(test().node, "containerd");
    expect((await untilReason(created, "RuntimeUnavailable")).status?.state).toBe("Unknown");
    await test().node.startContainerd();
    await test().untilCondition(created, "Ready");
  });

  it("whose Node is not ready says so", async () => {
    await createNode(test());
    const created = await test().create();
    await test().untilCondition(created, "Ready");
    await setNodeReady(test(), "Unknown");
    await loseAgent();
    const { status } = await untilReason(created, "NodeNotReady");
    expect(status?.message).toMatch(/is not Ready since 20.*, and its agent has not renewed its Lease since 20/);
    await setNodeReady(test(), "True");
    await untilReason(created, "AgentUnreachable");
    await test().api.delete(nodePath(test().node.name));
  });
});

describe("an agent that lives", () => {
  it("is believed, whatever its Node says, and has the last word", async () => {
    await createNode(test());
    const created = await test().create();
    const running = await test().untilCondition(created, "Ready");
    await setNodeReady(test(), "False");
    // Another Container from its creation to its end: what there is to say by then is said.
    const other = await test().create();
    await test().untilCondition(other, "Ready");
    expect(test().get(created)?.status).toEqual(running.status);
    await test().api.delete(nodePath(test().node.name));

    const { namespace, name } = created.metadata;
    const status = { state: "Unknown", reason: "AgentUnreachable", message: "A mistake." };
    await test().api.mergePatch(containerPath(namespace, name, "status"), { status });
    const corrected = await test().until(created, "corrected", (now) => now.status?.reason === "Started");
    expect(corrected.status).toEqual(running.status);
  });

  it("is believed though it has no Lease: what it writes against the controller is a sign of life", async () => {
    await test().node.stopAgent();
    await test().cluster.controlPlane.kubectl(["delete", "rolebinding", "-n", "berth-system", "berth-agent"]);
    await test().api.delete(agentLease(test()));
    test().node.startAgent();
    await test().node.agentReady();
    const created = await test().create();
    await controller().untilSaid('"kind":"none"');
    await test().until(created, "corrected", ({ status }) => status?.state === "Running", 30_000);
    const marks = async (): Promise<number> =>
      (await controller().metrics()).get('berth_controller_marks_total{reason="NoAgent"}') ?? NaN;
    const before = await marks();
    // Each would have been marked after half a second.
    const next = await test().create();
    await test().untilCondition(next, "Ready");
    await new Promise((resolve) => setTimeout(resolve, 3000));
    expect((await marks()) - before).toBeLessThanOrEqual(1);
    expect(test().get(next)?.status?.state).toBe("Running");
    await test().cluster.controlPlane.kubectl([
      ...["create", "rolebinding", "-n", "berth-system", "berth-agent"],
      ...["--role=berth-agent", "--serviceaccount=berth-system:berth"],
    ]);
    await test().node.stopAgent();
  });
});

describe("a node that no agent serves", () => {
  it("is named, with the agents there are, until one comes", async () => {
    const created = await test().create({ nodeName: `${test().node.name}x` });
    const path = containerPath(created.metadata.namespace, created.metadata.name);
    const deadline = Date.now() + 20_000;
    let { status } = created;
    // The test's own watch is of its node alone.
    while (status?.reason !== "NoAgent" && Date.now() < deadline) ({ status } = await test().api.get<Container>(path));
    expect(status).toMatchObject({ state: "Pending", reason: "NoAgent" });
    expect(status?.message).toContain(`No agent serves node "${test().node.name}x". There is no such Node either`);
    expect(status?.message).toContain(`There are agents on "${test().node.name}".`);
    await test().api.delete(path);

    await test().node.stopAgent("kill");
    await test().api.delete(agentLease(test()));
    const early = await test().create();
    const told = await untilReason(early, "NoAgent");
    expect(conditionOf(told, "Stalled")?.status).toBe("True");
    test().node.startAgent();
    const ready = await test().untilCondition(early, "Ready");
    expect(conditionOf(ready, "Stalled")).toBeUndefined();
  });
});

/** A status but for the moments at which its conditions changed. */
function withoutTimes(status: ContainerStatus | undefined): object {
  const conditions = status?.conditions?.map(({ lastTransitionTime: _, ...rest }) => rest);
  return { ...status, conditions };
}
