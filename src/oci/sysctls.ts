/** Kernel parameters of a container: Docker's defaults and `securityContext.sysctls`. */
import { isIPv4 } from "node:net";
import type { ContainerSpec } from "../api/index.ts";
import { SpecError } from "./errors.ts";

/** What has an own value in each IPC namespace (ipc_namespaces(7)); the runtimes take no others. */
const IPC_SYSCTLS = new Set([
  "kernel.msgmax",
  "kernel.msgmnb",
  "kernel.msgmni",
  "kernel.sem",
  "kernel.shmall",
  "kernel.shmmax",
  "kernel.shmmni",
  "kernel.shm_rmid_forced",
]);

/** A container's network, as far as parameters follow from it. */
export interface SysctlNetwork {
  /** Path of the network namespace; the node's own when absent. */
  readonly netns: string | undefined;
  /** Addresses of eth0. */
  readonly addresses?: readonly string[] | undefined;
  /** The kernel has IPv6. */
  readonly ipv6?: boolean | undefined;
}

/**
 * The parameters to set. As in Docker, a container with a network of its own may ping and listen on any port without
 * privileges, an interface that was given IPv4 addresses alone has no IPv6, and the domain name is the kernel's NIS one.
 *
 * @throws SpecError for a parameter that is the node's as a whole, since its namespace is shared or there is none
 */
export function sysctls(spec: ContainerSpec, { netns, addresses = [], ipv6 }: SysctlNetwork): Record<string, string> {
  const mode = spec.network?.mode ?? "Bridge";
  const ownNetwork = netns !== undefined && (mode === "Bridge" || mode === "None");
  const ipv4Only = ipv6 === true && addresses.length > 0 && addresses.every(isIPv4);
  const defaults = ownNetwork
    ? {
        "net.ipv4.ping_group_range": "0 2147483647",
        "net.ipv4.ip_unprivileged_port_start": "0",
        ...(ipv4Only ? { "net.ipv6.conf.eth0.disable_ipv6": "1" } : {}),
      }
    : {};
  const domain =
    spec.domainname === undefined || spec.domainname === "" ? {} : { "kernel.domainname": spec.domainname };
  const wished = (spec.securityContext?.sysctls ?? []).map(({ name, value }, index) => {
    const problem = problemWith(name.replaceAll("/", "."), netns === undefined, spec.hostIPC === true);
    if (problem !== undefined)
      throw new SpecError(`spec.securityContext.sysctls[${index}].name`, `"${name}" ${problem}`);
    return [name, value] as const;
  });
  return { ...defaults, ...domain, ...Object.fromEntries(wished) };
}

function problemWith(name: string, hostNetwork: boolean, hostIPC: boolean): string | undefined {
  if (name.startsWith("net.")) {
    return hostNetwork ? "can't be set with network.mode Host: it would change the node's network" : undefined;
  }
  if (IPC_SYSCTLS.has(name) || name.startsWith("fs.mqueue.")) {
    return hostIPC ? "can't be set with hostIPC: it would change the node's IPC namespace" : undefined;
  }
  return `can't be set for a container alone: use net.*, fs.mqueue.* or one of ${[...IPC_SYSCTLS].join(", ")}`;
}
