// The API server comes and goes: what runs is kept running as it was wished last, and the rest is caught up with.
import { writeFile } from "node:fs/promises";
import { afterEach, describe, expect, it } from "@jest/globals";
import type { ControlPlane } from "../../hack/cluster/control-plane.ts";
import type { Container } from "../../src/api/index.ts";
import { containerPath } from "../../src/kube/index.ts";
import { endBy, pidOf, untilMissed, untilRestarted } from "../support/away.ts";
import { slowPlugin } from "../support/cni.ts";
import { useNode } from "../support/test-node.ts";

const test = useNode({ ownControlPlane: true });

const ENDS_WITH_7 = ["sh", "-c", "trap 'exit 7' USR1; trap 'exit 0' TERM; sleep 3600 & wait"];
/** Whoever lost the API server tries again after up to 30 s. */
const PATIENCE_MS = 60_000;

const controlPlane = (): ControlPlane => test().cluster.controlPlane;

afterEach(async () => {
  await controlPlane().startApiserver();
  test().node.startAgent();
  await test().node.agentReady(PATIENCE_MS);
}, 90_000);

describe("while the API server is away", () => {
  it("the agent is not ready, restarts go on by policy, and statuses are caught up with", async () => {
    const once = await test().create({ command: ENDS_WITH_7, restartPolicy: "Never" });
    const again = await test().create({ command: ENDS_WITH_7, restartPolicy: "OnFailure" });
    const one = await test().untilCondition(once, "Ready");
    const other = await test().untilCondition(again, "Ready");
    await controlPlane().stopApiserver("kill");
    const { ready, lines } = await untilMissed(test().node, "apiserver");
    expect(ready).toBe(false);
    expect(lines).toContain("containerd: ok");

    await endBy("SIGUSR1", pidOf(one));
    await endBy("SIGUSR1", pidOf(other));
    await untilRestarted(test().node, other);

    await controlPlane().startApiserver();
    const ended = await test().untilCondition(once, "Failed", PATIENCE_MS);
    expect(ended.status).toMatchObject({ state: "Exited", exitCode: 7, restartCount: 0 });
    const { status } = await test().until(again, "restarted", ({ status }) => status?.restartCount === 1, PATIENCE_MS);
    expect(status).toMatchObject({ state: "Running", exitCode: 7 });
    await Promise.all([test().delete(once), test().delete(again)]);
  });

  it("an agent that starts keeps what was wished last, and does what is wished when it is back", async () => {
    const runs = await test().create();
    const ended = await test().create({ command: ENDS_WITH_7, restartPolicy: "Never" });
    const again = await test().create({ command: ENDS_WITH_7, restartPolicy: "OnFailure" });
    const stopped = await test().create();
    const before = {
      runs: await test().untilCondition(runs, "Ready"),
      ended: await test().untilCondition(ended, "Ready"),
      again: await test().untilCondition(again, "Ready"),
    };
    await test().untilCondition(stopped, "Ready");
    await test().untilCondition(await test().patch(stopped, { spec: { desiredState: "Stopped" } }), "Ready");
    await test().node.stopAgent("kill");
    await controlPlane().stopApiserver("kill");
    await endBy("SIGUSR1", pidOf(before.ended));
    await endBy("SIGUSR1", pidOf(before.again));

    test().node.startAgent();
    const { ready } = await untilMissed(test().node, "apiserver");
    expect(ready).toBe(false);
    await untilRestarted(test().node, before.again);
    // By now it has looked at all of them.
    expect((await test().audit()).task).toEqual([idOf(runs), idOf(again)].sort());
    process.kill(pidOf(before.runs), 0);

    await controlPlane().startApiserver();
    const { status } = await test().untilCondition(ended, "Failed", PATIENCE_MS);
    expect(status).toMatchObject({ state: "Exited", exitCode: 7 });
    await test().until(again, "restarted", ({ status }) => status?.restartCount === 1, PATIENCE_MS);
    expect(test().get(runs)?.status).toEqual(before.runs.status);
    expect(test().get(stopped)?.status).toMatchObject({ state: "Exited", restartCount: 0 });
    await Promise.all([runs, ended, again, stopped].map((container) => test().delete(container)));
  });

  it("a container whose object comes while its end is being dealt with is not taken for one without an object", async () => {
    const created = await test().create({
      command: ENDS_WITH_7,
      restartPolicy: "Never",
      network: { mode: "Bridge" },
    });
    const running = await test().untilCondition(created, "Ready");
    await test().node.stopAgent("kill");
    await controlPlane().stopApiserver("kill");
    await endBy("SIGUSR1", pidOf(running));
    const plugin = await slowPlugin(test().node, "bridge", "DEL");
    test().node.startAgent({ "cni-bin-dir": plugin.dir });
    await plugin.called();
    await controlPlane().startApiserver();
    await test().node.agentReady(PATIENCE_MS);
    await writeFile(plugin.gate, "");
    const { status } = await test().untilCondition(created, "Failed", PATIENCE_MS);
    expect(status).toMatchObject({ exitCode: 7, restartCount: 0, startedAt: running.status?.startedAt });
    await test().node.stopAgent();
    test().node.startAgent();
    await test().delete(created, PATIENCE_MS);
  });

  it("a container whose removal had begun when the agent died is removed by the next one, not started", async () => {
    const created = await test().create({
      command: ["sh", "-c", "echo run; trap 'exit 0' TERM; sleep 3600 & wait"],
      network: { mode: "Bridge" },
    });
    await test().untilCondition(created, "Ready");
    const plugin = await slowPlugin(test().node, "host-local", "DEL");
    await test().node.stopAgent();
    test().node.startAgent({ "cni-bin-dir": plugin.dir });
    await test().api.delete(containerPath("default", created.metadata.name));
    await plugin.called();
    await test().node.stopAgent("kill");
    await controlPlane().stopApiserver("kill");
    await writeFile(plugin.gate, "");

    test().node.startAgent();
    await untilRemoved(created);
    expect(test().output(created)).toBe("run\n");
    await controlPlane().startApiserver();
    await test().untilGone(created, PATIENCE_MS);
  });

  it("what is deleted and created right after its return is honoured", async () => {
    const created = await test().create({ network: { mode: "Bridge" } });
    await test().untilCondition(created, "Ready");
    await controlPlane().stopApiserver("kill");
    await untilMissed(test().node, "apiserver");
    await controlPlane().startApiserver();
    const fresh = await test().create();
    await test().delete(created, PATIENCE_MS);
    await test().untilCondition(fresh, "Ready", PATIENCE_MS);
    expect((await test().audit()).task).toEqual([idOf(fresh)]);
    await test().delete(fresh);
  });

  it("an object that was deleted before the agent knew of it is removed when it is back", async () => {
    const created = await test().create();
    const running = await test().untilCondition(created, "Ready");
    await test().node.stopAgent();
    await test().patch(created, { metadata: { finalizers: null } });
    await test().delete(created);
    await controlPlane().stopApiserver("kill");
    test().node.startAgent();
    await untilMissed(test().node, "apiserver");
    process.kill(pidOf(running), 0);
    await controlPlane().startApiserver();
    await test().node.agentReady(PATIENCE_MS);
    expect((await test().audit()).container).toEqual([]);
  });
});

function idOf({ metadata }: Container): string {
  return `${metadata.uid}-1`;
}

/** Waits until nothing of a container is left at containerd; asked of that alone. */
async function untilRemoved(container: Container): Promise<void> {
  const deadline = Date.now() + PATIENCE_MS;
  while ((await test().node.ctr("containers", "list", "--quiet")).includes(idOf(container))) {
    if (Date.now() > deadline) throw new Error(`${idOf(container)} is still there\n${test().agentLog()}`);
  }
}
