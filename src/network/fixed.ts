// Addresses that a container asks for: how plugins are told, and whether they have listened.
import { isIPv6 } from "node:net";
import { addresses } from "./addresses.ts";
import type { CniResult } from "./cni.ts";
import { hasCapability } from "./config.ts";
import type { NetworkConfigList, PortMapping, RuntimeConfig } from "./config.ts";
import { NetworkError } from "./errors.ts";
import { formatPort, portMappings } from "./ports.ts";
import type { AttachRequest } from "./network.ts";

type Wish = Pick<AttachRequest, "ipAddress" | "macAddress" | "networkName" | "ports">;

/** The arguments for plugins that declare the capabilities `ips` and `mac` (CNI conventions). */
export function fixedConfig({ ipAddress, macAddress }: Wish): Pick<RuntimeConfig, "ips" | "mac"> {
  return {
    ...(ipAddress === undefined ? {} : { ips: [ipAddress] }),
    ...(macAddress === undefined ? {} : { mac: macAddress }),
  };
}

/** `CNI_ARGS` for what no plugin of the list declares: host-local and bridge know these without a capability, too. */
export function fixedArgs({ ipAddress, macAddress }: Wish, list: NetworkConfigList): string | undefined {
  const args = [
    ...(ipAddress === undefined || hasCapability(list, "ips") ? [] : [`IP=${ipAddress}`]),
    ...(macAddress === undefined || hasCapability(list, "mac") ? [] : [`MAC=${macAddress}`]),
  ];
  return args.length === 0 ? undefined : ["IgnoreUnknown=1", ...args].join(";");
}

/**
 * Checks what ADD has answered against what was asked for: plugins that don't know an argument leave it out silently.
 *
 * @throws NetworkError naming the field
 */
export function checkGiven(wish: Wish, result: CniResult | undefined): void {
  const { ipAddresses, macAddress } = addresses(result);
  const given = (what: string) => `; it gave ${what === "" ? "none" : what}`;
  if (wish.ipAddress !== undefined && !ipAddresses.some((address) => isSameAddress(address, wish.ipAddress))) {
    throw notGiven("ipAddress", wish.ipAddress, wish, given(ipAddresses.join(" and ")));
  }
  if (wish.macAddress !== undefined && macAddress?.toLowerCase() !== wish.macAddress.toLowerCase()) {
    throw notGiven("macAddress", wish.macAddress, wish, given(macAddress ?? ""));
  }
  const unreachable = portMappings(wish.ports ?? []).find((port) => !canLead(port, ipAddresses));
  if (unreachable !== undefined) {
    throw new NetworkError(
      `hostPort ${formatPort(unreachable)} can't be published: the container has no address of hostIP's family, only ` +
        ipAddresses.join(" and "),
    );
  }
}

function notGiven(field: string, value: string, { networkName }: Wish, given: string): NetworkError {
  const what = networkName === undefined ? "the node's bridge" : `network ${networkName}`;
  return new NetworkError(
    `spec.network.${field}: ${what} does not give ${value}${given}: leave it out, or use a network whose plugins take it`,
  );
}

/** A port at one address of the node leads to an address of the same family only. */
function canLead({ hostIP }: PortMapping, ipAddresses: readonly string[]): boolean {
  return hostIP === undefined || ipAddresses.some((address) => isIPv6(address) === isIPv6(hostIP));
}

/** IPv6 addresses have several spellings. */
function isSameAddress(one: string, other: string | undefined): boolean {
  if (other === undefined || isIPv6(one) !== isIPv6(other)) return false;
  return one === other || (isIPv6(one) && canonical(one) === canonical(other));
}

function canonical(ipv6: string): string {
  return new URL(`http://[${ipv6}]`).hostname;
}
