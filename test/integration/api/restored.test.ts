// etcd is restored from a backup under an agent that runs: versions begin again from an earlier one, and what was written
// since the backup is as if it had never been. What the cluster's state says then is made so, and what comes after is seen.
import { expect, it } from "@jest/globals";
import type { ControlPlane } from "../../../hack/cluster/control-plane.ts";
import type { Container } from "../../../src/api/index.ts";
import { configMapPath, containerPath } from "../../../src/kube/index.ts";
import { pidOf } from "../../support/away.ts";
import { useNode } from "../../support/test-node.ts";

const test = useNode({ ownControlPlane: true });

/** The watches of an API server that has just come up work after a while only. */
const PATIENCE_MS = 60_000;
/** Versions that the restored server stays behind by: more than it writes itself when it comes up. */
const BEHIND = 400;

it("what the backup knows is made so, what it does not know goes, and what comes after it is seen", async () => {
  const { node } = test();
  const { agentPid } = node;
  const controlPlane: ControlPlane = test().cluster.controlPlane;
  const created = await Promise.all([1, 2, 3].map(() => test().create()));
  const [kept, stopped, deleted] = await Promise.all(created.map((each) => test().untilCondition(each, "Ready")));
  if (kept === undefined || stopped === undefined || deleted === undefined) throw new Error("unreachable");
  await controlPlane.backUpEtcd();

  const wished = await test().patch(stopped, { spec: { desiredState: "Stopped" } });
  await test().untilCondition(wished, "Ready", PATIENCE_MS);
  await test().delete(deleted, PATIENCE_MS);
  await passVersions();
  const unknown = await test().untilCondition(await test().create(), "Ready");
  const version = await currentVersion();
  await controlPlane.restoreEtcd();

  const fresh = await test().create({}, { name: "after-the-backup" });
  await test().untilCondition(fresh, "Ready", PATIENCE_MS);
  await test().untilGone(unknown, PATIENCE_MS);
  for (const each of [stopped, deleted]) await test().until(each, "running again", runsSince(each), PATIENCE_MS);
  expect(test().get(kept)?.status).toEqual(kept.status);
  process.kill(pidOf(kept), 0);
  expect((await test().audit()).task).toEqual([kept, stopped, deleted, fresh].map(idOf).sort());
  expect(node.agentPid).toBe(agentPid);
  // Else it may not have been the question for the version that told of it.
  expect(await currentVersion()).toBeLessThan(version);
}, 240_000);

async function passVersions(): Promise<void> {
  for (let number = 0; number < BEHIND; number++) {
    await test().api.create(configMapPath("default"), { metadata: { name: `version-${number}` } });
  }
}

const currentVersion = async (): Promise<number> => Number(await test().api.version(containerPath()));
const idOf = ({ metadata }: Container): string => `${metadata.uid}-1`;

/** Whether it runs as another process than it did. */
function runsSince(before: Container): (now: Container) => boolean {
  return ({ status }) => status?.state === "Running" && status.pid !== undefined && status.pid !== pidOf(before);
}
