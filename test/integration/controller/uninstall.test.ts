// `berth uninstall`: after it, no namespace hangs on what only an agent could let go of.
import { describe, expect, it } from "@jest/globals";
import { BERTH } from "../../../hack/cluster/local-node.ts";
import { run } from "../../../src/node/index.ts";
import { useNode } from "../../support/test-node.ts";

const test = useNode({ ownControlPlane: true });

const [NODE, ...PROGRAM] = BERTH;
const FINALIZER = "berth.dev/cleanup";

const uninstall = async (...flags: string[]): Promise<string> => {
  const { kubeconfig } = test().cluster;
  const args = [...PROGRAM, "uninstall", `--kubeconfig=${kubeconfig}`, "--log-format=json", ...flags];
  return (await run(NODE, args, { timeoutMs: 50_000 })).stderr;
};

describe("berth uninstall", () => {
  it("goes on until no agent is there that puts the finalizer back; containers run on, and later agents take them over", async () => {
    const created = await test().create();
    const running = await test().untilCondition(created, "Ready");
    await test().until(created, "kept", ({ metadata }) => metadata.finalizers?.includes(FINALIZER) === true);
    await expect(uninstall("--timeout=3s")).rejects.toThrow("delete the agents' DaemonSet first");
    const going = uninstall("--timeout=40s");
    await test().until(created, "released", ({ metadata }) => metadata.finalizers === undefined);
    await test().node.stopAgent();
    await going;
    expect(test().get(created)?.metadata.finalizers).toBeUndefined();
    test().node.startAgent();
    await test().until(created, "kept again", ({ metadata }) => metadata.finalizers?.includes(FINALIZER) === true);
    expect(test().get(created)?.status).toEqual(running.status);
  }, 120_000);

  it("--delete deletes all while agents clean up, and names what is left without them", async () => {
    const created = await test().create();
    await test().untilCondition(created, "Ready");
    await uninstall("--delete", "--timeout=30s");
    expect(test().get(created)).toBeUndefined();
    expect((await test().audit()).task).toEqual([]);

    const other = await test().create();
    await test().untilCondition(other, "Ready");
    await test().node.stopAgent();
    await expect(uninstall("--delete", "--timeout=3s")).rejects.toThrow(
      `containers left: default/${other.metadata.name}`,
    );
    test().node.startAgent();
    await test().untilGone(other);
  }, 120_000);
});
