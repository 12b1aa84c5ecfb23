/** After the integration tests: everything they shared goes, and whatever a test file that crashed has left. */
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { Cluster } from "../../hack/cluster/cluster.ts";
import { LocalNode } from "../../hack/cluster/local-node.ts";
import { Docker } from "./docker.ts";
import { CLUSTER_DIR } from "./cluster-dir.ts";

export default async function teardown(): Promise<void> {
  const dir = process.env[CLUSTER_DIR];
  if (dir === undefined) return;
  for (const name of readdirSync(dir)) {
    const index = /^test-node-(\d+)$/.exec(name)?.[1];
    if (index === undefined) continue;
    const node = new LocalNode({ dir: join(dir, name), index: Number(index) });
    await new Docker(node).stop();
    await node.stop();
  }
  await new Cluster({ dir }).down();
}
