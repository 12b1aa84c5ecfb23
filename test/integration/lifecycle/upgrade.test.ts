// containerd is upgraded from 1.7 to 2.1 under running containers: they live on, and what ends meanwhile is not missed.
import { expect, it } from "@jest/globals";
import { endBy, pidOf, untilMissed } from "../../support/away.ts";
import { addressOf, inside } from "../../support/look.ts";
import { askRestart, untilRestarted } from "../../support/restart.ts";
import { useNode } from "../../support/test-node.ts";

const test = useNode({ containerd: "1.7" });

const ENDS_WITH_7 = ["sh", "-c", "echo run; trap 'exit 7' USR1; trap 'exit 0' TERM; sleep 3600 & wait"];

it("containers run on through an upgrade of containerd, and ends meanwhile are found", async () => {
  const { node } = test();
  const before = await test().audit();
  const [kept, paused, again, once] = await Promise.all([
    test().create({ command: ENDS_WITH_7, network: { mode: "Bridge" } }),
    test().create({ desiredState: "Paused" }),
    test().create({ command: ENDS_WITH_7, restartPolicy: "OnFailure" }),
    test().create({ command: ENDS_WITH_7, restartPolicy: "Never" }),
  ]);
  const running = await test().untilCondition(kept, "Ready");
  const frozen = await test().untilCondition(paused, "Ready");
  const ending = [await test().untilCondition(again, "Ready"), await test().untilCondition(once, "Ready")];
  const { agentPid } = node;

  await node.stopContainerd();
  await untilMissed(node, "containerd");
  for (const each of ending) await endBy("SIGUSR1", pidOf(each));
  await node.startContainerd({ version: "2.1" });
  await node.agentReady();

  expect((await untilRestarted(test(), again, 1)).status).toMatchObject({ exitCode: 7 });
  const { status } = await test().untilCondition(once, "Failed");
  expect(status).toMatchObject({ exitCode: 7, reason: "Error", restartCount: 0 });
  expect(node.agentPid).toBe(agentPid);
  expect(test().get(kept)?.status).toEqual(running.status);
  expect(test().get(paused)?.status).toEqual(frozen.status);

  // What the old one has made, the new one can stop, thaw, start again and remove.
  expect(await inside(running, "hostname -i")).toContain(addressOf(running));
  await endBy("SIGUSR1", pidOf(running));
  const restarted = await untilRestarted(test(), kept, 1);
  expect(restarted.status).toMatchObject({ exitCode: 7, network: running.status?.network });
  await test().untilCondition(await askRestart(test(), kept, "after the upgrade"), "Ready");
  await test().untilCondition(await test().patch(paused, { spec: { desiredState: "Running" } }), "Ready");
  const fresh = await test().create();
  await test().untilCondition(fresh, "Ready");
  await test().deleteAll();
  expect(await test().leaks(before)).toEqual([]);
});
