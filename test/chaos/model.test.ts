// The model must see what it is there for: each of these is one thing gone wrong with an otherwise good Container.
import { describe, expect, it } from "@jest/globals";
import type { Container, ContainerStatus } from "../../src/api/index.ts";
import type { Run } from "./journal.ts";
import { judge } from "./model.ts";
import type { Slot, Wished } from "./slots.ts";

const PID = 4242;
const DIR = "/objects/7";

/** A Container that runs as it was wished, with what is changed about it. */
function judged(change: {
  wished?: Partial<Wished>;
  status?: Partial<ContainerStatus>;
  metadata?: Partial<Container["metadata"]>;
  spec?: Partial<Container["spec"]>;
  runs?: readonly Run[];
  alive?: readonly number[];
}): string[] {
  const wished: Wished = {
    kind: "plain",
    dir: DIR,
    mark: "7",
    desired: "Running",
    stops: 0,
    orders: 0,
    starts: 0,
    steady: false,
    ...change.wished,
  };
  const slot: Slot = { ...PLACE, wished, earlier: [] };
  const container: Container = {
    apiVersion: "berth.dev/v1alpha1",
    kind: "Container",
    metadata: {
      name: "chaos",
      namespace: "default",
      uid: "u",
      generation: 1,
      resourceVersion: "1",
      annotations: { "chaos/object": "7" },
      finalizers: ["berth.dev/cleanup"],
      ...change.metadata,
    },
    spec: { nodeName: "node-1", image: "busybox", ...change.spec },
    status: { ...RUNNING, ...change.status },
  };
  const { runs = [{ incarnation: "a" }], alive = [PID] } = change;
  return judge(slot, { container, runs, alive: (dir) => (dir === DIR ? alive : []), peer: undefined });
}

const PLACE = { name: "chaos", node: 0, nodeName: "node-1", hostPort: 1, peer: "anchor", steady: false };
const RUNNING: ContainerStatus = {
  nodeName: "node-1",
  observedGeneration: 1,
  state: "Running",
  reason: "Started",
  pid: PID,
  containerID: "containerd://u-1",
  restartCount: 0,
  conditions: [condition("Ready")],
};
const ENDED: ContainerStatus = {
  ...RUNNING,
  state: "Exited",
  reason: "Error",
  exitCode: 3,
  conditions: [condition("Failed")],
};

function condition(type: "Ready" | "Failed" | "Complete") {
  const lastTransitionTime = "2026-01-01T00:00:00Z";
  return { type, status: "True" as const, reason: "X", message: "", lastTransitionTime };
}

const ended = (exitCode: number): Run => ({ incarnation: "a", exitCode });
const RUNS: Run = { incarnation: "a" };
const ONCE = { kind: "never", orders: 1 } as const;
const NEVER = { restartPolicy: "Never" } as const;

describe("all is well with", () => {
  it.each<[string, Parameters<typeof judged>[0]]>([
    ["one that runs", {}],
    ["one that has ended for good", { wished: ONCE, spec: NEVER, status: ENDED, runs: [ended(3)], alive: [] }],
    [
      "one that was restarted after its end",
      { wished: { orders: 1 }, runs: [ended(3), RUNS], status: { restartCount: 1, exitCode: 3 } },
    ],
  ])("%s", (_, change) => {
    expect(judged(change)).toEqual([]);
  });
});

describe("it says that", () => {
  it.each<[string, Parameters<typeof judged>[0]]>([
    ["it runs 2 times at once", { alive: [PID, PID + 1], runs: [RUNS, RUNS] }],
    ["nobody wanted", { runs: [ended(0), RUNS], status: { restartCount: 1, exitCode: 0 } }],
    [
      "its exit code is 0, and must be 3",
      { wished: ONCE, spec: NEVER, status: { ...ENDED, exitCode: 0 }, runs: [ended(3)], alive: [] },
    ],
    [
      "was lost",
      {
        wished: ONCE,
        spec: NEVER,
        status: { ...ENDED, reason: "Unknown", exitCode: 255 },
        runs: [ended(3)],
        alive: [],
      },
    ],
    ["must run again", { wished: { orders: 1 }, status: ENDED, runs: [ended(3)], alive: [] }],
    ["oomKilled is false", { wished: ONCE, spec: NEVER, status: ENDED, runs: [{ ...ended(3), oom: true }], alive: [] }],
    ["it was started 1 times", { status: { restartCount: 1 } }],
    ["account for 1", { wished: { orders: 1 }, runs: [ended(3), RUNS], status: { restartCount: 0, exitCode: 3 } }],
    ["it runs, and must not", { wished: { desired: "Stopped", stops: 1 } }],
    ["must be Paused", { wished: { desired: "Paused" } }],
    ["it is not Ready", { status: { conditions: [] } }],
    ["its process is 4242", { status: { pid: 1 } }],
    ["of generation 1, not of 2", { metadata: { generation: 2 } }],
    ["it has no finalizer", { metadata: { finalizers: [] } }],
    ["it hangs in deletion", { metadata: { deletionTimestamp: "2026-01-01T00:00:00Z" } }],
    ["restartedAt v1 was not acted on", { wished: { restartedAt: "v1", stops: 1 } }],
    ["it has run", { wished: { kind: "notFound" } }],
  ])("%s", (said, change) => {
    expect(judged(change).join("; ")).toContain(said);
  });

  it("it must be gone, where nobody wishes for it", () => {
    const left: Wished = {
      kind: "plain",
      dir: DIR,
      mark: "6",
      desired: "Running",
      stops: 0,
      orders: 0,
      starts: 0,
      steady: false,
    };
    const found = judge(
      { ...PLACE, earlier: [left] },
      { container: undefined, runs: [], alive: () => [PID], peer: undefined },
    );
    expect(found).toEqual(["a container of its earlier object 6 still runs"]);
  });
});
