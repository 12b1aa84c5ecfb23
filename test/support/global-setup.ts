/** Before the integration tests: the program compiled, a control plane and a registry that all of them share. Each test file has a node of its own. */
import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { compile } from "../../hack/build.ts";
import { Cluster } from "../../hack/cluster/cluster.ts";
import { PROGRAM } from "../../hack/cluster/local-node.ts";
import { CLUSTER_DIR } from "./cluster-dir.ts";
import { setGuardian } from "./guardian.ts";

export default async function setup(): Promise<void> {
  const dir = mkdtempSync(join(tmpdir(), "berth-test-"));
  process.env[CLUSTER_DIR] = dir;
  setGuardian(dir);
  const cluster = new Cluster({ dir, nodes: 0 });
  try {
    const program = join(dir, "program");
    await compile(program);
    process.env[PROGRAM] = join(program, "main.js");
    await cluster.up();
  } catch (error) {
    await cluster.down();
    throw error;
  }
}
