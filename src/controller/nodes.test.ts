import { beforeEach, describe, expect, it } from "@jest/globals";
import { Nodes, type SeenLease } from "./nodes.ts";

let now: number;
let due: Set<{ at: number; callback: () => void }>;
let changes: string[];
let nodes: Nodes;

const lease = (renewTime: string, hadNode = false): SeenLease => ({ durationMs: 150_000, renewTime, hadNode });

/** Lets time pass, with the timers that are due on the way. */
function pass(ms: number): void {
  const until = now + ms;
  for (;;) {
    const [next] = [...due].filter(({ at }) => at <= until).sort((a, b) => a.at - b.at);
    if (next === undefined) break;
    due.delete(next);
    now = Math.max(now, next.at);
    next.callback();
  }
  now = until;
}

beforeEach(() => {
  [now, due, changes] = [1000, new Set(), []];
  nodes = new Nodes({
    patience: { noAgentMs: 30_000, graceMs: 90_000 },
    onChange: (name) => changes.push(`${name} ${nodes.standing(name).kind}`),
    uptime: () => now,
    after: (ms, callback) => {
      const timer = { at: now + ms, callback };
      due.add(timer);
      return () => due.delete(timer);
    },
  });
});

describe("Nodes", () => {
  it("tells when an agent falls silent and when it is back, and nothing between", () => {
    nodes.setLease("a", lease("1"));
    nodes.leasesSynced();
    for (const time of ["2", "3", "4"]) {
      pass(60_000);
      nodes.setLease("a", lease(time));
    }
    expect(changes).toEqual(["a alive"]);
    pass(149_999);
    expect(changes).toEqual(["a alive"]);
    pass(1);
    nodes.setLease("a", lease("5"));
    expect(changes).toEqual(["a alive", "a silent", "a alive"]);
  });

  it("takes what the controller itself has noted in a Lease for no sign of life", () => {
    nodes.setLease("a", lease("1"));
    nodes.leasesSynced();
    pass(100_000);
    nodes.setLease("a", lease("1", true));
    pass(50_000);
    expect(nodes.standing("a").kind).toBe("silent");
  });

  it("knows of nobody that he is missing before all Leases are known, and begins to wait then", () => {
    nodes.need("a");
    pass(500_000);
    expect(changes).toEqual([]);
    nodes.leasesSynced();
    pass(29_999);
    expect(nodes.standing("a").kind).toBe("undecided");
    pass(1);
    expect(nodes.standing("a")).toEqual({ kind: "none", hasNode: false, givenUp: false });
    nodes.setLease("a", lease("1"));
    expect(changes).toEqual(["a none", "a alive"]);
  });

  it("lets no time pass while nothing can be seen", () => {
    nodes.setLease("a", lease("1"));
    nodes.leasesSynced();
    pass(100_000);
    nodes.connected(false);
    pass(3_600_000);
    expect(nodes.standing("a").kind).toBe("alive");
    nodes.connected(true);
    pass(49_999);
    expect(nodes.standing("a").kind).toBe("alive");
    pass(1);
    expect(nodes.standing("a").kind).toBe("silent");
  });

  it("tells a Node that was deleted from one that never was, also when it came before its Lease", () => {
    nodes.setNode("a", { uid: "u" });
    nodes.nodesSynced();
    nodes.setLease("a", lease("1", true));
    nodes.setLease("b", lease("1", false));
    nodes.leasesSynced();
    pass(150_000);
    expect(nodes.standing("a")).toEqual({ kind: "silent", renewTime: "1", hasNode: true });
    nodes.setNode("a", undefined);
    pass(89_999);
    expect(nodes.standing("a").kind).toBe("silent");
    pass(1);
    expect(nodes.standing("a").kind).toBe("gone");
    pass(10_000_000);
    expect(nodes.standing("b").kind).toBe("silent");
  });

  it("takes a contradiction for a renewal, which says nothing once the Lease is gone", () => {
    nodes.setLease("a", lease("1"));
    nodes.leasesSynced();
    pass(150_000);
    nodes.contradicted("a");
    pass(149_999);
    expect(nodes.standing("a").kind).toBe("alive");
    pass(1);
    expect(nodes.standing("a").kind).toBe("silent");
    nodes.contradicted("a");
    nodes.setLease("a", undefined);
    pass(30_000);
    expect(nodes.standing("a").kind).toBe("none");
  });

  it("trusts an agent without a Lease again that contradicts", () => {
    nodes.need("a");
    nodes.leasesSynced();
    pass(30_000);
    nodes.contradicted("a");
    pass(3_599_999);
    expect(changes).toEqual(["a none", "a alive"]);
    nodes.close();
    pass(10_000_000);
    expect(changes).toHaveLength(2);
  });
});
