// The network a Container gets when it names none: a bridge of the agent's own, laid out as Docker lays out its.
import { isIPv4 } from "node:net";
import type { NetworkConfigList } from "./config.ts";
import { NetworkError } from "./errors.ts";

export type BridgeOptions = {
  /** Also the network's name, so that several agents on one machine keep their addresses and chains apart. */
  bridgeName: string;
  /** CIDR; the bridge takes the first address. */
  bridgeSubnet: string;
  /** Where host-local keeps the addresses given out. Not to survive a reboot: nothing would give them back. */
  addressDir: string;
  /** Accept forwarded packets of the container explicitly: for hosts whose FORWARD policy is DROP. */
  firewall: boolean;
};

/**
 * The bridge network's configuration list. `portmap` is in it only for containers that publish a port: without one it
 * is a process that does nothing. The way out is not the plugin's business (`ipMasq`): one rule for the subnet does it.
 */
export function bridgeNetwork(options: BridgeOptions, withPorts: boolean): NetworkConfigList {
  const bridge = {
    type: "bridge",
    bridge: options.bridgeName,
    capabilities: { ips: true, mac: true },
    isGateway: true,
    // A container reaches itself through a port it has published.
    hairpinMode: true,
    ipam: {
      type: "host-local",
      dataDir: options.addressDir,
      ranges: [[{ subnet: options.bridgeSubnet }]],
      routes: [{ dst: "0.0.0.0/0" }],
    },
  };
  // snat lets the node reach a published port on 127.0.0.1.
  const portmap = { type: "portmap", capabilities: { portMappings: true }, snat: true };
  return {
    cniVersion: "1.0.0",
    name: options.bridgeName,
    plugins: [bridge, ...(withPorts ? [portmap] : []), ...(options.firewall ? [{ type: "firewall" }] : [])],
  };
}

/**
 * Why an address can't be a container's in the agent's own subnet; undefined when it can.
 *
 * @param subnet as {@link checkBridgeOptions} takes it
 */
export function addressProblem(address: string, subnet: string): string | undefined {
  const [network = "", length = ""] = subnet.split("/");
  const size = 2 ** (32 - Number(length));
  const first = Math.floor(numberOf(network) / size) * size;
  const offset = isIPv4(address) ? numberOf(address) - first : -1;
  if (offset < 0 || offset >= size) return `is outside the subnet ${subnet} of the node's bridge`;
  if (offset === 1) return "is the address of the node's bridge itself";
  return offset === 0 || offset === size - 1 ? `is no host's address in the subnet ${subnet}` : undefined;
}

function numberOf(ipv4: string): number {
  return ipv4.split(".").reduce((number, part) => number * 256 + Number(part), 0);
}

/**
 * Checks the two flags before the first container does.
 *
 * @throws NetworkError naming the flag
 */
export function checkBridgeOptions(options: { bridgeName: string; bridgeSubnet: string }): void {
  // The kernel's IFNAMSIZ less the terminating zero, and what it refuses in a name.
  if (!/^[A-Za-z0-9_.-]{1,15}$/.test(options.bridgeName)) {
    throw new NetworkError(`--bridge-name ${options.bridgeName}: must be at most 15 letters, digits, dots and dashes`);
  }
  const [address, length, ...rest] = options.bridgeSubnet.split("/");
  const bits = /^\d+$/.test(length ?? "") ? Number(length) : NaN;
  if (rest.length > 0 || !isIPv4(address ?? "") || !(bits >= 8 && bits <= 29)) {
    throw new NetworkError(
      `--bridge-subnet ${options.bridgeSubnet}: must be an IPv4 subnet with a prefix length of 8 to 29, as 10.89.0.0/16`,
    );
  }
}
