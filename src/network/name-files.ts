// The three files by which a container knows its own name and finds others, put together from its spec and the node's.
import { readFile } from "node:fs/promises";
import { type ContainerSpec, hostname } from "../api/index.ts";
import { orMissing } from "../node/index.ts";
import { hostnameFile, hostsFile } from "./hosts.ts";
import { readNodeResolvConf, resolvConf } from "./resolv.ts";

/** Contents of /etc/hosts, /etc/hostname and /etc/resolv.conf. */
export type NameFiles = { hosts: string; hostname: string; resolvConf: string };

/** The files of a container; one without addresses of its own (modes Host and None) has no line of its own in hosts. */
export async function nameFiles(
  container: { name: string; spec: Pick<ContainerSpec, "hostname" | "domainname" | "network"> },
  ipAddresses: readonly string[],
): Promise<NameFiles> {
  const { domainname, network } = container.spec;
  const ownName = hostname(container);
  const hostNetwork = network?.mode === "Host";
  const [nodeHosts, nodeResolvConf] = await Promise.all([
    hostNetwork ? orMissing(readFile("/etc/hosts", "utf8")) : undefined,
    readNodeResolvConf(),
  ]);
  const nodeFile = hostNetwork ? (nodeHosts ?? "") : undefined;
  return {
    hosts: hostsFile({ hostname: ownName, domainname, ipAddresses, hostAliases: network?.hostAliases, nodeFile }),
    hostname: hostnameFile(ownName),
    resolvConf: resolvConf({
      nodeFile: nodeResolvConf,
      dns: network?.dns,
      hostNetwork,
      ipv6: ipAddresses.some((address) => address.includes(":")),
    }),
  };
}
