// Contents of /etc/hosts and /etc/hostname, line by line what Docker writes.

import type { HostAlias } from "../api/index.ts";

// Docker's own names for loopback, before anything of the container.
const LOCALHOST = [
  ["127.0.0.1", "localhost"],
  ["::1", "localhost ip6-localhost ip6-loopback"],
  ["fe00::", "ip6-localnet"],
  ["ff00::", "ip6-mcastprefix"],
  ["ff02::1", "ip6-allnodes"],
  ["ff02::2", "ip6-allrouters"],
] as const;

export type HostsWish = {
  hostname: string;
  domainname?: string | undefined;
  /** The container's addresses; none without a network of its own. */
  ipAddresses: readonly string[];
  hostAliases?: readonly HostAlias[] | undefined;
  /** The node's file, for a container in the node's network: it takes the place of all but the aliases. */
  nodeFile?: string | undefined;
};

/** The text of /etc/hosts. Aliases come before the container's own names, so that they win where both name one host. */
export function hostsFile(wish: HostsWish): string {
  const aliases = (wish.hostAliases ?? []).map(({ ip, hostnames }) => line(ip, hostnames.join(" ")));
  if (wish.nodeFile !== undefined) {
    return [...(wish.nodeFile === "" ? [] : [wish.nodeFile.replace(/\n*$/, "\n")]), ...aliases].join("");
  }
  const names = [...(wish.domainname ? [`${wish.hostname}.${wish.domainname}`] : []), wish.hostname].join(" ");
  const own = wish.ipAddresses.map((ip) => line(ip, names));
  return [...LOCALHOST.map(([ip, localNames]) => line(ip, localNames)), ...aliases, ...own].join("");
}

/** The text of /etc/hostname. */
export function hostnameFile(hostname: string): string {
  return `${hostname}\n`;
}

function line(ip: string, names: string): string {
  return `${ip}\t${names}\n`;
}
