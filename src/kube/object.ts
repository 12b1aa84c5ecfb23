/** The part of an object's metadata that this package relies on. */
export type KubeMeta = {
  name: string;
  namespace?: string;
  uid: string;
  resourceVersion: string;
  labels?: Record<string, string>;
  annotations?: Record<string, string>;
};

/** Any object of the Kubernetes API. */
export type KubeObject = { apiVersion?: string; kind?: string; metadata: KubeMeta };

/** The cache's and the queue's key of an object: `<namespace>/<name>`, or `<name>` when it has no namespace. */
export function keyOf(object: { metadata: { name: string; namespace?: string } }): string {
  const { namespace, name } = object.metadata;
  return namespace === undefined || namespace === "" ? name : `${namespace}/${name}`;
}

/** The reverse of {@link keyOf}; the namespace of a cluster-scoped object is "". */
export function parseKey(key: string): { namespace: string; name: string } {
  const slash = key.indexOf("/");
  return { namespace: key.slice(0, Math.max(slash, 0)), name: key.slice(slash + 1) };
}

/**
 * Orders two resourceVersions: negative when `a` is older, 0 when equal, positive when newer; undefined when that can't be
 * told. Kubernetes promises the order only for servers whose versions are numbers, which all etcd-backed ones are.
 */
export function compareVersions(a: string, b: string): number | undefined {
  if (a === b) return 0;
  if (!/^\d+$/.test(a) || !/^\d+$/.test(b)) return undefined;
  const difference = BigInt(a) - BigInt(b);
  return difference < 0n ? -1 : difference > 0n ? 1 : 0;
}
