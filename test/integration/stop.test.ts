// desiredState: Stopped, and Running again.
import { describe, expect, it } from "@jest/globals";
import { diff } from "../../hack/cluster/audit.ts";
import { buildImages } from "../../hack/cluster/images.ts";
import { findTools } from "../../hack/cluster/tools.ts";
import type { Container, ContainerSpec } from "../../src/api/index.ts";
import { countOf, untilEvents } from "../support/events.ts";
import { untilOutput } from "../support/probe.ts";
import { askRestart, conditionsOf } from "../support/restart.ts";
import { useNode } from "../support/test-node.ts";

const test = useNode();

/** Says which signals it gets, and ends by all but SIGHUP with a code of their own. */
const TRAPS = `trap 'echo got TERM; exit 5' TERM; trap 'echo got USR1; exit 6' USR1; trap 'echo got INT; exit 7' INT
echo ready; sleep 3600 & wait`;

async function running(spec: Partial<ContainerSpec> = {}): Promise<Container> {
  const created = await test().create({ command: ["sh", "-c", TRAPS], ...spec });
  await untilOutput(test(), created, "ready");
  return test().untilCondition(created, "Ready");
}

async function wish(container: Container, desiredState: "Running" | "Stopped"): Promise<Container> {
  return test().untilCondition(await test().patch(container, { spec: { desiredState } }), "Ready");
}

describe("Stopped", () => {
  it("sends SIGTERM, is Ready when the container has ended, and starts nothing again", async () => {
    const stopped = await wish(await running(), "Stopped");
    expect(stopped.status).toMatchObject({ state: "Exited", exitCode: 5, reason: "Error", restartCount: 0 });
    expect(conditionsOf(stopped)).toEqual(["Ready"]);
    expect(test().output(stopped)).toContain("got TERM");
    await test().delete(stopped);
  });

  it.each<[string, () => Partial<ContainerSpec>, number]>([
    ["the image's stop signal", () => ({ image: test().image("config") }), 6],
    ["the spec's before the image's", () => ({ image: test().image("config"), stopSignal: "SIGINT" }), 7],
    ["a signal by its number", () => ({ stopSignal: "10" }), 6],
  ])("sends %s", async (_, spec, exitCode) => {
    const stopped = await wish(await running(spec()), "Stopped");
    expect(stopped.status?.exitCode).toBe(exitCode);
    await test().delete(stopped);
  });

  it("sends SIGKILL to what outlives its grace period", async () => {
    const script = "trap 'echo asked' TERM; echo ready; while :; do sleep 0.1; done";
    const stubborn = await running({ command: ["sh", "-c", script], terminationGracePeriodSeconds: 1 });
    const stopped = await wish(stubborn, "Stopped");
    expect(stopped.status).toMatchObject({ state: "Exited", exitCode: 137, reason: "Error", oomKilled: false });
    expect(test().output(stopped)).toContain("asked");
    await test().delete(stopped);
  });

  it("sends nothing but SIGKILL where the grace period is 0", async () => {
    const stopped = await wish(await running({ terminationGracePeriodSeconds: 0 }), "Stopped");
    expect(stopped.status?.exitCode).toBe(137);
    expect(test().output(stopped)).toBe("ready\n");
    await test().delete(stopped);
  });

  it("gives back the address and the namespace, but keeps the container", async () => {
    const before = await test().audit();
    const stopped = await wish(await running({ network: { mode: "Bridge" } }), "Stopped");
    expect(stopped.status).not.toHaveProperty("network");
    // The shim ends by itself, a moment after its task.
    const kept = diff(before, await test().audit(), /^(image|shim) /).map((line) => line.split(" ", 1).join());
    expect(new Set(kept)).toEqual(new Set(["container", "snapshot", "sandbox", "file"]));
    await test().delete(stopped);
  });

  it("of a container that was never started starts nothing", async () => {
    const before = await test().audit();
    const created = await test().create({ desiredState: "Stopped" });
    const stopped = await test().untilCondition(created, "Ready");
    expect(stopped.status).not.toHaveProperty("containerID");
    expect(await test().leaks(before)).toEqual([]);
    const started = await wish(stopped, "Running");
    expect(started.status).toMatchObject({ state: "Running", restartCount: 0 });
    await test().delete(stopped);
  });

  it("cancels a restart that waits", async () => {
    const created = await test().create({ command: ["sh", "-c", "echo run; exit 3"] });
    await test().until(created, "waiting", ({ status }) => status?.state === "Restarting" && status.restartCount === 3);
    const stopped = await wish(created, "Stopped");
    expect(stopped.status).toMatchObject({ state: "Exited", exitCode: 3 });
    expect(stopped.status).not.toHaveProperty("nextRetryAt");
    const runs = test().output(stopped);

    // The next failure waits as the first one did: its run was asked for.
    const again = await test().patch(stopped, { spec: { desiredState: "Running", restartPolicy: "Never" } });
    const failed = await test().untilCondition(again, "Failed");
    expect(test().output(failed)).toBe(`${runs}run\n`);
    await test().delete(stopped);
  });
});

describe("Running again", () => {
  it("keeps container and files, counts no restart, and asks no registry where the policy doesn't say so", async () => {
    const script = "cat /kept 2>/dev/null; echo kept > /kept; echo ready; exec sleep 3600";
    const first = await running({ command: ["sh", "-c", script], terminationGracePeriodSeconds: 0 });
    const stopped = await wish(first, "Stopped");
    const again = await wish(stopped, "Running");
    expect(again.status).toMatchObject({
      state: "Running",
      containerID: first.status?.containerID,
      restartCount: 0,
      exitCode: 137,
    });
    await untilOutput(test(), again, "ready\nkept\nready\n");
    const events = await untilEvents(test(), first, (all) => countOf(all, "Started") === 2);
    expect(countOf(events, "Pulling")).toBeLessThanOrEqual(1);
    await test().delete(again);
  });

  it("asks the registry where imagePullPolicy is Always; an image that is the same changes nothing", async () => {
    const first = await running({ imagePullPolicy: "Always" });
    const again = await wish(await wish(first, "Stopped"), "Running");
    expect(again.status?.containerID).toBe(first.status?.containerID);
    await untilEvents(test(), first, (all) => countOf(all, "Pulled") === 2);
    await test().delete(again);
  });

  it("recreates the container where imagePullPolicy is Always and the tag stands for another image now", async () => {
    const { registry } = test().cluster;
    const tags = [`moving-${test().node.index}`];
    const images = await buildImages(findTools());
    const point = async (to: string): Promise<void> => {
      const image = images.find((each) => each.tags.includes(to));
      if (image !== undefined) await registry.push({ ...image, repository: "berth/test", tags });
    };
    await point("1.36");
    const first = await running({ image: test().image(tags[0]), imagePullPolicy: "Always" });
    const stopped = await wish(first, "Stopped");
    await point("files");
    const again = await wish(stopped, "Running");
    expect(again.status).toMatchObject({ state: "Running", restartCount: 0 });
    expect(again.status?.imageDigest).not.toBe(first.status?.imageDigest);
    expect(again.status?.containerID).toBe(`containerd://${first.metadata.uid}-3`);
    expect(again.status).not.toHaveProperty("exitCode");
    await test().delete(again);
  });

  it("is not what restartedAt asks for: what is Stopped stays so", async () => {
    const stopped = await wish(await running(), "Stopped");
    await askRestart(test(), stopped, "now");
    const other = await test().create({ command: ["true"], restartPolicy: "Never" });
    await test().untilCondition(other, "Complete");
    expect(test().get(stopped)?.status).toMatchObject({ state: "Exited", restartCount: 0 });
    const again = await wish(stopped, "Running");
    expect(again.status).toMatchObject({ restartCount: 0, restartedAt: "now" });
    await Promise.all([test().delete(stopped), test().delete(other)]);
  });
});
