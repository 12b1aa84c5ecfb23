// Two agents on one node: the second does nothing, says who has the node, and takes over as soon as that one is gone.
import { join } from "node:path";
import { afterEach, describe, expect, it } from "@jest/globals";
import { Daemon, processIds, readText } from "../../../hack/cluster/daemon.ts";
import { AGENT } from "../../../hack/cluster/local-node.ts";
import type { Container } from "../../../src/api/index.ts";
import { pidOf, untilSaid, untilMissed } from "../../support/away.ts";
import { useNode } from "../../support/test-node.ts";

const test = useNode();

let second: Daemon;

/** Starts a second agent with the first one's flags, and others. */
function startSecond(flags: Record<string, string> = {}): void {
  const { node } = test();
  second = new Daemon(node.dir, "second-agent");
  const all = Object.entries({ ...node.agentFlags(), ...flags });
  second.start([...AGENT, ...all.map(([name, value]) => `--${name}=${value}`)]);
}

/** What the second agent says of itself under an address of its own. */
const address = (): string => `127.0.0.1:${18_600 + test().node.index}`;

afterEach(async () => {
  await second.stop();
  test().node.startAgent();
  await test().node.agentReady();
});

describe("a second agent", () => {
  const ELSEWHERE = ["data-dir", "state-dir"];

  it.each([
    ["of the same directories", []],
    ["of the same containerd and namespace alone", ELSEWHERE],
  ])("%s refuses to work, says who has the node, and ends when it is told to", async (_, other) => {
    const { node } = test();
    const created = await test().create();
    const running = await test().untilCondition(created, "Ready");
    const before = await test().audit();
    const flags = Object.fromEntries(other.map((flag) => [flag, join(node.dir, `second-${flag}`)]));
    startSecond({ ...flags, "metrics-address": address() });
    const { ready, lines } = await untilMissed({ metricsAddress: address() }, "node");
    expect(ready).toBe(false);
    expect(lines.join("\n")).toContain(`in use by the agent of node ${node.name}, process ${node.agentPid}`);
    expect(second.logTail()).toContain(`process ${node.agentPid}`);

    // It is the first one that works.
    await test().delete(created);
    const next = await test().create();
    await test().untilCondition(next, "Ready");
    expect(second.logTail(100)).not.toContain("connected to containerd");
    expect((await test().audit()).task).toHaveLength(before.task.length);
    expect(() => process.kill(pidOf(running), 0)).toThrow();
    await test().delete(next);

    const family = second.family();
    expect(family.length).toBeGreaterThan(1);
    await second.stop();
    expect(processIds().filter((pid) => family.includes(pid) && readText(`/proc/${pid}/cmdline`) !== "")).toEqual([]);
  });

  it("of the very same flags takes over as soon as the first is killed, and starts nothing twice", async () => {
    const { node } = test();
    const created = await test().create({ network: { mode: "Bridge" } });
    const running = await test().untilCondition(created, "Ready");
    startSecond();
    await untilSaid({ agentLogFile: second.logFile }, "waiting for its end");
    await node.stopAgent("kill");
    await untilSaid({ agentLogFile: second.logFile }, "agent started");
    const next = await test().create();
    await test().untilCondition(next, "Ready");
    expect(test().get(created)?.status).toEqual(running.status);
    expect((await test().audit()).task).toHaveLength(2);
    expect(second.logTail(100)).not.toContain("runs under the node name");
    await Promise.all([test().delete(created), test().delete(next)]);
  });
});

describe("another agent of the node's name, on another machine", () => {
  interface Lease {
    readonly metadata: { readonly name: string };
    readonly spec: { readonly holderIdentity?: string };
  }
  const path = (): string => `/apis/coordination.k8s.io/v1/namespaces/berth-system/leases/berth-${test().node.name}`;
  const setLease = (spec: object): Promise<Lease> => test().api.mergePatch<Lease>(path(), { spec });

  it("keeps this one from work until it is not seen to renew any more", async () => {
    const { node } = test();
    await node.stopAgent();
    const mine = (await test().api.get<Lease>(path())).spec.holderIdentity;
    await setLease({
      holderIdentity: "elsewhere_1_2",
      leaseDurationSeconds: 3600,
      renewTime: "2001-01-01T00:00:00.000000Z",
    });
    node.startAgent();
    const { lines } = await untilMissed(node, "node");
    expect(lines.join("\n")).toContain("elsewhere_1_2");
    const created: Container = await test().create();
    await untilSaid(node, "following the API server");
    expect(lines.join("\n")).toContain(node.name);
    expect((await test().audit()).container).toEqual([]);
    expect(test().get(created)?.status).toEqual({ observedGeneration: -1 });
    expect((await test().api.get<Lease>(path())).spec.holderIdentity).toBe("elsewhere_1_2");

    // The next one sees a holder that promises to renew soon, and does not.
    await node.stopAgent();
    await setLease({ leaseDurationSeconds: 1 });
    node.startAgent();
    await test().untilCondition(created, "Ready");
    const { holderIdentity } = (await test().api.get<Lease>(path())).spec;
    expect(holderIdentity).not.toBe(mine);
    expect(holderIdentity?.split("_").slice(0, -1)).toEqual(mine?.split("_").slice(0, -1));
    await test().delete(created);
  });
});
