// Room on the node: a budget for all Containers, held to by whom the agent starts, and by the kernel at their common cgroup.
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeAll, describe, expect, it, jest } from "@jest/globals";
import type { Container, ContainerSpec } from "../../../src/api/index.ts";
import { type Cgroups, detectCgroups, removeCgroup } from "../../../src/node/index.ts";
import { endBy, pidOf, untilSaid } from "../../support/away.ts";
import { berth } from "../../support/cli.ts";
import { untilEvent } from "../../support/events.ts";
import { untilOutput } from "../../support/probe.ts";
import { askRestart, conditionsOf, untilRestarted } from "../../support/restart.ts";
import { ServerAway } from "../../support/server-away.ts";
import { useNode } from "../../support/test-node.ts";

const BUDGET = { "cgroup-cpu": "1", "cgroup-memory": "128Mi", "cgroup-pids": "200" };
const MIB = 2 ** 20;

const test = useNode({ flags: BUDGET });

/** Several starts, one after the other, in each of these tests. */
jest.setTimeout(120_000);

let cgroups: Cgroups;
beforeAll(async () => {
  cgroups = await detectCgroups();
});
afterEach(async () => {
  await test().deleteAll();
});

const asking = (requests: { cpu?: string; memory?: string }, rest: Partial<ContainerSpec> = {}): Promise<Container> =>
  test().create({ resources: { requests }, ...rest });
const started = async (...wish: Parameters<typeof asking>): Promise<Container> =>
  test().untilCondition(await asking(...wish), "Ready");
const untilLacking = (container: Container): Promise<Container> =>
  test().until(
    container,
    "lacking room",
    ({ metadata, status }) =>
      status?.reason === "InsufficientResources" && status.observedGeneration === metadata.generation,
  );
const statusOf = (container: Container): Container["status"] => test().get(container)?.status;

/** A setting of the node's cgroup root, or of a cgroup below it: on v1 by controller and file, on v2 by file. */
function setting(v1: `${string}/${string}`, v2: string, below = ""): string {
  const [controller, file] = v1.split("/") as [string, string];
  const isV2 = cgroups.version === 2;
  const hierarchy = cgroups.hierarchies.find(({ controllers }) => isV2 || controllers.includes(controller));
  const path = join(hierarchy?.mountPoint ?? "/", test().node.cgroupRoot, below, isV2 ? v2 : file);
  return readFileSync(path, "utf8").trim();
}
const limits = (): string[] => [
  setting("memory/memory.limit_in_bytes", "memory.max"),
  setting("cpu/cpu.shares", "cpu.weight"),
  setting("pids/pids.max", "pids.max"),
];
const onV = (v1: string, v2: string): string => (cgroups.version === 2 ? v2 : v1);
const LIMITS = (): string[] => [String(128 * MIB), onV("1024", "39"), "200"];

async function restartAgent(flags: Record<string, string> = {}): Promise<void> {
  await test().node.stopAgent();
  test().node.startAgent(flags);
  await test().node.agentReady();
}

describe("the cgroup root", () => {
  it("has the budget's limits, also after it was removed, and all of a container is below it", async () => {
    expect(limits()).toEqual(LIMITS());
    await removeCgroup(cgroups, test().node.cgroupRoot);
    const running = await started({});
    expect(limits()).toEqual(LIMITS());
    const { pid = 0, containerID = "" } = running.status ?? {};
    const lines = readFileSync(`/proc/${pid}/cgroup`, "utf8").trimEnd().split("\n");
    const paths = lines.map((line) => line.split(":")).filter(([id]) => id !== "0" || cgroups.version === 2);
    const own = join(test().node.cgroupRoot, containerID.replace("containerd://", ""));
    expect(new Set(paths.map(([, , path]) => path))).toEqual(new Set([own]));
  });

  it("keeps what runs and its limits when the agent is killed", async () => {
    const running = await started({});
    await test().node.stopAgent("kill");
    expect(existsSync(`/proc/${pidOf(running)}`)).toBe(true);
    expect(limits()).toEqual(LIMITS());
    test().node.startAgent();
    await test().node.agentReady();
    expect(statusOf(running)).toMatchObject({ state: "Running", pid: pidOf(running), restartCount: 0 });
  });

  it("bounds those together that have no limit of their own: who takes more is killed, and said to be", async () => {
    const other = await started({});
    const hog = await test().create({
      command: ["dd", "if=/dev/zero", "of=/dev/null", "bs=300M", "count=1"],
      restartPolicy: "Never",
    });
    const ended = await test().untilCondition(hog, "Failed");
    expect(ended.status).toMatchObject({ reason: "OOMKilled", oomKilled: true, exitCode: 137 });
    expect(statusOf(other)).toMatchObject({ state: "Running", restartCount: 0 });
  });

  it("is not limited to less than what is in use: that is told, and made up for when there is room", async () => {
    const script = "dd if=/dev/zero of=/dev/shm/x bs=1M count=40; echo filled; trap 'exit 0' TERM; sleep 3600 & wait";
    const holder = await test().create({ command: ["sh", "-c", script] });
    await untilOutput(test(), holder, "filled");
    await restartAgent({ "cgroup-memory": "16Mi" });
    const node = { metadata: { namespace: "default", name: test().node.name, uid: test().node.name } } as Container;
    const event = await untilEvent(test(), node, "BudgetNotEnforced");
    expect(event.message).toContain(`of ${test().node.cgroupRoot} can't be ${16 * MIB}`);
    expect(limits()).toEqual(LIMITS());
    await test().delete(holder);
    await untilSaid(test().node, "the budget for Containers is enforced");
    expect(limits()[0]).toBe(String(16 * MIB));
    await restartAgent({ "cgroup-memory": "" });
    expect(limits().slice(0, 1)).toEqual([onV("9223372036854771712", "max")]);
    await restartAgent();
    expect(limits()).toEqual(LIMITS());
  });
});

describe("requests that don't fit any more", () => {
  it("are told with the numbers, and the start goes on as soon as another one stops, ends for good or is deleted", async () => {
    const [stopping, ending, going] = [
      await started({ cpu: "400m", memory: "16Mi" }),
      await started({ cpu: "300m", memory: "64Mi" }, { restartPolicy: "Never" }),
      await started({ cpu: "300m" }),
    ];
    const [cpu, memory] = [await asking({ cpu: "400m" }), await asking({ memory: "64Mi" })];
    const more = await asking({ cpu: "2", memory: "1Gi" });
    const lacking = await untilLacking(cpu);
    expect(lacking.status).toMatchObject({ state: "Pending", reason: "InsufficientResources" });
    expect(lacking.status?.message).toBe(
      "spec.resources: 400m of cpu is asked for, and 0 of the 1 for all Containers of the node are left: it goes on as soon as there is room",
    );
    expect(conditionsOf(lacking)).toEqual(["Reconciling"]);
    for (const field of ["nextRetryAt", "startAttempts", "exitCode"]) expect(lacking.status).not.toHaveProperty(field);
    expect((await untilLacking(memory)).status?.message).toContain(
      "64Mi of memory is asked for, and 48Mi of the 128Mi",
    );
    expect((await untilLacking(more)).status?.message).toBe(
      "spec.resources: 2 of cpu is asked for, and all Containers of the node may have 1: ask for less, or raise the agent's --cgroup-cpu; " +
        "spec.resources: 1Gi of memory is asked for, and all Containers of the node may have 128Mi: ask for less, or raise the agent's --cgroup-memory",
    );
    const metrics = await (await fetch(`http://${test().node.metricsAddress}/metrics`)).text();
    expect(metrics).toContain('berth_node_budget{resource="cpu",unit="core"} 1\n');
    expect(metrics).toContain('berth_node_requested{resource="cpu",unit="core"} 1\n');
    expect(metrics).toContain(`berth_node_requested{resource="memory",unit="byte"} ${80 * MIB}\n`);
    // Who asks for nothing always fits.
    await started({});

    await test().patch(stopping, { spec: { desiredState: "Stopped" } });
    await test().untilCondition(cpu, "Ready");
    await endBy("SIGTERM", pidOf(ending));
    await test().untilCondition(memory, "Ready");
    const again = await test().patch(stopping, { spec: { desiredState: "Running" } });
    expect((await untilLacking(again)).status).toMatchObject({ state: "Pending" });
    await test().delete(going);
    // 300m of 400m.
    const { message } = statusOf(stopping) ?? {};
    expect(message).toContain("400m of cpu is asked for");
    await test().delete(cpu);
    await test().untilCondition(again, "Ready");
  });

  it("of two that start at once let one in", async () => {
    const two = await Promise.all([asking({ cpu: "600m" }), asking({ cpu: "600m" })]);
    const settled = (now: Container): boolean =>
      now.status?.state === "Running" || now.status?.reason === "InsufficientResources";
    const states = await Promise.all(two.map((each) => test().until(each, "started or not", settled)));
    expect(states.map(({ status }) => status?.state).sort()).toEqual(["Pending", "Running"]);
    const [first, second] = states.sort((a) => (a.status?.state === "Running" ? -1 : 1));
    if (first === undefined || second === undefined) throw new Error("unreachable");
    await test().delete(first);
    await test().untilCondition(second, "Ready");
  });

  it("hold no room while something else is missing", async () => {
    const lost = await asking({ cpu: "1" }, { image: test().image("no-such-tag") });
    await test().until(lost, "ErrImagePull", ({ status }) => (status?.startAttempts ?? 0) > 0);
    await started({ cpu: "1" });
  });
});

describe("what runs", () => {
  it("goes on with a smaller budget, through restarts, too; others wait", async () => {
    const flaky = await started(
      { cpu: "500m" },
      { command: ["sh", "-c", "trap 'exit 1' USR1; sleep 3600 & wait"], terminationGracePeriodSeconds: 0 },
    );
    const other = await started({ cpu: "500m" });
    try {
      await restartAgent({ "cgroup-cpu": "200m" });
      const late = await asking({ cpu: "100m" });
      await untilLacking(late);
      await endBy("SIGUSR1", pidOf(flaky));
      await untilRestarted(test(), flaky, 1);
      await askRestart(test(), other, "now");
      await untilRestarted(test(), other, 1);
      await test().delete(flaky);
      // Still more than the budget.
      expect((await untilLacking(late)).status?.state).toBe("Pending");
      await test().delete(other);
      await test().untilCondition(late, "Ready");
    } finally {
      await test().deleteAll();
      await restartAgent();
    }
  });

  it("gets more in place as far as there is room, and until then runs on as it was", async () => {
    const running = await started({ memory: "64Mi" });
    const other = await started({ memory: "64Mi" });
    const soft = (): string => setting("memory/memory.soft_limit_in_bytes", "memory.low", `${running.metadata.uid}-1`);
    const raised = await test().patch(running, { spec: { resources: { requests: { memory: "96Mi" } } } });
    const waiting = await untilLacking(raised);
    expect(waiting.status).toMatchObject({ state: "Running", pid: pidOf(running) });
    expect(waiting.status?.message).toBe(
      "The container runs on as it was, for the change of its spec waits: spec.resources: 96Mi of memory is asked for, and 64Mi of the 128Mi for all Containers of the node are left: it goes on as soon as there is room",
    );
    expect(conditionsOf(waiting)).toEqual(["Reconciling"]);
    expect(soft()).toBe(String(64 * MIB));
    await test().patch(other, { spec: { resources: { requests: { memory: "32Mi" } } } });
    const after = await test().untilCondition(raised, "Ready");
    expect(after.status).toMatchObject({ pid: pidOf(running), reason: "Started" });
    expect(soft()).toBe(String(96 * MIB));
    // A change that has to wait holds up no other wish.
    const more = { resources: { requests: { memory: "1Gi" } }, desiredState: "Stopped" };
    await test().untilCondition(await test().patch(running, { spec: more }), "Ready");
  });
});

/** What the node's own command says of a Container. */
async function inspected({ metadata }: Container): Promise<Container["status"]> {
  const { stdout } = await berth(test(), ["inspect", metadata.name]);
  return (JSON.parse(stdout) as Container).status;
}

describe("a reboot without an API server", () => {
  it("starts as many as there is room for, the oldest first", async () => {
    const old = await started({ cpu: "500m" });
    const young = await started({ cpu: "400m" });
    const away = await ServerAway.open(test());
    try {
      away.goAway();
      await test().node.reboot();
      test().node.startAgent({ kubeconfig: away.kubeconfig, "cgroup-cpu": "600m" });
      await untilSaid(test().node, "start waits");
      // It is said a moment before it is in the record.
      const deadline = Date.now() + 10_000;
      let status = await inspected(young);
      while (status?.reason !== "InsufficientResources" && Date.now() < deadline) status = await inspected(young);
      expect(status).toMatchObject({ state: "Pending", reason: "InsufficientResources" });
      expect(setting("cpu/cpu.shares", "cpu.weight")).toBe(onV("614", "24"));
      away.comeBack();
      await untilRestarted(test(), old, 1);
      expect((await untilLacking(young)).status?.message).toContain("400m of cpu is asked for, and 100m of the 600m");
      await test().delete(old);
      await untilRestarted(test(), young, 1);
    } finally {
      away.comeBack();
      await test().deleteAll();
      await test().node.stopAgent("kill");
      await away.close();
      test().node.startAgent();
      await test().node.agentReady();
    }
  });
});
