import { readFileSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { KubeConfig } from "@kubernetes/client-node";
import { parse } from "yaml";

/** Where Berth's own objects (its node Leases) live when the credentials name no namespace. */
const DEFAULT_NAMESPACE = "berth-system";

type RawKubeconfig = { users?: { name?: string; user?: { tokenFile?: string } }[] };

/**
 * client-node knows a user's `token`, but not the `tokenFile` of kubectl's kubeconfig, which takes precedence over it and
 * is read again as it is rotated. Its in-cluster credentials work so; such a user is turned into one of that kind.
 */
function useTokenFiles(config: KubeConfig, file: string): void {
  const raw = parse(readFileSync(file, "utf8")) as RawKubeconfig | null;
  const files = new Map(raw?.users?.map((entry) => [entry.name, entry.user?.tokenFile]));
  config.users = config.users.map((user) => {
    const tokenFile = files.get(user.name);
    if (tokenFile === undefined || tokenFile === "") return user;
    const { token: _replaced, ...rest } = user;
    return { ...rest, authProvider: { name: "tokenFile", config: { tokenFile: resolve(dirname(file), tokenFile) } } };
  });
}

/**
 * The credentials: of the kubeconfig file when one is named, else of the pod's ServiceAccount, else kubectl's default
 * places (`$KUBECONFIG`, `~/.kube/config`).
 * @throws Error when the file can't be read or its current context names no cluster.
 */
export function loadKubeConfig(kubeconfig: string | undefined): KubeConfig {
  const config = new KubeConfig();
  if (kubeconfig !== undefined && kubeconfig !== "") {
    config.loadFromFile(kubeconfig);
    useTokenFiles(config, kubeconfig);
  } else if (process.env["KUBERNETES_SERVICE_HOST"] !== undefined) config.loadFromCluster();
  else config.loadFromDefault();
  if (config.getCurrentCluster() === null) {
    const context = config.getCurrentContext() || "(none)";
    throw new Error(`kubeconfig ${kubeconfig ?? ""}: the current context ${context} names no cluster of the file`);
  }
  return config;
}

/** The namespace the credentials stand in: the context's, which in a pod is the pod's. */
export function namespaceOf(config: KubeConfig): string {
  return config.getContextObject(config.getCurrentContext())?.namespace?.trim() ?? DEFAULT_NAMESPACE;
}
