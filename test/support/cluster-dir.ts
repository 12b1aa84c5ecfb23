import { join } from "node:path";

/** The environment variable by which test files find the cluster that all of them share. */
export const CLUSTER_DIR = "BERTH_TEST_CLUSTER";

/** Where the benchmark has the machine of its kubelet, below its directory. */
export function machineDir(dir: string): string {
  return join(dir, "kubelet");
}
