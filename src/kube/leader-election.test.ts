import { afterEach, beforeEach, describe, expect, it } from "@jest/globals";
import { type HeldLease, leaseHandler } from "./fake-lease.test-support.ts";
import { FakeServer, silent, until } from "./fake-server.test-support.ts";
import { LeaderElector, NotLeader } from "./leader-election.ts";

const TIMING = { leaseMs: 15_000, renewDeadlineMs: 10_000, retryMs: 2000 };

describe("LeaderElector", () => {
  let server: FakeServer;
  let lease: HeldLease | undefined;
  let uptime: number;
  let due: { at: number; callback: () => void }[];
  let told: string[];
  let answer: "all" | "nothing" = "all";

  beforeEach(async () => {
    [lease, uptime, due, told, answer] = [undefined, 5, [], [], "all"];
    const hold = (next: HeldLease): void => {
      lease = next;
    };
    const answering = leaseHandler(() => lease, hold);
    server = await FakeServer.start((request, response, url, body) => {
      if (answer === "nothing") response.destroy();
      else answering(request, response, url, body);
    });
  });
  afterEach(() => server.close());

  function stand(identity = "me"): LeaderElector {
    const elector = new LeaderElector({
      api: server.api(),
      namespace: "ns",
      name: "l",
      identity,
      timing: TIMING,
      onLeading: () => told.push(`${identity} leads`),
      onLost: (why) => told.push(`${identity} lost: ${why}`),
      logger: silent,
      uptime: () => uptime,
      clock: {
        now: () => Date.parse("2024-05-01T10:00:00Z"),
        after: (ms, callback) => {
          const timer = { at: uptime + ms, callback };
          due.push(timer);
          return () => {
            due = due.filter((other) => other !== timer);
          };
        },
      },
    });
    elector.start();
    return elector;
  }

  /** Goes to the next timer, and waits until what it set going has set the one after it. */
  async function next(): Promise<void> {
    const [timer] = due.toSorted((a, b) => a.at - b.at);
    if (timer === undefined) throw new Error("nothing is to come");
    due = due.filter((other) => other !== timer);
    uptime = Math.max(uptime, timer.at);
    const before = server.requests.length;
    timer.callback();
    await until(() => due.some(({ at }) => at > uptime) || server.requests.length > before || told.length > 1);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }

  it("takes a Lease that is not there, and renews it with one request", async () => {
    const elector = stand();
    await until(() => told.length > 0);
    expect(lease?.spec).toMatchObject({ holderIdentity: "me", leaseDurationSeconds: 15, leaseTransitions: 0 });
    expect(elector.leading).toBe(true);
    server.takeRequests();
    await next();
    expect(server.takeRequests()).toEqual(["PATCH /apis/coordination.k8s.io/v1/namespaces/ns/leases/l"]);
    expect(uptime).toBe(2005);
    expect(elector.leading).toBe(true);
  });

  it("leads no more from the deadline on, whoever looks first, and tells of it once", async () => {
    const elector = stand();
    await until(() => told.length > 0);
    uptime += 10_000;
    expect(elector.leading).toBe(false);
    await expect(elector.lead(() => Promise.resolve())).rejects.toThrow(NotLeader);
    server.takeRequests();
    await next();
    await until(() => told.length > 1);
    expect(told).toEqual(["me leads", expect.stringContaining("me lost: the Lease was not renewed")]);
    expect(server.takeRequests()).toEqual([]);
    expect(due).toEqual([]);
  });

  it("ends what it has under way when the Lease can't be renewed in time", async () => {
    const elector = stand();
    await until(() => told.length > 0);
    const under = elector.lead(({ signal, timeoutMs }) => {
      expect(timeoutMs).toBeLessThan(TIMING.leaseMs - TIMING.renewDeadlineMs);
      return new Promise((_, reject) => {
        signal.addEventListener("abort", () => {
          reject(signal.reason as Error);
        });
      });
    });
    answer = "nothing";
    const rejected = expect(under).rejects.toThrow(NotLeader);
    while (told.length < 2) await next();
    await rejected;
    expect(uptime).toBe(10_005);
  });

  it("waits for another one's whole Lease as it sees it, whatever the times in it say", async () => {
    lease = {
      version: 7,
      spec: {
        holderIdentity: "other",
        leaseDurationSeconds: 15,
        renewTime: "2001-01-01T00:00:00.000000Z",
        leaseTransitions: 3,
      },
    };
    stand();
    await until(() => due.length > 0);
    const from = uptime;
    while (uptime < from + 10_000) await next();
    // It is seen to renew: its Lease begins anew.
    lease = { version: 8, spec: { ...lease.spec, renewTime: "2001-01-01T00:00:02.000000Z" } };
    const renewed = uptime;
    while (told.length === 0) await next();
    expect(uptime).toBeGreaterThanOrEqual(renewed + 15_000);
    expect(lease.spec).toMatchObject({ holderIdentity: "me", leaseTransitions: 4 });
  });

  it("gives the Lease up when it ends, and another one takes it at once", async () => {
    const elector = stand();
    await until(() => told.length > 0);
    await elector.stop();
    expect(lease?.spec).toMatchObject({ holderIdentity: null, leaseDurationSeconds: 1 });
    expect(elector.leading).toBe(false);
    lease = { version: lease?.version ?? 0, spec: { leaseDurationSeconds: 1 } };
    stand("second");
    await until(() => told.length > 1);
    expect(told).toEqual(["me leads", "second leads"]);
  });

  it("stops leading when another one holds the Lease", async () => {
    const elector = stand();
    await until(() => told.length > 0);
    lease = { version: 9, spec: { holderIdentity: "other", leaseDurationSeconds: 15 } };
    await next();
    await until(() => told.length > 1);
    expect(told[1]).toBe("me lost: other leads");
    expect(elector.leading).toBe(false);
  });
});
