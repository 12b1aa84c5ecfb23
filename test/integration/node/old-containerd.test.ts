// A containerd that is too old ends the agent, which says what it found and what it needs.
import { join } from "node:path";
import { expect, it } from "@jest/globals";
import { Cluster } from "../../../hack/cluster/cluster.ts";
import { AGENT, LocalNode } from "../../../hack/cluster/local-node.ts";
import { CommandError, run } from "../../../src/node/index.ts";
import { nodeIndex, sharedDir } from "../../support/test-node.ts";

it("containerd 1.6 is refused, with the version found and the one needed", async () => {
  const dir = sharedDir();
  const index = nodeIndex();
  const node = new LocalNode({
    dir: join(dir, `test-node-${index}`),
    index,
    containerd: "1.6",
    kubeconfig: new Cluster({ dir }).kubeconfig,
  });
  try {
    await node.startContainerd();
    const [program, ...args] = AGENT;
    const flags = Object.entries(node.agentFlags()).map(([name, value]) => `--${name}=${value}`);
    const refused = run(program, [...args, ...flags], { timeoutMs: 30_000 });
    await expect(refused).rejects.toBeInstanceOf(CommandError);
    const error = (await refused.catch((reason: unknown) => reason)) as CommandError;
    expect(error).toMatchObject({ exitCode: 1, timedOut: false });
    const lines = error.stderr
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line) as { level: string; msg: string });
    const fatal = lines.filter(({ level }) => level === "fatal").map(({ msg }) => msg);
    expect(fatal).toEqual([expect.stringMatching(/1\.6\.20.*1\.7/)]);
  } finally {
    await node.stop();
  }
});
