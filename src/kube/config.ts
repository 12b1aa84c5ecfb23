import { readFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
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

/** What a kubeconfig names by absolute paths lies below the root, too; the others are below it by now. */
function moveFiles(config: KubeConfig, root: string): void {
  const move = <T extends object>(entry: T): T =>
    Object.fromEntries(
      Object.entries(entry).map(([key, value]: [string, unknown]) =>
        key.endsWith("File") && typeof value === "string" && !value.startsWith(root)
          ? [key, join(root, value)]
          : [key, value],
      ),
    ) as T;
  config.clusters = config.clusters.map(move);
  config.users = config.users.map((user) => {
    const moved = move(user);
    const provider = moved.authProvider as { name: string; config: object } | undefined;
    return provider === undefined ? moved : { ...moved, authProvider: { ...provider, config: move(provider.config) } };
  });
}

/**
 * The credentials: of the kubeconfig file when one is named, else of the pod's ServiceAccount, else kubectl's default
 * places (`$KUBECONFIG`, `~/.kube/config`).
 * @param root the directory that all their files lie below, as if it were `/`
 * @throws Error when the file can't be read or its current context names no cluster.
 */
export function loadKubeConfig(kubeconfig: string | undefined, root = ""): KubeConfig {
  const config = new KubeConfig();
  if (kubeconfig !== undefined && kubeconfig !== "") {
    config.loadFromFile(join(root, kubeconfig));
    useTokenFiles(config, join(root, kubeconfig));
    if (root !== "") moveFiles(config, root);
  } else if (process.env["KUBERNETES_SERVICE_HOST"] !== undefined) config.loadFromCluster(root);
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
