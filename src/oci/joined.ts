/** A container that is in the network of another one. */
import type { OciNamespace, OciSpec } from "./types.ts";

const DOMAIN = "kernel.domainname";

/** The network that is joined, with the names that belong to it. */
export interface JoinedNetwork {
  readonly hostname: string;
  readonly domainname?: string;
  /** Path of the namespace; the node's own when absent. */
  readonly netns: string | undefined;
}

/** The spec in this network in the place of another: namespace, host name and domain are those of the container joined (Docker's rule). */
export function withNetworkOf(spec: OciSpec, { hostname, domainname, netns }: JoinedNetwork): OciSpec {
  const { sysctl, namespaces } = spec.linux;
  const { [DOMAIN]: _, ...others } = sysctl ?? {};
  const network: OciNamespace[] = netns === undefined ? [] : [{ type: "network", path: netns }];
  const env = spec.process.env.map((entry) =>
    entry === `HOSTNAME=${spec.hostname ?? ""}` ? `HOSTNAME=${hostname}` : entry,
  );
  return {
    ...spec,
    hostname,
    process: { ...spec.process, env },
    linux: {
      ...spec.linux,
      namespaces: [...namespaces.filter(({ type }) => type !== "network"), ...network],
      sysctl: { ...others, ...(domainname === undefined ? {} : { [DOMAIN]: domainname }) },
    },
  };
}
