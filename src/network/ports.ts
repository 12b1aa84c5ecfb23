// Ports of the node that lead into containers. The portmap plugin writes its rules without looking whether anyone has
// the port already, so Berth looks first.
import { createSocket } from "node:dgram";
import { createServer } from "node:net";
import type { Port } from "../api/index.ts";
import { errorCode } from "../node/index.ts";
import type { PortMapping } from "./config.ts";
import { NetworkError } from "./errors.ts";

const ANY_ADDRESS = new Set([undefined, "", "0.0.0.0", "::"]);

/** The protocol in the API's words. */
export function statusProtocol({ protocol }: PortMapping): "TCP" | "UDP" | "SCTP" {
  const names = { tcp: "TCP", udp: "UDP", sctp: "SCTP" } as const;
  return names[protocol];
}

/** The ports that are published: as in core/v1, those with a hostPort. */
export function portMappings(ports: readonly Port[]): PortMapping[] {
  return ports.flatMap(({ containerPort, hostPort, protocol, hostIP }) => {
    if (hostPort === undefined || hostPort === 0) return [];
    const base = { hostPort, containerPort, protocol: (protocol ?? "TCP").toLowerCase() as PortMapping["protocol"] };
    return hostIP === undefined || ANY_ADDRESS.has(hostIP) ? base : { ...base, hostIP };
  });
}

/** Whether two mappings want the same port of the node. */
export function collide(a: PortMapping, b: PortMapping): boolean {
  if (a.hostPort !== b.hostPort || a.protocol !== b.protocol) return false;
  return a.hostIP === b.hostIP || a.hostIP === undefined || b.hostIP === undefined;
}

/** A mapping as a person writes it: `127.0.0.1:8080/tcp`. */
export function formatPort(mapping: PortMapping): string {
  return `${mapping.hostIP === undefined ? "" : `${mapping.hostIP}:`}${String(mapping.hostPort)}/${mapping.protocol}`;
}

/**
 * Binds the port for a moment to see whether a process of the node has it. SCTP can't be asked.
 *
 * @throws NetworkError when it is taken, or the address is none of this node
 */
export async function probePort(mapping: PortMapping): Promise<void> {
  if (mapping.protocol === "sctp") return;
  try {
    await (mapping.protocol === "tcp" ? bindTcp(mapping) : bindUdp(mapping));
  } catch (error) {
    const code = errorCode(error);
    if (code === "EADDRINUSE") {
      throw new NetworkError(
        `hostPort ${formatPort(mapping)} is taken by a process on the node: free it or choose another hostPort`,
        { cause: error },
      );
    }
    if (code === "EADDRNOTAVAIL") {
      throw new NetworkError(`hostIP ${mapping.hostIP ?? ""} is not an address of this node`, { cause: error });
    }
    throw error;
  }
}

function bindTcp(mapping: PortMapping): Promise<void> {
  return new Promise((resolve, reject) => {
    const server = createServer((socket) => {
      socket.destroy();
    });
    server.once("error", reject);
    server.listen({ port: mapping.hostPort, host: mapping.hostIP ?? "0.0.0.0", exclusive: true }, () => {
      server.close(() => {
        resolve();
      });
    });
  });
}

function bindUdp(mapping: PortMapping): Promise<void> {
  const host = mapping.hostIP ?? "0.0.0.0";
  return new Promise((resolve, reject) => {
    const socket = createSocket(host.includes(":") ? "udp6" : "udp4");
    socket.once("error", reject);
    socket.bind({ port: mapping.hostPort, address: host, exclusive: true }, () => {
      socket.close(resolve);
    });
  });
}
