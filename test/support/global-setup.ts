/** Before the integration tests: a control plane and a registry that all of them share. Each test file has a node of its own. */
import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Cluster } from "../../hack/cluster/cluster.ts";

/** Where the test files find the cluster. */
export const CLUSTER_DIR = "BERTH_TEST_CLUSTER";

export default async function setup(): Promise<void> {
  const dir = mkdtempSync(join(tmpdir(), "berth-test-"));
  process.env[CLUSTER_DIR] = dir;
  const cluster = new Cluster({ dir, nodes: 0 });
  try {
    await cluster.up();
  } catch (error) {
    await cluster.down();
    throw error;
  }
}
