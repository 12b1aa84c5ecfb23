// containerd comes and goes under the agent: it says so, stays up, forgets nothing that it knows, and goes on by itself.
import { expect, it } from "@jest/globals";
import { endBy, pidOf, readiness, untilMissed } from "../support/away.ts";
import { useNode } from "../support/test-node.ts";

const test = useNode();

const ENDS_WITH_7 = ["sh", "-c", "trap 'exit 7' USR1; trap 'exit 0' TERM; sleep 3600 & wait"];

it("an agent that is started first says so, and starts what was applied when containerd comes", async () => {
  const { node } = test();
  await node.stopAgent();
  await node.stopContainerd();
  node.startAgent();
  const created = await test().create();
  const waiting = await test().until(created, "told", ({ status }) => status?.reason === "RuntimeUnavailable");
  expect(waiting.status).toMatchObject({ state: "Pending", observedGeneration: 1, nodeName: node.name });
  expect(waiting.status?.message).toContain(node.containerdAddress);
  expect(waiting.status).not.toHaveProperty("exitCode");
  expect(waiting.status?.conditions).toEqual(
    expect.arrayContaining([
      expect.objectContaining({ type: "Ready", status: "False", reason: "RuntimeUnavailable" }),
      expect.objectContaining({ type: "Reconciling", status: "True" }),
    ]),
  );
  const { ready, lines } = await readiness(node);
  expect(ready).toBe(false);
  expect(lines).toEqual([expect.stringMatching(/^containerd: .*containerd\.sock.* since /), "apiserver: ok"]);
  const health = await fetch(`http://${node.metricsAddress}/healthz`);
  expect(health.status).toBe(200);

  const { agentPid } = node;
  await node.startContainerd();
  const { status } = await test().untilCondition(created, "Ready");
  expect(status).not.toHaveProperty("message");
  await node.agentReady();
  expect(node.agentPid).toBe(agentPid);
  await test().delete(created);
});

it("a container lives through a crash of containerd, and its status with it", async () => {
  const created = await test().create();
  const running = await test().untilCondition(created, "Ready");
  await test().node.stopContainerd("kill");
  const { ready, lines } = await untilMissed(test().node, "containerd");
  expect(ready).toBe(false);
  expect(lines).toContain("apiserver: ok");
  // A change is looked at, and can't be acted on: what is known stays.
  await test().patch(created, { metadata: { labels: { touched: "yes" } } });
  const fresh = await test().create();
  await test().until(fresh, "told", ({ status }) => status?.reason === "RuntimeUnavailable");
  expect(test().get(created)?.status).toEqual(running.status);
  process.kill(pidOf(running), 0);

  await test().node.startContainerd();
  await test().untilCondition(fresh, "Ready");
  expect(test().get(created)?.status).toEqual(running.status);
  await Promise.all([test().delete(created), test().delete(fresh)]);
});

it("an end while containerd was away is recorded with its code, and the policy followed", async () => {
  const once = await test().create({ command: ENDS_WITH_7, restartPolicy: "Never" });
  const again = await test().create({ command: ENDS_WITH_7, restartPolicy: "OnFailure" });
  const running = await Promise.all([test().untilCondition(once, "Ready"), test().untilCondition(again, "Ready")]);
  await test().node.stopContainerd("kill");
  for (const container of running) await endBy("SIGUSR1", pidOf(container));
  await untilMissed(test().node, "containerd");
  expect(test().get(once)?.status).toEqual(running[0].status);

  await test().node.startContainerd();
  const { status } = await test().untilCondition(once, "Failed");
  expect(status).toMatchObject({ state: "Exited", exitCode: 7, reason: "Error" });
  const restarted = await test().until(
    again,
    "restarted",
    ({ status }) => status?.restartCount === 1 && status.state === "Running",
  );
  expect(restarted.status).toMatchObject({ exitCode: 7 });
  await Promise.all([test().delete(once), test().delete(again)]);
});

it("what is known of a container that has ended is not overwritten either", async () => {
  const created = await test().create({ command: ["sh", "-c", "exit 3"], restartPolicy: "Never" });
  const ended = await test().untilCondition(created, "Failed");
  await test().node.stopAgent();
  await test().node.stopContainerd();
  test().node.startAgent();
  const fresh = await test().create();
  await test().until(fresh, "told", ({ status }) => status?.reason === "RuntimeUnavailable");
  expect(test().get(created)?.status).toEqual(ended.status);
  await test().node.startContainerd();
  await test().untilCondition(fresh, "Ready");
  expect(test().get(created)?.status).toEqual(ended.status);
  await Promise.all([test().delete(created), test().delete(fresh)]);
});

it("a deletion while containerd is away is done when it is back", async () => {
  const before = await test().audit();
  const created = await test().create({ network: { mode: "Bridge" } });
  await test().untilCondition(created, "Ready");
  await test().node.stopContainerd("kill");
  const gone = test().delete(created, 60_000);
  await untilMissed(test().node, "containerd");
  await test().node.startContainerd();
  await gone;
  expect(await test().leaks(before)).toEqual([]);
});
