/** The environment variable by which test files find the cluster that all of them share. */
export const CLUSTER_DIR = "BERTH_TEST_CLUSTER";
