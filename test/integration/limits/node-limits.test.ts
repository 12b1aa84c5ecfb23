// Limits of the node under the agent: it stays up, says what is in the way, leaves what runs alone, and goes on by itself.
import { mkdirSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import { mount, run, unmount } from "../../../src/node/index.ts";
import { pidOf, readiness } from "../../support/away.ts";
import { useNode } from "../../support/test-node.ts";

const test = useNode();

/** Sets how many files the agent may have open. */
async function limit(files: number): Promise<void> {
  await run("prlimit", ["--pid", String(test().node.agentPid), `--nofile=${files}:`]);
}

const openFiles = (): number => readdirSync(`/proc/${test().node.agentPid ?? 0}/fd`).length;

describe("too many open files", () => {
  it("fail a start with advice, end neither the agent nor what runs, and are over when there may be more", async () => {
    const running = await test().untilCondition(
      await test().create({ network: { mode: "Bridge" }, restartPolicy: "Always" }),
      "Ready",
    );
    const agent = test().node.agentPid;
    await limit(openFiles());
    const created = await test().create({ network: { mode: "Bridge" } });
    const failed = await test().until(created, "judged", ({ status }) => (status?.startAttempts ?? 0) > 0);
    expect(failed.status).toMatchObject({ state: "Pending", exitCode: 128 });
    expect(failed.status?.message).toContain("raise the agent's limit of open files");
    expect(test().get(running)?.status).toMatchObject({ state: "Running", pid: pidOf(running) });
    await limit(1024);
    await test().untilCondition(created, "Ready");
    expect(test().node.agentPid).toBe(agent);
    expect((await readiness(test().node)).ready).toBe(true);
    await test().delete(created);
  });
});

describe("a full disk of the state", () => {
  const filling = (): string => join(test().node.stateDir, "filling");
  beforeAll(async () => {
    const { node } = test();
    await node.stopAgent();
    mkdirSync(node.stateDir, { recursive: true });
    await mount({ type: "tmpfs", source: "tmpfs", target: node.stateDir, options: ["nr_inodes=64"] });
    // Networks made ahead would come and go with the room that there is.
    node.startAgent({ "spare-networks": "0" });
    await node.agentReady();
  }, 30_000);
  afterAll(async () => {
    await test().deleteAll();
    await test().node.stopAgent();
    await unmount(test().node.stateDir);
    test().node.startAgent();
    await test().node.agentReady();
  }, 30_000);

  /** Makes files until there can be no more. */
  function fill(): void {
    mkdirSync(filling());
    try {
      for (let i = 0; i < 64; i++) writeFileSync(join(filling(), String(i)), "");
    } catch {
      // It has got what there was.
    }
  }

  it("fails a start, which leaves nothing, and no healthcheck that can't be made for it", async () => {
    const healthcheck = { exec: { command: ["true"] }, interval: "200ms", retries: 2, onUnhealthy: "Restart" as const };
    const created = await test().create({ healthcheck, network: { mode: "Bridge" } });
    const running = await test().untilCondition(created, "Ready");
    fill();
    const before = await test().audit();
    const late = await test().create({ network: { mode: "Bridge" } });
    // Two attempts are a second apart at least: several checks would have failed.
    const failed = await test().until(late, "judged twice", ({ status }) => (status?.startAttempts ?? 0) > 1);
    expect(failed.status).toMatchObject({ state: "Pending", reason: "NetworkSetupFailed", exitCode: 128 });
    expect(failed.status?.message).toContain(`the disk of ${test().node.stateDir} has `);
    expect(failed.status?.message).toContain("no file can be made. Make room there");
    expect(test().get(running)?.status).toMatchObject({ pid: pidOf(running), health: { status: "Healthy" } });
    expect(await test().leaks(before)).toEqual([]);
    rmSync(filling(), { recursive: true });
    await test().untilCondition(late, "Ready");
    expect(test().get(running)?.status).toMatchObject({ pid: pidOf(running), restartCount: 0 });
    await test().deleteAll();
  });
});
