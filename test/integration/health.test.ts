// Health checks on either containerd: an image's, and one that is killed with what it has started.
import { describe, expect, it } from "@jest/globals";
import { untilEvent } from "../support/events.ts";
import { sh, Switch, untilHealth, untilNoneOf } from "../support/health.ts";
import { conditionsOf } from "../support/restart.ts";
import { useNode } from "../support/test-node.ts";

const test = useNode();

describe("the image's check", () => {
  it("makes Ready what is healthy, and tells each change once", async () => {
    const dir = new Switch(test(), "image");
    const created = await test().create({ image: test().image("healthcheck"), ...dir.spec });
    const starting = await untilHealth(test(), created, "Starting");
    expect(starting.status).toMatchObject({ state: "Running", reason: "Started" });
    expect(conditionsOf(starting)).toEqual(["Reconciling"]);
    dir.set("healthy", "fine");
    const healthy = await untilHealth(test(), created, "Healthy");
    expect(healthy.status?.health).toEqual({ status: "Healthy", failingStreak: 0, output: "fine" });
    expect(conditionsOf(healthy)).toEqual(["Ready"]);

    dir.clear("healthy");
    const unhealthy = await untilHealth(test(), created, "Unhealthy");
    const words = "can't open '/switch/healthy'";
    expect(unhealthy.status).toMatchObject({
      state: "Running",
      reason: "Unhealthy",
      message: expect.stringContaining(words),
      health: { failingStreak: 2, output: expect.stringContaining(words) },
      restartCount: 0,
    });
    expect(conditionsOf(unhealthy)).toEqual([]);
    expect(await untilEvent(test(), created, "Unhealthy")).toMatchObject({
      type: "Warning",
      message: expect.stringContaining(words),
    });
    dir.set("healthy");
    expect(conditionsOf(await untilHealth(test(), created, "Healthy"))).toEqual(["Ready"]);
  });
});

describe("a command", () => {
  it("that takes too long has failed, and is killed with what it has started; long output is cut", async () => {
    const dir = new Switch(test(), "slow");
    const created = await test().create({
      ...dir.spec,
      healthcheck: { ...sh("sleep 1234 & sleep 1235; true"), interval: "200ms", timeout: "500ms", retries: 1 },
    });
    const slow = await untilHealth(test(), created, "Unhealthy");
    expect(slow.status?.health?.output).toContain("longer than 0.5 s");
    await test().patch(created, {
      spec: { healthcheck: { ...sh("yes | head -c 10000"), timeout: "20s" } },
    });
    const healthy = await untilHealth(test(), created, "Healthy");
    expect(healthy.status?.health?.output).toHaveLength(4096);
    await untilNoneOf(healthy, "sleep 123");
    await test().patch(created, { spec: { healthcheck: null } });
    const without = await test().until(created, "not checked", ({ status }) => status?.health === undefined);
    expect(conditionsOf(await test().untilCondition(without, "Ready"))).toEqual(["Ready"]);
  });
});
