import { describe, expect, it } from "@jest/globals";
import type { Condition, ContainerStatus } from "../api/index.ts";
import { type Action, decide, decideCheckpoint, type KeptContainer, type Surroundings } from "./decide.ts";
import type { Standing } from "./standing.ts";

const NOW = new Date("2026-01-02T03:04:05.678Z");
const AROUND: Surroundings = { agents: ["node-1", "node-2", "edge-7", "node-12"], namespace: "berth-system", now: NOW };
const SILENT: Standing = { kind: "silent", renewTime: "2026-01-02T03:00:00.000000Z", hasNode: true };
const GONE: Standing = { kind: "gone", renewTime: "2026-01-02T03:00:00.000000Z" };
const NO_AGENT: Standing = { kind: "none", hasNode: false, givenUp: false };
const GIVEN_UP: Standing = { kind: "none", hasNode: false, givenUp: true };

const condition = (type: string, status: Condition["status"], reason: string): Condition => ({
  type,
  status,
  reason,
  message: `${reason}.`,
  observedGeneration: 1,
  lastTransitionTime: "2026-01-01T00:00:00.000Z",
});

const RUNNING: ContainerStatus = {
  observedGeneration: 1,
  nodeName: "node-1",
  state: "Running",
  reason: "Started",
  pid: 42,
  exitCode: 3,
  restartCount: 2,
  conditions: [condition("Ready", "True", "Started"), condition("DiskPressure", "True", "Full")],
};

function container(status?: ContainerStatus, metadata: Partial<KeptContainer["metadata"]> = {}): KeptContainer {
  return {
    metadata: {
      name: "web",
      namespace: "default",
      uid: "u",
      generation: 1,
      resourceVersion: "1",
      ...(status === undefined ? {} : { finalizers: ["berth.dev/cleanup"] }),
      ...metadata,
    },
    spec: { nodeName: "node-1" },
    ...(status === undefined ? {} : { status }),
  };
}

const DELETED = { deletionTimestamp: "2026-01-02T00:00:00Z", finalizers: ["other", "berth.dev/cleanup"] };

/** The status as the server has it after a mark. */
function marked(object: KeptContainer, action: Action): KeptContainer {
  if (action.kind !== "mark") throw new Error(`not a mark: ${JSON.stringify(action)}`);
  return { ...object, status: { ...object.status, ...(action.patch as ContainerStatus) } };
}

describe("a Container", () => {
  it.each<Standing>([{ kind: "alive" }, { kind: "undecided" }])("whose agent is %j is the agent's", (standing) => {
    expect(decide(container(RUNNING), standing, AROUND)).toEqual({ kind: "none" });
    expect(decide(container(RUNNING, DELETED), standing, AROUND)).toEqual({ kind: "none" });
  });

  it("whose agent is silent is Unknown, and what else is known is kept", () => {
    const before = container(RUNNING);
    const action = decide(before, SILENT, AROUND);
    const { status } = marked(before, action);
    expect(status).toMatchObject({
      state: "Unknown",
      reason: "AgentUnreachable",
      message: expect.stringContaining("since 2026-01-02T03:00:00.000000Z"),
      pid: 42,
      exitCode: 3,
      restartCount: 2,
      observedGeneration: 1,
    });
    expect(status?.conditions?.map(({ type, status: value, reason }) => [type, value, reason])).toEqual([
      ["Ready", "Unknown", "AgentUnreachable"],
      ["DiskPressure", "True", "Full"],
    ]);
    expect(status?.conditions?.[0]?.lastTransitionTime).toBe(NOW.toISOString());
    expect(Object.keys((action as { patch: object }).patch).toSorted()).toEqual([
      "conditions",
      "message",
      "reason",
      "state",
    ]);
  });

  it("is told of once, not with each look", () => {
    for (const standing of [SILENT, GONE, NO_AGENT, GIVEN_UP]) {
      for (const before of [container(RUNNING), container()]) {
        const after = marked(before, decide(before, standing, AROUND));
        const later = { ...AROUND, agents: ["others"], now: new Date("2026-02-02T00:00:00Z") };
        expect(decide(after, standing, later)).toEqual({ kind: "none" });
      }
    }
  });

  it("says NotReady and since when, where the Node does", () => {
    const standing: Standing = { ...SILENT, notReadySince: "2026-01-02T03:02:00Z" };
    expect(marked(container(RUNNING), decide(container(RUNNING), standing, AROUND)).status).toMatchObject({
      reason: "NodeNotReady",
      message: expect.stringMatching(/^Node "node-1" is not Ready since 2026-01-02T03:02:00Z, and its agent has not/),
    });
  });

  it("whose Node was deleted says so", () => {
    const { status } = marked(container(RUNNING), decide(container(RUNNING), GONE, AROUND));
    expect(status).toMatchObject({ state: "Unknown", reason: "NodeGone" });
  });

  it.each(["Complete", "Failed"])("that is %s for good keeps its result, until something new is wished", (type) => {
    const status: ContainerStatus = {
      ...RUNNING,
      state: "Exited",
      conditions: [condition("Ready", "False", "Completed"), condition(type, "True", "Completed")],
    };
    expect(decide(container(status), SILENT, AROUND)).toEqual({ kind: "none" });
    expect(decide(container(status, { generation: 2 }), SILENT, AROUND).kind).toBe("mark");
    const annotations = { "berth.dev/restartedAt": "now" };
    expect(decide(container(status, { annotations }), SILENT, AROUND).kind).toBe("mark");
  });

  it.each([undefined, { observedGeneration: -1 }])("that no agent has taken up (status %j) waits for one", (before) => {
    const object = container(before, { finalizers: [] });
    const { status } = marked(object, decide(object, SILENT, AROUND));
    expect(status).toMatchObject({ state: "Pending", reason: "AgentUnreachable" });
    expect(status?.conditions?.map(({ type, status: value }) => `${type}=${value}`)).toEqual(["Ready=False"]);
    expect(status?.observedGeneration).toBe(before?.observedGeneration);
  });

  it("whose node has no agent names it, and those that its name is most like", () => {
    const object = { ...container(), spec: { nodeName: "node-11" } };
    const first = marked(object, decide(object, NO_AGENT, AROUND));
    expect(first.status).toMatchObject({
      state: "Pending",
      reason: "NoAgent",
      message: `No agent serves node "node-11". There is no such Node either: is the name right? The most alike of 4 with an agent: "node-1", "node-12", "node-2".`,
    });
    expect(first.status?.conditions?.map(({ type, status }) => `${type}=${status}`)).toEqual([
      "Ready=False",
      "Stalled=True",
    ]);
    // An agent has come, and fallen silent before it saw the Container.
    const later = marked(first, decide(first, SILENT, AROUND));
    expect(later.status?.conditions?.map(({ type, status }) => `${type}=${status}`)).toEqual(["Ready=False"]);
  });

  it("that is deleted is released only when its node is given up", () => {
    for (const standing of [GONE, GIVEN_UP])
      expect(decide(container(RUNNING, DELETED), standing, AROUND)).toMatchObject({ kind: "release" });
    const { status } = marked(container(RUNNING, DELETED), decide(container(RUNNING, DELETED), SILENT, AROUND));
    expect(status?.message).toContain("kubectl delete lease -n berth-system berth-node-1");
    expect(decide(container(RUNNING, DELETED), NO_AGENT, AROUND).kind).toBe("mark");
    const others = { ...DELETED, finalizers: ["other"] };
    expect(decide(container(RUNNING, others), GONE, AROUND).kind).not.toBe("release");
    expect(decide(container(RUNNING), GONE, AROUND).kind).toBe("mark");
  });

  it("is of the node that has it, though its spec says another one", () => {
    const object = { ...container(RUNNING, DELETED), spec: { nodeName: "other" } };
    expect(decide(object, GONE, AROUND)).toMatchObject({ why: expect.stringContaining('"node-1"') });
  });
});

describe("a checkpoint", () => {
  const checkpoint = { metadata: container(RUNNING, DELETED).metadata, status: { nodeName: "node-1" } };

  it("that is deleted is released when the node that holds it is given up", () => {
    expect(decideCheckpoint(checkpoint, (name) => (name === "node-1" ? GONE : SILENT)).kind).toBe("release");
    expect(decideCheckpoint(checkpoint, () => SILENT).kind).toBe("none");
    expect(decideCheckpoint({ metadata: checkpoint.metadata }, () => GONE).kind).toBe("none");
  });
});
