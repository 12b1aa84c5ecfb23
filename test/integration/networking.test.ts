// A container's network as its process finds it: the modes, its neighbours, the files that name hosts.
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { once } from "node:events";
import { networkInterfaces } from "node:os";
import { describe, expect, it } from "@jest/globals";
import { probe, untilOutput, valuesOf } from "../support/probe.ts";
import { useNode } from "../support/test-node.ts";

const node = useNode();

const BRIDGE = { mode: "Bridge" } as const;
/** Prints `interface=address/length` of each interface that has an IPv4 address. */
const ADDRESSES = `ip -o -4 addr show | awk '{ print $2 "=" $4 }'`;
const HTTPD = ["sh", "-c", "trap 'exit 0' TERM; httpd -f -p 80 -h /www & echo serving; wait"];

describe("mode Bridge", () => {
  it("gives the address that the status tells, loopback, and a way to the gateway", async () => {
    const created = await node().create({
      command: [
        "sh",
        "-c",
        `${ADDRESSES}; ip -o link show lo; cat /sys/class/net/eth0/address
        ping -c 1 -W 5 $(ip route | awk '/default/ { print $3 }') > /dev/null && echo gateway=reached
        ping -c 1 -W 5 127.0.0.1 > /dev/null && echo loopback=up
        ip route | awk '/default/ { print "route=" $3 }'; echo done; sleep 3600`,
      ],
      network: BRIDGE,
      terminationGracePeriodSeconds: 0,
    });
    const { status } = await node().untilState(created, "Running");
    await untilOutput(node(), created, "done\n");
    const output = node().output(created);
    const prefix = node().node.bridgeSubnet.replace(/0\/24$/, "");
    expect(status?.network).toEqual({
      ipAddresses: [expect.stringMatching(`^${prefix}\\d+$`)],
      gateway: `${prefix}1`,
      macAddress: expect.stringMatching(/^([0-9a-f]{2}:){5}[0-9a-f]{2}$/),
    });
    expect(valuesOf(output)).toMatchObject({
      lo: "127.0.0.1/8",
      eth0: `${String(status?.network?.ipAddresses?.[0])}/24`,
      gateway: "reached",
      loopback: "up",
      route: `${prefix}1`,
    });
    expect(output).toContain(`\n${String(status?.network?.macAddress)}\n`);
    await node().delete(created);
  });

  it("is the default; two containers reach each other, also on a low port of one without privileges", async () => {
    const created = await node().create({
      command: HTTPD,
      network: {},
      user: "app",
      securityContext: { capabilities: { drop: ["ALL"] } },
    });
    const server = await node().untilState(created, "Running");
    const address = String(server.status?.network?.ipAddresses?.[0]);
    await untilOutput(node(), server, "serving\n");
    const { output } = await probe(
      node(),
      `until wget -q -O - http://${address}/; do usleep 50000; done; cat /proc/sys/net/ipv4/ping_group_range`,
      { network: BRIDGE },
    );
    expect(output).toContain("Hello from Berth\n");
    // Anyone may ping, too.
    expect(output).toContain("0\t2147483647\n");
    await node().delete(server);
  });
});

describe("mode None", () => {
  it("has loopback alone, and no address in the status", async () => {
    const { container, output } = await probe(node(), `${ADDRESSES}; ip route | wc -l; ping -c 1 192.0.2.1`, {
      network: { mode: "None" },
    });
    expect(valuesOf(output)).toEqual({ lo: "127.0.0.1/8" });
    expect(output).toContain("\n0\n");
    expect(output).toContain("Network is unreachable");
    expect(container.status?.network).toBeUndefined();
  });
});

describe("mode Host", () => {
  it("is the node's network: its interfaces, its ports, its names", async () => {
    const server = createServer((_, response) => response.end("from the node\n")).listen(0, "127.0.0.1");
    await once(server, "listening");
    const address = server.address();
    const before = Object.keys(networkInterfaces());
    const port = typeof address === "object" && address !== null ? address.port : 0;
    const { container, output } = await probe(
      node(),
      `ls /sys/class/net | sed 's/^/interface=/'; wget -q -O - http://127.0.0.1:${String(port)}/; cat /etc/resolv.conf /etc/hosts; hostname`,
      { network: { mode: "Host" } },
    );
    server.close();
    // Those of other nodes' containers come and go.
    const after = networkInterfaces();
    for (const name of before.filter((name) => name in after)) expect(output).toContain(`interface=${name}\n`);
    expect(output).toContain("from the node\n");
    expect(output).toContain(readFileSync("/etc/resolv.conf", "utf8"));
    expect(output).toContain(readFileSync("/etc/hosts", "utf8"));
    expect(output).toMatch(new RegExp(`\n${container.metadata.name}\n$`));
    expect(container.status?.network).toBeUndefined();
  });
});

describe("the files that name hosts", () => {
  const FILES = "cat /etc/hosts; echo ---; cat /etc/hostname; echo ---; cat /etc/resolv.conf";

  it("know the container, its aliases and its name servers", async () => {
    const created = await node().create({
      command: [
        "sh",
        "-c",
        `${FILES}; ping -c 1 -W 5 web-1.example.com > /dev/null && echo itself; echo done; sleep 3600`,
      ],
      terminationGracePeriodSeconds: 0,
      hostname: "web-1",
      domainname: "example.com",
      network: {
        mode: "Bridge",
        dns: {
          nameservers: ["192.0.2.53", "192.0.2.54"],
          searches: ["example.com", "example.org"],
          options: [{ name: "ndots", value: "2" }, { name: "edns0" }],
        },
        hostAliases: [{ ip: "192.0.2.10", hostnames: ["db", "db.example.com"] }],
      },
    });
    const { status } = await node().untilState(created, "Running");
    await untilOutput(node(), created, "done\n");
    const [hosts = "", hostname, rest] = node().output(created).split("---\n");
    expect(hosts).toMatch(/^127\.0\.0\.1\tlocalhost\n/);
    expect(hosts).toContain("192.0.2.10\tdb db.example.com\n");
    expect(hosts).toContain(`${String(status?.network?.ipAddresses?.[0])}\tweb-1.example.com web-1\n`);
    expect(hostname).toBe("web-1\n");
    expect(rest).toBe(
      "nameserver 192.0.2.53\nnameserver 192.0.2.54\nsearch example.com example.org\noptions ndots:2 edns0\nitself\ndone\n",
    );
    await node().delete(created);
  });

  it("have the node's name servers, but for those on its loopback", async () => {
    const { output } = await probe(node(), FILES, { network: BRIDGE });
    const ofNode = readFileSync("/etc/resolv.conf", "utf8").match(/^nameserver .*$/gm) ?? [];
    const reachable = ofNode.filter((line) => !/ (127\.|::1|.*:)/.test(line));
    const expected = reachable.length > 0 ? reachable : ["nameserver 8.8.8.8", "nameserver 8.8.4.4"];
    expect(output.match(/^nameserver .*$/gm)).toEqual(expected);
  });

  it("can be written by the container, until its next start", async () => {
    const { container, output } = await probe(
      node(),
      "cat /etc/hosts; echo '192.0.2.1 own' >> /etc/hosts && cat /etc/hosts",
      {
        network: { mode: "None" },
      },
    );
    expect(output.match(/own/g)).toHaveLength(1);
    await node().patch(container, { metadata: { annotations: { "berth.dev/restartedAt": "once" } } });
    await node().until(container, "restarted", ({ status }) => status?.state === "Exited" && status.restartCount === 1);
    expect(node().output(container).match(/own/g)).toHaveLength(2);
  });
});
