// The chart's upgrade and rollback under running Containers, and its uninstall.
import { afterAll, describe, expect, it } from "@jest/globals";
import { install, rollback, uninstall, upgrade } from "./chart.ts";
import { agentPod, apply, berth, container, kubectl, NAMESPACE, once, statusOf, untilCondition } from "./cluster.ts";

/** Says on the volume whenever it starts. */
const COUNTING = {
  command: ["sh", "-c", "echo started >> /data/starts; exec sleep 3600"],
  volumes: [{ name: "data", volume: { name: "starts" } }],
  volumeMounts: [{ name: "data", mountPath: "/data" }],
};

/** What must not change under a container that runs. */
async function runs(...names: string[]): Promise<object[]> {
  const all = await Promise.all(names.map(statusOf));
  return all.map(({ state, pid, containerID, startedAt, restartCount }) => ({
    state,
    pid,
    containerID,
    startedAt,
    restartCount,
  }));
}

const starts = (): Promise<string> => berth("exec", `${NAMESPACE}/runs`, "--", "cat", "/data/starts");

afterAll(async () => {
  await kubectl("delete", "containers", "--all", "--ignore-not-found");
  // Named volumes stay until somebody removes them.
  await berth("volume", "rm", `${NAMESPACE}/starts`);
});

describe("the chart", () => {
  it("is upgraded, and rolled back, under containers that run on", async () => {
    await apply(container("runs", COUNTING), container("pauses", { desiredState: "Paused" }));
    await untilCondition("runs", "Ready");
    await untilCondition("pauses", "Ready");
    const before = await runs("runs", "pauses");
    const agent = await agentPod();
    const own = process.env["BERTH_E2E_UPGRADE_VALUES"] ?? "";
    const changed = ["--set", "agent.config.log-level=debug", ...(own === "" ? [] : ["--values", own])];
    await upgrade(...changed);
    const second = await agentPod();
    expect(second).not.toBe(agent);
    expect(await runs("runs", "pauses")).toEqual(before);
    expect(await starts()).toBe("started\n");

    await rollback();
    expect(await agentPod()).not.toBe(second);
    expect(await runs("runs", "pauses")).toEqual(before);
    expect(await starts()).toBe("started\n");
  });

  it("is uninstalled under containers that run on, and installed again", async () => {
    const before = await runs("runs", "pauses");
    await uninstall({ all: false });
    expect(await runs("runs", "pauses")).toEqual(before);
    const finalizers = "jsonpath={.items[*].metadata.finalizers}";
    expect(await kubectl("get", "containers", "-o", finalizers)).toBe("");
    await install();
    await apply(once("later", "true"));
    await untilCondition("later", "Complete");
    expect(await runs("runs", "pauses")).toEqual(before);
    expect(await starts()).toBe("started\n");
  });
});
