// The API server comes and goes: what runs is kept running as it was wished last, and the rest is caught up with.
import { writeFile } from "node:fs/promises";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "@jest/globals";
import type { Container, ContainerSpec } from "../../../src/api/index.ts";
import { containerPath } from "../../../src/kube/index.ts";
import { endBy, pidOf, untilMissed, untilRestarted } from "../../support/away.ts";
import { slowPlugin } from "../../support/cni.ts";
import { askRestart, untilRestarted as untilToldOfRestart } from "../../support/restart.ts";
import { ServerAway } from "../../support/server-away.ts";
import { useNode } from "../../support/test-node.ts";

const test = useNode({ startAgent: false });

const ENDS_WITH_7 = ["sh", "-c", "trap 'exit 7' USR1; trap 'exit 0' TERM; sleep 3600 & wait"];
const CONCURRENCY = 2;

let away: ServerAway;

beforeAll(async () => {
  away = await ServerAway.open(test());
  startAgent();
  await test().node.agentReady();
});
afterAll(() => away.close());

afterEach(async () => {
  away.comeBack();
  startAgent();
  await test().node.agentReady();
});

function startAgent(flags: Record<string, string> = {}): void {
  test().node.startAgent({ kubeconfig: away.kubeconfig, concurrency: String(CONCURRENCY), ...flags });
}

const started = async (spec: Partial<ContainerSpec> = {}): Promise<Container> =>
  test().untilCondition(await test().create(spec), "Ready");

async function stopped(): Promise<Container> {
  return test().untilCondition(await test().patch(await started(), { spec: { desiredState: "Stopped" } }), "Ready");
}

async function goAway(): Promise<void> {
  away.goAway();
  const { ready, lines } = await untilMissed(test().node, "apiserver");
  expect({ ready, containerd: lines.includes("containerd: ok") }).toEqual({ ready: false, containerd: true });
}

describe("while the API server is away", () => {
  it("the agent is not ready, restarts go on by policy, and what is new is told once each, a few at a time", async () => {
    const quiet = await Promise.all([started(), started(), started({ desiredState: "Paused" }), stopped()]);
    const once = await Promise.all([1, 2, 3].map(() => started({ command: ENDS_WITH_7, restartPolicy: "Never" })));
    const again = await Promise.all([1, 2, 3].map(() => started({ command: ENDS_WITH_7, restartPolicy: "OnFailure" })));
    await goAway();
    await Promise.all([...once, ...again].map((each) => endBy("SIGUSR1", pidOf(each))));
    for (const each of again) await untilRestarted(test().node, each);

    away.comeBack();
    for (const each of once) {
      const { status } = await test().untilCondition(each, "Failed");
      expect(status).toMatchObject({ state: "Exited", exitCode: 7, restartCount: 0 });
    }
    for (const each of again) {
      expect((await untilToldOfRestart(test(), each, 1)).status).toMatchObject({ exitCode: 7 });
    }
    // Until what is asked for now is done, all that was to be told is told.
    await test().delete(await started());
    for (const each of [...once, ...again]) expect(away.writes(each)).toHaveLength(1);
    for (const each of quiet) {
      expect(away.writes(each)).toEqual([]);
      expect(test().get(each)).toEqual(each);
    }
    // Beside the Containers' an Event, and the Lease.
    expect(away.peakWrites).toBeLessThanOrEqual(CONCURRENCY + 2);
    await test().deleteAll();
  });

  it("an agent that starts keeps what was wished last, and does what is wished when it is back", async () => {
    const [runs, rests] = await Promise.all([started(), stopped()]);
    const ended = await started({ command: ENDS_WITH_7, restartPolicy: "Never" });
    const again = await started({ command: ENDS_WITH_7, restartPolicy: "OnFailure" });
    await test().node.stopAgent("kill");
    away.goAway();
    await endBy("SIGUSR1", pidOf(ended));
    await endBy("SIGUSR1", pidOf(again));

    startAgent();
    await untilMissed(test().node, "apiserver");
    await untilRestarted(test().node, again);
    // By now it has looked at all of them.
    expect((await test().audit()).task).toEqual([idOf(runs), idOf(again)].sort());
    process.kill(pidOf(runs), 0);

    away.comeBack();
    const { status } = await test().untilCondition(ended, "Failed");
    expect(status).toMatchObject({ state: "Exited", exitCode: 7 });
    await untilToldOfRestart(test(), again, 1);
    for (const each of [runs, rests]) {
      expect(test().get(each)).toEqual(each);
      expect(away.writes(each)).toEqual([]);
    }
    await test().deleteAll();
  });

  it("a container whose object comes while its end is being dealt with is not taken for one without an object", async () => {
    const running = await started({ command: ENDS_WITH_7, restartPolicy: "Never", network: { mode: "Bridge" } });
    await test().node.stopAgent("kill");
    away.goAway();
    await endBy("SIGUSR1", pidOf(running));
    const plugin = await slowPlugin(test().node, "bridge", "DEL");
    startAgent(plugin.flags);
    await plugin.called();
    away.comeBack();
    await test().node.agentReady();
    await writeFile(plugin.gate, "");
    const { status } = await test().untilCondition(running, "Failed");
    expect(status).toMatchObject({ exitCode: 7, restartCount: 0, startedAt: running.status?.startedAt });
    await test().node.stopAgent();
    startAgent();
    await test().delete(running);
  });

  it("a container whose removal had begun when the agent died is removed by the next one, not started", async () => {
    const created = await started({
      command: ["sh", "-c", "echo run; trap 'exit 0' TERM; sleep 3600 & wait"],
      network: { mode: "Bridge" },
    });
    const plugin = await slowPlugin(test().node, "host-local", "DEL");
    await test().node.stopAgent();
    startAgent(plugin.flags);
    await test().api.delete(containerPath("default", created.metadata.name));
    await plugin.called();
    await test().node.stopAgent("kill");
    away.goAway();
    await writeFile(plugin.gate, "");

    startAgent();
    await untilRemoved(created);
    expect(test().output(created)).toBe("run\n");
    away.comeBack();
    await test().untilGone(created);
  });
});

describe("what was done to objects while the API server was away", () => {
  it.each([
    ["was there all the time", false],
    ["started meanwhile, and knew but the records", true],
  ])("is honoured by an agent that %s", async (_, startsMeanwhile) => {
    const network: ContainerSpec["network"] = { mode: "Bridge" };
    const spec = { command: ENDS_WITH_7, network };
    const begin = (): Promise<Container> => started(spec);
    const [[edited, changed, restarted, stops, paused], [deleted, torn, replaced, left]] = await Promise.all([
      Promise.all([begin(), begin(), begin(), begin(), begin()]),
      Promise.all([begin(), begin(), begin(), begin()]),
    ]);
    if (startsMeanwhile) await test().node.stopAgent("kill");
    away.goAway();
    if (startsMeanwhile) startAgent();
    await untilMissed(test().node, "apiserver");

    const wishes = await Promise.all([
      test().patch(edited, { spec: { pidsLimit: 100 } }),
      test().patch(changed, { spec: { hostname: "another" } }),
      askRestart(test(), restarted, "now"),
      test().patch(stops, { spec: { desiredState: "Stopped" } }),
      test().patch(paused, { spec: { desiredState: "Paused" } }),
    ]);
    await test().api.delete(containerPath("default", deleted.metadata.name));
    for (const each of [torn, replaced]) {
      await test().patch(each, { metadata: { finalizers: null } });
      await test().delete(each);
    }
    const replacing = await test().create(spec, { name: replaced.metadata.name });
    const fresh = await test().create(spec);
    for (const each of [edited, deleted, torn, replaced, left]) process.kill(pidOf(each), 0);

    away.comeBack();
    await test().untilGone(deleted);
    const [newlyEdited, newlyChanged, , , newlyPaused] = await Promise.all(
      [...wishes, replacing, fresh].map((each) => test().untilCondition(each, "Ready")),
    );
    expect(newlyEdited?.status).toMatchObject({ pid: pidOf(edited), restartCount: 0, observedGeneration: 2 });
    expect(newlyChanged?.status?.containerID).toBe(`containerd://${changed.metadata.uid}-2`);
    expect((await untilToldOfRestart(test(), restarted, 1)).status?.restartedAt).toBe("now");
    expect(newlyPaused?.status).toMatchObject({ state: "Paused", pid: pidOf(paused) });
    await untilRemoved(torn);
    await untilRemoved(replaced);
    const alive = [edited, restarted, paused, left, replacing, fresh].map(idOf);
    expect((await test().audit()).task).toEqual([...alive, `${changed.metadata.uid}-2`].sort());
    expect(test().get(left)).toEqual(left);
    expect(away.writes(left)).toEqual([]);
    await test().deleteAll();
  });

  it("an object that was deleted before the agent knew of it is removed when the server is back", async () => {
    const running = await started();
    await test().node.stopAgent();
    await test().patch(running, { metadata: { finalizers: null } });
    await test().delete(running);
    away.goAway();
    startAgent();
    await untilMissed(test().node, "apiserver");
    process.kill(pidOf(running), 0);
    away.comeBack();
    await untilRemoved(running);
  });
});

function idOf({ metadata }: Container): string {
  return `${metadata.uid}-1`;
}

/** Waits until nothing of a container is left at containerd; asked of that alone. */
async function untilRemoved(container: Container): Promise<void> {
  const deadline = Date.now() + 30_000;
  while ((await test().node.ctr("containers", "list", "--quiet")).includes(idOf(container))) {
    if (Date.now() > deadline) throw new Error(`${idOf(container)} is still there\n${test().agentLog()}`);
  }
}
