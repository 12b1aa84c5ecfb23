// Health checks: the image's and the spec's, what they make of the status, and that they end with what they check.
import { mkdirSync, readdirSync, readFileSync, readlinkSync, rmSync, watch, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeAll, describe, expect, it } from "@jest/globals";
import type { Container, ContainerSpec } from "../../../src/api/index.ts";
import { containerPath } from "../../../src/kube/index.ts";
import { pidOf } from "../../support/away.ts";
import { countOf, untilEvent, untilEvents } from "../../support/events.ts";
import { conditionsOf, untilRestarted } from "../../support/restart.ts";
import { type TestNode, useNode } from "../../support/test-node.ts";

const test = useNode();
let before: Awaited<ReturnType<TestNode["audit"]>>;
beforeAll(async () => {
  before = await test().audit();
});

const TIMEOUT_MS = 30_000;

/** A directory of the node that the container and its check see as `/switch`: what is in it steers them. */
class Switch {
  readonly dir: string;

  constructor(name: string) {
    this.dir = join(test().node.dir, name);
    mkdirSync(this.dir, { mode: 0o777 });
    writeFileSync(join(this.dir, "checks"), "");
  }

  set(name: string, text = "on"): void {
    writeFileSync(join(this.dir, name), text);
  }

  clear(name: string): void {
    rmSync(join(this.dir, name), { force: true });
  }

  /** How many checks have been made: each writes a line. */
  get checks(): number {
    return readFileSync(join(this.dir, "checks"), "utf8").split("\n").length - 1;
  }

  /** Waits for so many more checks. */
  async more(count: number): Promise<void> {
    const wanted = this.checks + count;
    const done = Promise.withResolvers<undefined>();
    const look = (): void => {
      if (this.checks >= wanted) done.resolve(undefined);
    };
    const watcher = watch(join(this.dir, "checks"), look);
    const timer = setTimeout(() => {
      done.reject(new Error(`${this.checks} checks of ${wanted} were made\n${test().agentLog()}`));
    }, TIMEOUT_MS);
    try {
      look();
      await done.promise;
    } finally {
      watcher.close();
      clearTimeout(timer);
    }
  }

  /** Mounts it. */
  get spec(): Pick<ContainerSpec, "volumes" | "volumeMounts"> {
    return {
      volumes: [{ name: "switch", hostPath: { path: this.dir } }],
      volumeMounts: [{ name: "switch", mountPath: "/switch" }],
    };
  }
}

const sh = (script: string) => ({ exec: { command: ["sh", "-c", `echo >> /switch/checks; ${script}`] } });
const FAST = { interval: "200ms", retries: 2 } as const;

const untilHealth = (container: Container, status: string): Promise<Container> =>
  test().until(container, status, (now) => now.status?.health?.status === status);
const versionOf = async ({ metadata }: Container): Promise<string> => {
  const now = await test().api.get<Container>(containerPath(metadata.namespace, metadata.name));
  return now.metadata.resourceVersion;
};

/** The command lines of all processes in a container, as the node sees them. */
function processesOf(container: Container): string[] {
  const namespace = (pid: string): string => readlinkSync(`/proc/${pid}/ns/pid`);
  const own = namespace(String(pidOf(container)));
  return readdirSync("/proc").flatMap((pid) => {
    try {
      if (!/^\d+$/.test(pid) || namespace(pid) !== own) return [];
      return [readFileSync(`/proc/${pid}/cmdline`, "utf8").replaceAll("\0", " ").trim()];
    } catch {
      return []; // It has just ended.
    }
  });
}

/** Waits until no process is left that a check has started. Nothing tells a stranger of that: hence the looking. */
async function untilNoneOf(container: Container, command: string): Promise<void> {
  const deadline = Date.now() + TIMEOUT_MS;
  for (;;) {
    const left = processesOf(container).filter((line) => line.includes(command));
    if (left.length === 0) return;
    if (Date.now() > deadline) throw new Error(`still there: ${left.join("; ")}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

afterEach(async () => {
  await test().deleteAll();
  expect(await test().leaks(before)).toEqual([]);
});

describe("the image's check", () => {
  it("makes Ready what is healthy, and tells each change once", async () => {
    const dir = new Switch("image");
    const created = await test().create({ image: test().image("healthcheck"), ...dir.spec });
    const starting = await untilHealth(created, "Starting");
    expect(starting.status).toMatchObject({ state: "Running", reason: "Started" });
    expect(conditionsOf(starting)).toEqual(["Reconciling"]);
    dir.set("healthy", "fine");
    const healthy = await untilHealth(created, "Healthy");
    expect(healthy.status?.health).toEqual({ status: "Healthy", failingStreak: 0, output: "fine" });
    expect(conditionsOf(healthy)).toEqual(["Ready"]);

    dir.clear("healthy");
    const unhealthy = await untilHealth(created, "Unhealthy");
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
    expect(conditionsOf(await untilHealth(created, "Healthy"))).toEqual(["Ready"]);
  });

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
    const dir = new Switch("quiet");
    const script = "cat /proc/sys/kernel/random/uuid; exit 1";
    const created = await test().create({ ...dir.spec, healthcheck: { ...sh(script), ...FAST } });
    await untilHealth(created, "Unhealthy");
    const version = await versionOf(created);
    await dir.more(5);
    expect(await versionOf(created)).toBe(version);
    const events = await untilEvents(test(), created, (all) => countOf(all, "Unhealthy") > 0);
    expect(countOf(events, "Unhealthy")).toBe(1);
  });

  it("runs as the container's process does, and may be missing", async () => {
    const dir = new Switch("as");
    const created = await test().create({
      ...dir.spec,
      user: "app",
      env: [{ name: "GREETING", value: "hello" }],
      workingDir: "/tmp",
      healthcheck: { exec: { command: ["sh", "-c", "echo $(id -u) $GREETING $PWD"] }, ...FAST },
    });
    expect((await untilHealth(created, "Healthy")).status?.health?.output).toBe("1000 hello /tmp\n");
    await test().patch(created, { spec: { healthcheck: { exec: { command: ["no-such-command"] } } } });
    const { status } = await untilHealth(created, "Unhealthy");
    expect(status?.health?.output).toContain("no-such-command");
    expect(status).toMatchObject({ state: "Running", restartCount: 0 });
  });

  it("that takes too long has failed, and is killed with what it has started; long output is cut", async () => {
    const dir = new Switch("slow");
    const created = await test().create({
      ...dir.spec,
      healthcheck: { ...sh("sleep 1234 & sleep 1235; true"), interval: "200ms", timeout: "500ms", retries: 1 },
    });
    const slow = await untilHealth(created, "Unhealthy");
    expect(slow.status?.health?.output).toContain("longer than 0.5 s");
    await test().patch(created, {
      spec: { healthcheck: { ...sh("yes | head -c 10000"), timeout: "20s" } },
    });
    const healthy = await untilHealth(created, "Healthy");
    expect(healthy.status?.health?.output).toHaveLength(4096);
    await untilNoneOf(healthy, "sleep 123");
    await test().patch(created, { spec: { healthcheck: null } });
    const without = await test().until(created, "not checked", ({ status }) => status?.health === undefined);
    expect(conditionsOf(await test().untilCondition(without, "Ready"))).toEqual(["Ready"]);
  });

  it("may fail in the start period, until it has succeeded once", async () => {
    const dir = new Switch("start");
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
    await untilHealth(created, "Healthy");
    dir.clear("healthy");
    await untilHealth(created, "Unhealthy");
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
    const missing = await untilHealth(created, "Unhealthy");
    expect(missing.status?.health?.output).toContain("HTTP 404");
    await test().patch(created, { spec: { healthcheck: { httpGet: { path: "/index.html" } } } });
    const healthy = await untilHealth(created, "Healthy");
    expect(healthy.status?.health?.output).toContain("Hello from Berth");

    await test().patch(created, { spec: { healthcheck: { httpGet: null, tcpSocket: { port: 81 } } } });
    const refused = await untilHealth(created, "Unhealthy");
    expect(refused.status?.health?.output).toContain("ECONNREFUSED");
    await test().patch(created, { spec: { healthcheck: { tcpSocket: { port: "web" } } } });
    const connected = await untilHealth(created, "Healthy");
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
    await untilHealth(created, "Healthy");
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
    const dir = new Switch("restart");
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
    const dir = new Switch("again");
    const created = await test().create({
      ...dir.spec,
      terminationGracePeriodSeconds: 0,
      command: ["sh", "-c", "test -e /again && echo on > /switch/healthy; touch /again; exec sleep 3600"],
      healthcheck: { ...sh("cat /switch/healthy"), ...FAST, onUnhealthy: "Restart" },
    });
    const again = await untilRestarted(test(), created, 1);
    expect(again.status?.exitCode).toBe(137);
    const healthy = await untilHealth(created, "Healthy");
    expect(healthy.status).toMatchObject({ state: "Running", restartCount: 1 });
    expect(conditionsOf(healthy)).toEqual(["Ready"]);
  });
});

describe("checks", () => {
  it("rest while the container is paused", async () => {
    const [dir, other] = [new Switch("paused"), new Switch("other")];
    const healthcheck = { ...sh("true"), ...FAST };
    const created = await test().create({ ...dir.spec, healthcheck });
    const control = await test().create({ ...other.spec, healthcheck });
    await untilHealth(created, "Healthy");
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
    const dir = new Switch("agent");
    const script = "test -e /switch/block && exec sleep 4321; cat /switch/healthy";
    dir.set("healthy");
    const created = await test().create({ ...dir.spec, healthcheck: { ...sh(script), ...FAST } });
    const running = await untilHealth(created, "Healthy");
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
    await untilHealth(created, "Unhealthy");
  });
});
