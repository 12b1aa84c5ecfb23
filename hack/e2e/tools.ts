// Where the parts of a whole cluster are that hack/e2e/tools.sh brought onto this machine.
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { cacheDir } from "../cluster/tools.ts";

/** Programs by absolute path. */
export type KubernetesTools = {
  readonly kubelet: string;
  readonly kubeControllerManager: string;
  readonly kubeScheduler: string;
  /** Of version 1.34.1, 34. */
  readonly minor: number;
};

/** @throws Error when they are missing */
export function findKubernetes(): KubernetesTools {
  const dir = join(cacheDir(), "kubernetes");
  const file = join(dir, ".complete");
  if (!existsSync(file)) throw new Error(`${file} is missing: run hack/e2e/tools.sh`);
  return {
    kubelet: join(dir, "kubelet"),
    kubeControllerManager: join(dir, "kube-controller-manager"),
    kubeScheduler: join(dir, "kube-scheduler"),
    minor: Number(readFileSync(file, "utf8").split(".")[1]),
  };
}
