// Two controllers: only one acts, also when it was frozen; what it writes never undoes what an agent has written.
import { join } from "node:path";
import { afterEach, beforeAll, describe, expect, it } from "@jest/globals";
import type { Container } from "../../../src/api/index.ts";
import { containerPath } from "../../../src/kube/index.ts";
import { RequestLog } from "../../support/request-log.ts";
import { controllerKubeconfig, TestController } from "../../support/test-controller.ts";
import { useNode } from "../../support/test-node.ts";

// No agent: what it would write, the test does.
const test = useNode({ ownControlPlane: true, startAgent: false });

const ELECTION = { "lease-duration": "6s", "renew-deadline": "4s", "retry-period": "1s" };
const QUIET_MS = 8000;

interface Door {
  readonly controller: TestController;
  readonly log: RequestLog;
}

const doors: Door[] = [];

/** Starts a controller whose requests are written down. */
async function start(name: string): Promise<Door> {
  const to = join(test().node.dir, `${name}.kubeconfig`);
  const log = await RequestLog.open({ from: await controllerKubeconfig(test()), to });
  const controller = await TestController.start(test(), { name, kubeconfig: to, flags: ELECTION });
  const door = { controller, log };
  doors.push(door);
  return door;
}

/** What it has written, its Lease and Events apart. */
const writes = ({ log }: Door): string[] => log.calls("/containers/").filter((call) => !call.startsWith("GET"));
const untilReason = (container: Container, reason: string): Promise<Container> =>
  test().until(container, reason, ({ status }) => status?.reason === reason);

let first: Door;

beforeAll(async () => {
  first = await start("controller-a");
  test().atEnd.push(async () => {
    for (const { controller, log } of doors) {
      controller.daemon.signal("SIGCONT");
      await controller.stop();
      await log.close();
    }
  });
});
afterEach(async () => {
  for (const container of [...created.splice(0)]) await test().delete(container);
});
const created: Container[] = [];
async function create(): Promise<Container> {
  const container = await test().create();
  created.push(container);
  return container;
}

describe("a controller", () => {
  it("writes a status once, and then nothing but its Lease", async () => {
    const all = await Promise.all(Array.from({ length: 20 }, create));
    for (const container of all) await untilReason(container, "NoAgent");
    expect(writes(first)).toHaveLength(20);
    const from = first.log.requests.length;
    await new Promise((resolve) => setTimeout(resolve, QUIET_MS));
    const calls = first.log.requests.slice(from).map(({ method, path }) => `${method} ${path}`);
    expect(calls.length).toBeGreaterThan(3);
    expect(calls.filter((call) => !/^PATCH .*\/leases\/controller\.berth\.dev$/.test(call))).toEqual([]);
  });

  it("does not write over what an agent has written while its own words were on their way", async () => {
    const gate = Promise.withResolvers<undefined>();
    const held = Promise.withResolvers<undefined>();
    first.log.hold = async ({ method, path }) => {
      if (method !== "PATCH" || !path.endsWith("/status")) return;
      held.resolve(undefined);
      await gate.promise;
    };
    const container = await create();
    await held.promise;
    first.log.hold = undefined;
    const { namespace, name } = container.metadata;
    const status = { state: "Running", reason: "Started", nodeName: test().node.name, observedGeneration: 1 };
    const seen: (string | undefined)[] = [];
    const agents = await test().api.mergePatch<Container>(containerPath(namespace, name, "status"), { status });
    gate.resolve(undefined);
    // The agent's is judged anew, and is then the one that is marked: it has been read.
    const marked = await test().until(container, "marked", (now) => {
      if (seen.at(-1) !== now.status?.state) seen.push(now.status?.state);
      return now.status?.reason === "NoAgent";
    });
    expect(agents.status?.state).toBe("Running");
    expect(seen).toEqual(["Running", "Unknown"]);
    expect(marked.status).toMatchObject({ observedGeneration: 1, nodeName: test().node.name });
    expect(writes(first).filter((call) => call.includes(`/${name}/`))).toHaveLength(2);
  });

  it("that was frozen writes nothing when it goes on, for another one leads", async () => {
    const second = await start("controller-b");
    first.controller.daemon.signal("SIGSTOP");
    const frozen = first.log.requests.length;
    await second.controller.untilSaid('"msg":"leading"');
    const container = await create();
    const { status } = await untilReason(container, "NoAgent");
    expect(writes(second)).toHaveLength(1);
    first.controller.daemon.signal("SIGCONT");
    await first.controller.untilEnded();
    expect(first.log.requests.slice(frozen).filter(({ method }) => method !== "GET")).toEqual([]);
    expect(first.controller.daemon.logTail()).toContain("leading no more");
    expect(test().get(container)?.status).toEqual(status);
    // Its supervisor starts it again: it waits.
    await first.controller.startAgain();
    const next = await create();
    await untilReason(next, "NoAgent");
    expect(writes(second)).toHaveLength(2);
  });

  it("that is told to end gives the lead up, and the other one takes it at once", async () => {
    const [, second] = doors;
    const before = writes(first).length;
    const told = Date.now();
    await second?.controller.stop();
    expect(second?.controller.daemon.logTail()).toContain("ending");
    const container = await create();
    await untilReason(container, "NoAgent");
    expect(writes(first)).toHaveLength(before + 1);
    expect(Date.now() - told).toBeLessThan(6000);
  });
});
