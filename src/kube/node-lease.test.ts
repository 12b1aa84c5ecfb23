import { afterEach, beforeEach, describe, expect, it } from "@jest/globals";
import type { Clock } from "./clock.ts";
import { FakeServer, json, silent, status, until } from "./fake-server.test-support.ts";
import { NodeLease, type NodeLeaseOptions } from "./node-lease.ts";

type Spec = Record<string, unknown>;

describe("NodeLease", () => {
  let server: FakeServer;
  let lease: { version: number; spec: Spec } | undefined;
  let now: number;
  let due: { ms: number; callback: () => void }[];
  const clock: Clock = {
    now: () => now,
    after: (ms, callback) => {
      due.push({ ms, callback });
      return () => undefined;
    },
  };

  beforeEach(async () => {
    [lease, now, due] = [undefined, Date.parse("2024-05-01T10:00:00Z"), []];
    server = await FakeServer.start((request, response, _url, body) => {
      const sent = (body === "" ? {} : JSON.parse(body)) as { metadata?: { resourceVersion?: string }; spec?: Spec };
      if (request.method === "POST") lease = { version: 1, spec: sent.spec ?? {} };
      if (lease === undefined) {
        json(response, 404, status(404, "NotFound"));
        return;
      }
      if (request.method === "PATCH") {
        if (sent.metadata?.resourceVersion !== String(lease.version)) {
          json(response, 409, status(409, "Conflict"));
          return;
        }
        lease = { version: lease.version + 1, spec: { ...lease.spec, ...sent.spec } };
      }
      json(response, 200, { metadata: { name: "l", resourceVersion: String(lease.version) }, spec: lease.spec });
    });
  });
  afterEach(() => server.close());

  async function round(): Promise<number> {
    await until(() => due.length > 0);
    return due[0]?.ms ?? 0;
  }

  async function next(): Promise<number> {
    const timer = due.shift();
    now += timer?.ms ?? 0;
    timer?.callback();
    return round();
  }

  function started(options: Partial<NodeLeaseOptions> = {}): NodeLease {
    const base = { api: server.api(), nodeName: "n", namespace: "ns", holder: "me", logger: silent, clock };
    const nodeLease = new NodeLease({ ...base, ...options });
    nodeLease.start();
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

  it("names another live holder, and takes over when it has run out", async () => {
    lease = {
      version: 5,
      spec: { holderIdentity: "other", leaseDurationSeconds: 150, renewTime: new Date(now).toISOString() },
    };
    const nodeLease = started();
    await round();
    expect(nodeLease.otherHolder).toBe("other");
    expect(lease.spec["holderIdentity"]).toBe("other");
    await next();
    await next();
    await next();
    expect(nodeLease.otherHolder).toBeUndefined();
    expect(lease.spec).toMatchObject({ holderIdentity: "me", leaseTransitions: 1 });
  });

  it("takes over from its own former process at once", async () => {
    lease = { version: 5, spec: { holderIdentity: "me-before", renewTime: new Date(now).toISOString() } };
    const nodeLease = started({ isPredecessor: (holder) => holder.startsWith("me") });
    await round();
    expect(nodeLease.otherHolder).toBeUndefined();
    expect(lease.spec["holderIdentity"]).toBe("me");
  });

  it("notices when someone else has taken it", async () => {
    const nodeLease = started();
    await round();
    lease = { version: 9, spec: { holderIdentity: "thief", renewTime: new Date(now + 60_000).toISOString() } };
    await next();
    expect(nodeLease.otherHolder).toBe("thief");
    expect(nodeLease.held).toBe(false);
    expect(lease.spec["holderIdentity"]).toBe("thief");
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
