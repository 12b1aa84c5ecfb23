// Health checks: the image's and the spec's, what they make of the status, and that they end with what they check.
import { afterEach, beforeAll, describe, expect, it } from "@jest/globals";
import type { Container } from "../../../src/api/index.ts";
import { containerPath } from "../../../src/kube/index.ts";
import { countOf, untilEvents } from "../../support/events.ts";
import { FAST, sh, Switch, untilHealth, untilNoneOf } from "../../support/health.ts";
import { conditionsOf, untilRestarted } from "../../support/restart.ts";
import { type TestNode, useNode } from "../../support/test-node.ts";

const test = useNode();
let before: Awaited<ReturnType<TestNode["audit"]>>;
beforeAll(async () => {
  before = await test().audit();
});

const versionOf = async ({ metadata }: Container): Promise<string> => {
  const now = await test().api.get<Container>(containerPath(metadata.namespace, metadata.name));
  return now.metadata.resourceVersion;
};

afterEach(async () => {
  await test().deleteAll();
  expect(await test().leaks(before)).toEqual([]);
});

describe("the image's check", () => {
  it("is turned off by NONE", async () => {
    const created = await test().create({
      image: test().image("healthcheck"),
      healthcheck: { exec: { command: ["NONE"] } },
    });
    const { status } = await test().untilCondition(created, "Ready");
    expect(status).not.toHaveProperty("health");
  });
});

describe("a command", () => {
  it("that goes on failing, each time in other words, is told of once", async () => {
    const dir = new Switch(test(), "quiet");
    const script = "cat /proc/sys/kernel/random/uuid; exit 1";
    const created = await test().create({ ...dir.spec, healthcheck: { ...sh(script), ...FAST } });
    await untilHealth(test(), created, "Unhealthy");
    const version = await versionOf(created);
    await dir.more(5);
    expect(await versionOf(created)).toBe(version);
    const events = await untilEvents(test(), created, (all) => countOf(all, "Unhealthy") > 0);
    expect(countOf(events, "Unhealthy")).toBe(1);
  });

  it("runs as the container's process does, and may be missing", async () => {
    const dir = new Switch(test(), "as");
    const created = await test().create({
      ...dir.spec,
      user: "app",
      env: [{ name: "GREETING", value: "hello" }],
      workingDir: "/tmp",
      healthcheck: { exec: { command: ["sh", "-c", "echo $(id -u) $GREETING $PWD"] }, ...FAST },
    });
    expect((await untilHealth(test(), created, "Healthy")).status?.health?.output).toBe("1000 hello /tmp\n");
    await test().patch(created, { spec: { healthcheck: { exec: { command: ["no-such-command"] } } } });
    const { status } = await untilHealth(test(), created, "Unhealthy");
    expect(status?.health?.output).toContain("no-such-command");
    expect(status).toMatchObject({ state: "Running", restartCount: 0 });
  });

  it("may fail in the start period, until it has succeeded once", async () => {
    const dir = new Switch(test(), "start");
    const created = await test().create({
      ...dir.spec,
      healthcheck: {
        ...sh("cat /switch/healthy"),
        interval: "200ms",
        retries: 1,
        startPeriod: "1h",
        startInterval: "100ms",
      },
    });
    await dir.more(4);
    const { status } = await test().until(created, "told", (now) => now.status?.health?.output !== undefined);
    expect(status?.health).toMatchObject({ status: "Starting", failingStreak: 0 });
    dir.set("healthy");
    await untilHealth(test(), created, "Healthy");
    dir.clear("healthy");
    await untilHealth(test(), created, "Unhealthy");
  });
});

describe("a request, a connection", () => {
  it("goes to the container's address; what is wrong is told, and can be mended in place", async () => {
    const created = await test().create({
      command: ["httpd", "-f", "-p", "8080", "-h", "/www"],
      terminationGracePeriodSeconds: 0,
      network: { mode: "Bridge" },
      ports: [{ name: "web", containerPort: 8080 }],
      healthcheck: { httpGet: { port: "web", path: "/no-such-page" }, ...FAST },
    });
    const missing = await untilHealth(test(), created, "Unhealthy");
    expect(missing.status?.health?.output).toContain("HTTP 404");
    await test().patch(created, { spec: { healthcheck: { httpGet: { path: "/index.html" } } } });
    const healthy = await untilHealth(test(), created, "Healthy");
    expect(healthy.status?.health?.output).toContain("Hello from Berth");

    await test().patch(created, { spec: { healthcheck: { httpGet: null, tcpSocket: { port: 81 } } } });
    const refused = await untilHealth(test(), created, "Unhealthy");
    expect(refused.status?.health?.output).toContain("ECONNREFUSED");
    await test().patch(created, { spec: { healthcheck: { tcpSocket: { port: "web" } } } });
    const connected = await untilHealth(test(), created, "Healthy");
    expect(connected.status).toMatchObject({ restartCount: 0, containerID: missing.status?.containerID });

    // A change that can't be made leaves the check that there is.
    await test().patch(created, { spec: { healthcheck: { tcpSocket: { port: "nobody" } } } });
    const odd = await test().until(created, "InvalidSpec", ({ status }) => status?.reason === "InvalidSpec");
    expect(odd.status).toMatchObject({
      state: "Running",
      message: expect.stringContaining("spec.healthcheck.tcpSocket.port"),
    });
    expect(odd.status?.health?.status).toBe("Healthy");
  });

  it("goes to the node itself with its network, and is refused without one", async () => {
    const port = 21_000 + test().node.index;
    const server = { command: ["httpd", "-f", "-p", String(port), "-h", "/www"], terminationGracePeriodSeconds: 0 };
    const healthcheck = { httpGet: { port, path: "/index.html" }, ...FAST };
    const created = await test().create({ ...server, network: { mode: "Host" }, healthcheck });
    await untilHealth(test(), created, "Healthy");
    const alone = await test().create({ ...server, network: { mode: "None" }, healthcheck });
    const { status } = await test().untilCondition(alone, "Failed");
    expect(status).toMatchObject({
      state: "Exited",
      exitCode: 128,
      reason: "InvalidSpec",
      message: expect.stringContaining("spec.healthcheck.httpGet: the container has no address"),
    });
  });
});

describe("onUnhealthy: Restart", () => {
  it("stops and starts again as after a failed end, as often as the policy says", async () => {
    const dir = new Switch(test(), "restart");
    const created = await test().create({
      ...dir.spec,
      restartPolicy: "OnFailure",
      maxRestarts: 1,
      healthcheck: { ...sh("echo sick; exit 1"), ...FAST, onUnhealthy: "Restart" },
    });
    await untilRestarted(test(), created, 1);
    const { status } = await test().untilCondition(created, "Failed");
    expect(status).toMatchObject({ state: "Exited", reason: "Unhealthy", exitCode: 0, restartCount: 1 });
    expect(status?.health).toEqual({ status: "Unhealthy", failingStreak: 2, output: "sick\n" });
    const events = await untilEvents(test(), created, (all) => countOf(all, "Exited") === 2);
    expect([countOf(events, "Unhealthy"), countOf(events, "BackOff"), countOf(events, "Killing")]).toEqual([2, 1, 2]);
    expect(events.find(({ reason }) => reason === "Killing")?.message).toContain("unhealthy");
  });

  it("begins anew with the next run", async () => {
    const dir = new Switch(test(), "again");
    const created = await test().create({
      ...dir.spec,
      terminationGracePeriodSeconds: 0,
      command: ["sh", "-c", "test -e /again && echo on > /switch/healthy; touch /again; exec sleep 3600"],
      healthcheck: { ...sh("cat /switch/healthy"), ...FAST, onUnhealthy: "Restart" },
    });
    const again = await untilRestarted(test(), created, 1);
    expect(again.status?.exitCode).toBe(137);
    const healthy = await untilHealth(test(), created, "Healthy");
    expect(healthy.status).toMatchObject({ state: "Running", restartCount: 1 });
    expect(conditionsOf(healthy)).toEqual(["Ready"]);
  });
});

describe("checks", () => {
  it("rest while the container is paused", async () => {
    const [dir, other] = [new Switch(test(), "paused"), new Switch(test(), "other")];
    const healthcheck = { ...sh("true"), ...FAST };
    const created = await test().create({ ...dir.spec, healthcheck });
    const control = await test().create({ ...other.spec, healthcheck });
    await untilHealth(test(), created, "Healthy");
    const paused = await test().patch(created, { spec: { desiredState: "Paused" } });
    await test().untilCondition(paused, "Ready");
    const { checks } = dir;
    await other.more(5);
    expect(dir.checks).toBe(checks);
    expect(test().get(created)?.status).toMatchObject({ state: "Paused", health: { status: "Healthy" } });
    await test().patch(created, { spec: { desiredState: "Running" } });
    await dir.more(2);
    expect(test().get(control)?.status?.health?.status).toBe("Healthy");
  });

  it("go on under the next agent: what was healthy is, and what the last one had begun is ended", async () => {
    const dir = new Switch(test(), "agent");
    const script = "test -e /switch/block && exec sleep 4321; cat /switch/healthy";
    dir.set("healthy");
    const created = await test().create({ ...dir.spec, healthcheck: { ...sh(script), ...FAST } });
    const running = await untilHealth(test(), created, "Healthy");
    dir.set("block");
    await dir.more(1);
    await test().node.stopAgent("kill");
    const version = await versionOf(created);
    dir.clear("block");
    test().node.startAgent();
    await test().node.agentReady();
    await dir.more(2);
    expect(await versionOf(created)).toBe(version);
    await untilNoneOf(running, "sleep 4321");
    dir.clear("healthy");
    await untilHealth(test(), created, "Unhealthy");
  });
});
