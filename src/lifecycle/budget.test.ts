// The cgroup root's limits, on directories that stand for cgroup v1's hierarchies.
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "@jest/globals";
import { pino } from "pino";
import type { CgroupLimits } from "../node/index.ts";
import { BudgetLimits } from "./budget.ts";

let dir = "";
let events: string[] = [];
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "berth-budget-"));
  events = [];
});
afterEach(() => {
  rmSync(dir, { recursive: true });
});

/** The limits of an agent that is told so, on a node with these controllers. */
function limitsOf(budget: CgroupLimits, controllers = ["memory", "pids"]): BudgetLimits {
  const hierarchies = controllers.map((name) => ({ mountPoint: join(dir, name), controllers: [name] }));
  return new BudgetLimits({
    budget,
    cgroups: { version: 1, hierarchies },
    cgroupRoot: "/berth",
    stateDir: join(dir, "state"),
    announce: (type, reason, message) => events.push(`${type} ${reason} ${message}`),
    logger: pino({ level: "silent" }),
  });
}

const memory = (): string => readFileSync(join(dir, "memory/berth/memory.limit_in_bytes"), "utf8");
const pids = (): string => readFileSync(join(dir, "pids/berth/pids.max"), "utf8");

describe("a budget's limits", () => {
  it("are there again after the cgroup was removed", async () => {
    const limits = limitsOf({ memoryBytes: 2 ** 23 });
    await limits.keep();
    rmSync(join(dir, "memory"), { recursive: true });
    await limits.keep();
    expect(memory()).toBe(String(2 ** 23));
    expect(events).toEqual([]);
  });

  it("make no cgroup, and touch none, where there is no budget", async () => {
    await limitsOf({}).keep();
    expect(existsSync(join(dir, "memory"))).toBe(false);
    expect(existsSync(join(dir, "state"))).toBe(false);
  });

  it("are lifted when the budget is taken away, those alone that were ours", async () => {
    await limitsOf({ memoryBytes: 2 ** 23 }).keep();
    await limitsOf({ pids: 7 }).keep();
    expect([memory(), pids()]).toEqual(["-1", "7"]);
    await limitsOf({}).keep();
    expect(pids()).toBe("max");
  });

  it("that can't be had are told of once, until they can", async () => {
    const broken = limitsOf({ memoryBytes: 2 ** 23, pids: 7 }, ["memory"]);
    await broken.keep();
    await broken.keep();
    expect(events).toEqual([
      "Warning BudgetNotEnforced The budget for Containers is not enforced: pids.max of /berth can't be 7: the node has no cgroup controller pids. It is tried again with each start and end of one.",
    ]);
    expect(memory()).toBe(String(2 ** 23));
  });
});
