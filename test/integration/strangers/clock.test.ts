// The clock is set by hours under an agent at work: what takes its time takes neither more nor less of it.
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { beforeAll, describe, expect, it } from "@jest/globals";
import { Daemon } from "../../../hack/cluster/daemon.ts";
import { AGENT } from "../../../hack/cluster/local-node.ts";
import { containerPath } from "../../../src/kube/index.ts";
import { sh, Switch } from "../../support/health.ts";
import { untilOutput } from "../../support/probe.ts";
import { useNode } from "../../support/test-node.ts";

const test = useNode({ startAgent: false });

const HOUR = 3_600_000;
const clockFile = (): string => join(test().node.dir, "clock");
let agent: Daemon;

beforeAll(async () => {
  const { node } = test();
  // The node's own, but for its clock.
  agent = new Daemon(node.dir, "agent");
  const [program, ...source] = AGENT;
  const flags = Object.entries(node.agentFlags()).map(([name, value]) => `--${name}=${value}`);
  const preload = ["--import", join(import.meta.dirname, "../../support/set-clock.ts")];
  agent.start([program, ...preload, ...source, ...flags], { env: { BERTH_TEST_CLOCK: clockFile() } });
  await node.agentReady();
});

/** Sets the agent's clock so many hours ahead of the machine's, or behind it. */
async function setClock(hours: number): Promise<void> {
  writeFileSync(clockFile(), String(hours * HOUR));
  agent.signal("SIGUSR2");
  while (existsSync(clockFile())) await delay(10);
}

describe.each([
  ["ahead", 10],
  ["back", -10],
])("a clock that is set %s", (direction, hours) => {
  it("leaves a container its grace period, and no more", async () => {
    const host = join(test().node.dir, direction);
    mkdirSync(host);
    const created = await test().create({
      command: ["sh", "-c", "trap 'sleep 2; echo goodbye >/host/words; exit 0' TERM; echo ready; sleep 3600 & wait"],
      terminationGracePeriodSeconds: 30,
      volumes: [{ name: "host", hostPath: { path: host } }],
      volumeMounts: [{ name: "host", mountPath: "/host" }],
    });
    const deaf = await test().create({
      command: ["sh", "-c", "trap '' TERM; echo ready; while :; do sleep 0.1; done"],
      terminationGracePeriodSeconds: 3,
    });
    for (const container of [created, deaf]) await untilOutput(test(), container, "ready");
    await setClock(0);
    for (const { metadata } of [created, deaf]) await test().api.delete(containerPath("default", metadata.name));
    for (const container of [created, deaf]) {
      await test().until(container, "Removing", ({ status }) => status?.state === "Removing");
    }
    await setClock(hours);
    // Both are looked at again.
    for (const container of [created, deaf]) await test().patch(container, { metadata: { labels: { look: "again" } } });
    await test().untilGone(created);
    expect(readFileSync(join(host, "words"), "utf8")).toBe("goodbye\n");
    await test().untilGone(deaf);
  });

  it("does not hold up a restart", async () => {
    await setClock(0);
    const created = await test().create({ command: ["sh", "-c", "exit 3"] });
    await test().until(created, "restarted", ({ status }) => (status?.restartCount ?? 0) >= 2);
    await setClock(hours);
    const at = test().get(created)?.status?.restartCount ?? 0;
    await test().until(created, "restarted", ({ status }) => (status?.restartCount ?? 0) >= at + 3);
    await test().delete(created);
  });

  it("counts neither for nor against a container's health", async () => {
    await setClock(0);
    const dir = new Switch(test(), `health-${direction}`);
    const created = await test().create({
      ...dir.spec,
      healthcheck: { ...sh("exit 1"), interval: "200ms", retries: 1, startPeriod: "1h" },
    });
    await test().untilState(created, "Running");
    await dir.more(1);
    await setClock(hours);
    await dir.more(2);
    expect(test().get(created)?.status).toMatchObject({ state: "Running", health: { status: "Starting" } });
    await test().delete(created);
  });
});
