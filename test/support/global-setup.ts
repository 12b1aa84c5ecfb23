/** Before the integration tests: a control plane and a registry that all of them share. Each test file has a node of its own. */
import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Cluster } from "../../hack/cluster/cluster.ts";
import { CLUSTER_DIR } from "./cluster-dir.ts";
import { setGuardian } from "./guardian.ts";

export default async function setup(): Promise<void> {
  const dir = mkdtempSync(join(tmpdir(), "berth-test-"));
  process.env[CLUSTER_DIR] = dir;
  setGuardian(dir);
  const cluster = new Cluster({ dir, nodes: 0 });
  try {
    await cluster.up();
  } catch (error) {
    await cluster.down();
    throw error;
  }
}
