import { createSocket } from "node:dgram";
import { once } from "node:events";
import { createServer } from "node:net";
import type { AddressInfo } from "node:net";
import { describe, expect, it } from "@jest/globals";
import { collide, portMappings, probePort } from "./ports.ts";

const tcp = (hostPort: number, hostIP?: string) => ({
  hostPort,
  containerPort: 80,
  protocol: "tcp" as const,
  ...(hostIP === undefined ? {} : { hostIP }),
});

describe("portMappings", () => {
  it("publishes only what has a hostPort, on all addresses unless one is named", () => {
    expect(
      portMappings([
        { containerPort: 80 },
        { containerPort: 80, hostPort: 8080, hostIP: "0.0.0.0" },
        { containerPort: 53, hostPort: 53, protocol: "UDP", hostIP: "127.0.0.1" },
      ]),
    ).toEqual([
      { containerPort: 80, hostPort: 8080, protocol: "tcp" },
      { containerPort: 53, hostPort: 53, protocol: "udp", hostIP: "127.0.0.1" },
    ]);
  });
});

describe("collide", () => {
  it("keeps protocols and addresses apart, but all addresses take each", () => {
    expect(collide(tcp(80), tcp(80))).toBe(true);
    expect(collide(tcp(80), tcp(81))).toBe(false);
    expect(collide(tcp(80), { ...tcp(80), protocol: "udp" })).toBe(false);
    expect(collide(tcp(80, "127.0.0.1"), tcp(80, "127.0.0.2"))).toBe(false);
    expect(collide(tcp(80, "127.0.0.1"), tcp(80))).toBe(true);
  });
});

describe("probePort", () => {
  it("finds a TCP port taken on one address, and free again afterwards", async () => {
    const server = createServer().listen(0, "127.0.0.1");
    await once(server, "listening");
    const { port } = server.address() as AddressInfo;
    await expect(probePort(tcp(port))).rejects.toThrow(`hostPort ${port}/tcp is taken by a process on the node`);
    await expect(probePort(tcp(port, "127.0.0.2"))).resolves.toBeUndefined();
    server.close();
    await once(server, "close");
    await probePort(tcp(port));
    await expect(probePort(tcp(port))).resolves.toBeUndefined();
  });

  it("finds a UDP port taken", async () => {
    const socket = createSocket("udp4").bind(0, "127.0.0.1");
    await once(socket, "listening");
    const { port } = socket.address();
    const mapping = { ...tcp(port), protocol: "udp" as const };
    await expect(probePort(mapping)).rejects.toThrow(`${port}/udp is taken`);
    socket.close();
    await once(socket, "close");
    await expect(probePort(mapping)).resolves.toBeUndefined();
  });

  it("tells an address that the node does not have", async () => {
    await expect(probePort(tcp(8080, "192.0.2.1"))).rejects.toThrow("hostIP 192.0.2.1 is not an address of this node");
  });
});
