// Reading the addresses of a container out of a CNI result (spec 1.0.0, section 5, "Success").
import type { CniResult } from "./cni.ts";

/** The interface inside the container, called as in Docker and in Pods. */
export const IF_NAME = "eth0";

export type Addresses = {
  /** Without prefix length. */
  ipAddresses: string[];
  gateway?: string;
  macAddress?: string;
};

/** What the plugins' result says of the container's own interface. */
export function addresses(result: CniResult | undefined): Addresses {
  const index = result?.interfaces?.findIndex((entry) => entry.name === IF_NAME && (entry.sandbox ?? "") !== "") ?? -1;
  // A plugin that names no interfaces at all means the container's.
  const own = (result?.ips ?? []).filter((ip) => ip.interface === undefined || ip.interface === index);
  const gateway = own.find((ip) => ip.gateway !== undefined)?.gateway;
  const macAddress = result?.interfaces?.[index]?.mac;
  return {
    ipAddresses: own.flatMap((ip) => ip.address.split("/", 1)),
    ...(gateway === undefined ? {} : { gateway }),
    ...(macAddress === undefined ? {} : { macAddress }),
  };
}
