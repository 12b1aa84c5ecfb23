// An agent that may open no more files: it stays up, says so, and goes on when it may.
import { readdirSync } from "node:fs";
import { describe, expect, it } from "@jest/globals";
import { run } from "../../../src/node/index.ts";
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
