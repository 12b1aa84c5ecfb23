import { afterEach, beforeEach, describe, expect, it } from "@jest/globals";
import type { Clock } from "./clock.ts";
import { type HeldLease, leaseHandler } from "./fake-lease.test-support.ts";
import { FakeServer, json, silent, status, until } from "./fake-server.test-support.ts";
import { NodeLease, type NodeLeaseOptions } from "./node-lease.ts";

describe("NodeLease", () => {
  let server: FakeServer;
  let lease: HeldLease | undefined;
  let now: number;
  let uptime: number;
  let due: { ms: number; callback: () => void }[];
  const clock: Clock = {
    now: () => now,
    after: (ms, callback) => {
      due.push({ ms, callback });
      return () => undefined;
    },
  };

  beforeEach(async () => {
    [lease, now, uptime, due] = [undefined, Date.parse("2024-05-01T10:00:00Z"), 5, []];
    const hold = (next: HeldLease): void => {
      lease = next;
    };
    server = await FakeServer.start(leaseHandler(() => lease, hold));
  });
  afterEach(() => server.close());

  async function round(): Promise<number> {
    await until(() => due.length > 0);
    return due[0]?.ms ?? 0;
  }

  async function next(): Promise<number> {
    const timer = due.shift();
    now += timer?.ms ?? 0;
    uptime += timer?.ms ?? 0;
    timer?.callback();
    return round();
  }

  function started(options: Partial<NodeLeaseOptions> = {}): NodeLease {
    const base = { api: server.api(), nodeName: "n", namespace: "ns", holder: "me", logger: silent, clock };
    const nodeLease = new NodeLease({ ...base, uptime: () => uptime, ...options });
    void nodeLease.claim();
    return nodeLease;
  }

  it("creates the lease and renews it with one request a minute", async () => {
    const nodeLease = started();
    expect(await round()).toBe(60_000);
    expect(lease?.spec).toMatchObject({ holderIdentity: "me", renewTime: "2024-05-01T10:00:00.000000Z" });
    expect(nodeLease.held).toBe(true);
    server.takeRequests();
    await next();
    expect(server.takeRequests()).toHaveLength(1);
    expect(lease?.spec).toMatchObject({ renewTime: "2024-05-01T10:01:00.000000Z", leaseTransitions: 0 });
  });

  const heldBy = (holderIdentity: string): void => {
    lease = { version: (lease?.version ?? 4) + 1, spec: { holderIdentity, leaseDurationSeconds: 150 } };
  };

  it("names another live holder, and takes over when it was not seen to renew for the lease's duration", async () => {
    heldBy("other");
    const told: (string | undefined)[] = [];
    const nodeLease = started({ onOther: (holder) => told.push(holder) });
    await round();
    expect(nodeLease.otherHolder).toBe("other");
    await next();
    // It lives, whatever the time is: each renewal counts from when it is seen.
    now += 10 * 3_600_000;
    heldBy("other");
    expect([await next(), await next(), await next()]).toEqual([60_000, 60_000, 30_000]);
    expect(lease?.spec["holderIdentity"]).toBe("other");
    now -= 20 * 3_600_000;
    await next();
    expect(nodeLease.otherHolder).toBeUndefined();
    expect(lease?.spec).toMatchObject({ holderIdentity: "me", leaseTransitions: 1 });
    expect(told).toEqual(["other", undefined]);
  });

  it("does not take an outage of the API server for the other holder's end", async () => {
    heldBy("other");
    const nodeLease = started();
    await round();
    const { port } = server;
    await server.close();
    for (let ms = 0; ms < 200_000; ms += await next());
    server = await FakeServer.start((_request, response) => {
      json(response, 200, { metadata: { name: "l", resourceVersion: "5" }, spec: lease?.spec });
    }, port);
    expect(await next()).toBe(60_000);
    expect(nodeLease.otherHolder).toBe("other");
  });

  it("takes over from its own former process at once", async () => {
    lease = { version: 5, spec: { holderIdentity: "me-before", renewTime: new Date(now).toISOString() } };
    const nodeLease = started({ isPredecessor: (holder) => holder.startsWith("me") });
    await round();
    expect(nodeLease.otherHolder).toBeUndefined();
    expect(lease.spec["holderIdentity"]).toBe("me");
  });

  it.each(["thief", "me-too"])("notices when someone else (%s) has taken it", async (holder) => {
    const nodeLease = started({ isPredecessor: (other) => other.startsWith("me") });
    await round();
    heldBy(holder);
    await next();
    expect(nodeLease.otherHolder).toBe(holder);
    expect(nodeLease.held).toBe(false);
    expect(lease?.spec["holderIdentity"]).toBe(holder);
  });

  it("fails to claim it when the API server does not answer, not when it has none to give", async () => {
    const nodeLease = new NodeLease({
      api: server.api(),
      nodeName: "n",
      namespace: "ns",
      holder: "me",
      logger: silent,
      clock,
    });
    const { port } = server;
    await server.close();
    await expect(nodeLease.claim()).rejects.toThrow("ECONNREFUSED");
    server = await FakeServer.start((_request, response) => {
      json(response, 403, status(403, "Forbidden"));
    }, port);
    await nodeLease.claim();
    expect(nodeLease.otherHolder).toBeUndefined();
    expect(await round()).toBe(10_000);
  });

  it("tries sooner while the API server is away, and goes on when it is back", async () => {
    const nodeLease = started();
    await round();
    const { port } = server;
    await server.close();
    expect(await next()).toBe(10_000);
    expect(nodeLease.otherHolder).toBeUndefined();
    server = await FakeServer.start((_request, response) => {
      json(response, 200, { metadata: { name: "l", resourceVersion: "3" }, spec: { holderIdentity: "me" } });
    }, port);
    expect(await next()).toBe(60_000);
    expect(nodeLease.held).toBe(true);
  });
});
