// desiredState: Paused. A frozen container keeps its processes, and is thawed for whatever ends it.
import { readFileSync } from "node:fs";
import { describe, expect, it } from "@jest/globals";
import type { Container, ContainerSpec } from "../../src/api/index.ts";
import { pidOf } from "../support/away.ts";
import { untilOutput } from "../support/probe.ts";
import { askRestart, conditionsOf, untilRestarted } from "../support/restart.ts";
import { useNode } from "../support/test-node.ts";

const test = useNode();

/** Says when it is asked to end, and ends with 5. */
const OBEDIENT = "trap 'echo asked; exit 5' TERM; echo ready; sleep 3600 & wait";

async function paused(spec: Partial<ContainerSpec> = {}): Promise<Container> {
  const created = await test().create({ command: ["sh", "-c", OBEDIENT], ...spec });
  await untilOutput(test(), created, "ready");
  const container = await test().patch(created, { spec: { desiredState: "Paused" } });
  return test().untilCondition(container, "Ready");
}

/** Whether the kernel has put a process on hold: on cgroup v1 it then waits in the refrigerator. */
function isFrozen(pid: number): boolean {
  return /^State:\s+D/m.test(readFileSync(`/proc/${pid}/status`, "utf8")) || frozenOnV2(pid);
}

function frozenOnV2(pid: number): boolean {
  const path = /^0::(.*)$/m.exec(readFileSync(`/proc/${pid}/cgroup`, "utf8"))?.[1] ?? "";
  try {
    return readFileSync(`/sys/fs/cgroup${path}/cgroup.events`, "utf8").includes("frozen 1");
  } catch {
    return false;
  }
}

describe("Paused", () => {
  it("freezes what runs, and Running thaws it: the same process", async () => {
    const container = await paused();
    expect(container.status).toMatchObject({ state: "Paused", restartCount: 0 });
    expect(conditionsOf(container)).toEqual(["Ready"]);
    expect(isFrozen(pidOf(container))).toBe(true);

    const resumed = await test().patch(container, { spec: { desiredState: "Running" } });
    const { status } = await test().untilCondition(resumed, "Ready");
    const { pid, containerID, startedAt } = container.status ?? {};
    expect(status).toMatchObject({ state: "Running", restartCount: 0, pid, containerID, startedAt });
    expect(isFrozen(pidOf(container))).toBe(false);
    await test().delete(container);
  });

  it("from the first apply starts the container, then pauses it", async () => {
    const created = await test().create({ desiredState: "Paused" });
    const container = await test().untilCondition(created, "Ready");
    expect(container.status).toMatchObject({ state: "Paused" });
    expect(isFrozen(pidOf(container))).toBe(true);
    await test().delete(container);
  });

  it("starts what is Stopped, then pauses it", async () => {
    const created = await test().create();
    await test().untilCondition(created, "Ready");
    await test().untilCondition(await test().patch(created, { spec: { desiredState: "Stopped" } }), "Ready");
    const again = await test().patch(created, { spec: { desiredState: "Paused" } });
    const container = await test().untilCondition(again, "Ready");
    expect(container.status).toMatchObject({ state: "Paused", restartCount: 0 });
    await test().delete(container);
  });
});

describe("a paused container", () => {
  it("is thawed to be stopped: it gets its signal", async () => {
    const container = await test().patch(await paused(), { spec: { desiredState: "Stopped" } });
    const { status } = await test().untilCondition(container, "Ready");
    expect(status).toMatchObject({ state: "Exited", exitCode: 5, restartCount: 0 });
    expect(test().output(container)).toContain("asked");
    await test().delete(container);
  });

  it("is stopped by SIGKILL alone where the grace period is 0", async () => {
    const first = await paused({ terminationGracePeriodSeconds: 0 });
    const container = await test().patch(first, { spec: { desiredState: "Stopped" } });
    const { status } = await test().untilCondition(container, "Ready");
    expect(status).toMatchObject({ state: "Exited", exitCode: 137, restartCount: 0 });
    expect(test().output(container)).toBe("ready\n");
    await test().delete(container);
  });

  it.each([0, 10])("is removed by a deletion, with a grace period of %i s", async (terminationGracePeriodSeconds) => {
    const before = await test().audit();
    const container = await paused({ terminationGracePeriodSeconds });
    await test().delete(container);
    expect(await test().leaks(before)).toEqual([]);
  });

  it("is restarted on request, and paused again", async () => {
    const container = await paused();
    await askRestart(test(), container, "now");
    const again = await test().until(
      container,
      "paused again",
      ({ status }) => status?.state === "Paused" && status.restartedAt === "now",
    );
    expect(again.status).toMatchObject({ restartCount: 1, exitCode: 5 });
    expect(pidOf(again)).not.toBe(pidOf(container));
    await test().delete(container);
  });

  it("that was killed behind Berth's back dies when it is thawed, and is started again", async () => {
    const container = await paused({ terminationGracePeriodSeconds: 0 });
    // A frozen process dies of it only when it is thawed.
    process.kill(pidOf(container), "SIGKILL");
    await test().patch(container, { spec: { desiredState: "Running" } });
    const again = await untilRestarted(test(), container, 1);
    expect(again.status).toMatchObject({ exitCode: 137 });
    await test().delete(container);
  });
});
