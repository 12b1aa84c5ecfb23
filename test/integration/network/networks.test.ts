// Networks other than the node's bridge, fixed addresses, and what the node's bridge needs of the node's packet filter.
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import type { Container, ContainerSpec } from "../../../src/api/index.ts";
import { run } from "../../../src/node/index.ts";
import { expectFailedStart, INVALID_SPEC, NETWORK_SETUP_FAILED } from "../../support/failed-start.ts";
import { addressOf, fileIn, inside } from "../../support/look.ts";
import { untilOutput } from "../../support/probe.ts";
import { useNode } from "../../support/test-node.ts";
import { untilSo } from "../../support/until-so.ts";

const test = useNode();

const started = async (spec: Partial<ContainerSpec>): Promise<Container> =>
  test().untilState(await test().create(spec), "Running");
const bridged = (network: NonNullable<ContainerSpec["network"]> = {}): Partial<ContainerSpec> => ({
  network: { mode: "Bridge", ...network },
});
/** An address of the node's own subnet. */
const own = (host: number): string => test().node.bridgeSubnet.replace(/0\/24$/, String(host));
const rules = async (table: string): Promise<string[]> =>
  (await run("iptables-save", ["-t", table])).stdout.split("\n").filter((line) => line.startsWith("-A "));

describe("a fixed address", () => {
  it("is given, and so is a MAC address; both are kept over a recreation", async () => {
    const wish = { ipAddress: own(77), macAddress: "02:42:0a:59:00:4d" };
    const created = await started(bridged(wish));
    expect(created.status?.network).toMatchObject({ ipAddresses: [wish.ipAddress], macAddress: wish.macAddress });
    expect(await inside(created, "ip -o -4 addr show eth0; cat /sys/class/net/eth0/address")).toMatch(
      new RegExp(`inet ${wish.ipAddress}/24 .*\n${wish.macAddress}\n$`, "s"),
    );
    const changed = await test().patch(created, { spec: { hostname: "another" } });
    const recreated = await test().untilState(changed, "Running");
    expect(recreated.status?.network).toEqual(created.status?.network);
    await test().deleteAll();
  });

  it("that another container has is waited for, until it is free", async () => {
    const wish = bridged({ ipAddress: own(78) });
    const holder = await started(wish);
    const id = holder.status?.containerID?.split("//")[1] ?? "?";
    const says = [`spec.network.ipAddress: ${own(78)} is taken by container ${id}`];
    const failed = await expectFailedStart(test(), wish, { ...NETWORK_SETUP_FAILED, says });
    await test().delete(holder);
    await test().untilState(failed, "Running");
    await test().deleteAll();
  });

  it("that the node's bridge can never give is the spec's mistake", async () => {
    for (const [ipAddress, problem] of [
      ["192.0.2.7", `is outside the subnet ${test().node.bridgeSubnet}`],
      [own(1), "is the address of the node's bridge itself"],
      ["fd00::7", "is outside the subnet"],
    ] as const) {
      const says = [`spec.network.ipAddress: ${ipAddress} ${problem}`];
      await test().delete(await expectFailedStart(test(), bridged({ ipAddress }), { ...INVALID_SPEC, says }));
    }
  });
});

describe("a network of the administrator's", () => {
  const bridgeName = (): string => `lan${String(test().node.index)}`;
  const v4 = (host: number | string): string => `10.88.${String(test().node.index)}.${String(host)}`;
  const v6 = (host: string): string => `fd00:88:${String(test().node.index)}::${host}`;
  const write = (file: string, content: object | string): void => {
    const text = typeof content === "string" ? content : JSON.stringify(content);
    writeFileSync(join(test().node.dir, "cni", file), text);
  };
  const dataDir = (): string => join(test().node.dir, "lan");
  const bridge = (ranges: object[][]): object => ({
    type: "bridge",
    bridge: bridgeName(),
    isGateway: true,
    ipam: { type: "host-local", dataDir: dataDir(), ranges },
  });

  beforeAll(() => {
    mkdirSync(join(test().node.dir, "cni"));
    const ranges = [[{ subnet: v4("0/24") }], [{ subnet: `${v6("")}/64` }]];
    write("10-lan.conflist", { cniVersion: "1.0.0", name: "lan", plugins: [bridge(ranges), portmap] });
    write("20-small.conf", {
      cniVersion: "0.4.0",
      name: "small",
      type: "ptp",
      ipam: { type: "host-local", dataDir: dataDir(), ranges: [[{ subnet: v4("248/30") }]] },
    });
    write("30-broken.conflist", '{ "name": "broken", ');
    write("40-no-plugin.conflist", { cniVersion: "1.0.0", name: "no-plugin", plugins: [{ type: "nowhere" }] });
  });
  afterAll(async () => {
    await test().deleteAll();
    rmSync(dataDir(), { recursive: true, force: true });
    await run("ip", ["link", "delete", bridgeName()]);
  });
  const portmap = { type: "portmap", capabilities: { portMappings: true }, snat: true };
  const lan = (more: NonNullable<ContainerSpec["network"]> = {}): Partial<ContainerSpec> =>
    bridged({ name: "lan", ...more });

  it("gives its addresses, IPv6 ones as well, and the hosts files of its containers name each other by both", async () => {
    const first = await started(lan());
    const second = await started(lan({ ipAddress: v4(50) }));
    expect(first.status?.network?.ipAddresses).toEqual([v4(2), v6("2")]);
    expect(second.status?.network?.ipAddresses?.[0]).toBe(v4(50));
    const [v4Address = "", v6Address = ""] = second.status?.network?.ipAddresses ?? [];
    const { name } = second.metadata;
    expect(fileIn(first, "/etc/hosts")).toContain(`${v4Address}\t${name}\n${v6Address}\t${name}\n`);
    expect(fileIn(second, "/etc/hosts")).toContain(`${v4Address}\t${name}\n${v6Address}\t${name}\n`);
    await inside(first, `ping -c 1 -W 5 -4 ${name} && ping -c 1 -W 5 -6 ${name}`);
    // Those on the node's own bridge are not reached from there, and so are not named.
    const other = await started(bridged());
    expect(fileIn(first, "/etc/hosts")).not.toContain(other.metadata.name);
    expect(fileIn(other, "/etc/hosts")).not.toContain(name);
    await test().deleteAll();
  });

  it("is reached from the node's bridge, where the way out begins, by the node's address", async () => {
    const server = await started({
      ...lan(),
      command: ["sh", "-c", "trap 'exit 0' TERM; httpd -f -vv -p 80 -h /www & wait"],
    });
    const client = await started(bridged());
    const url = `http://${addressOf(server)}/`;
    expect(await inside(client, `until wget -q -O - ${url}; do usleep 50000; done`)).toBe("Hello from Berth\n");
    await untilOutput(test(), server, `[::ffff:${v4(1)}]:`);
    expect(test().output(server)).not.toContain(addressOf(client));
    await test().deleteAll();
  });

  it("gives a MAC address to who asks for one, and no address that is not its own", async () => {
    const created = await started(lan({ macAddress: "02:42:0a:58:00:33" }));
    expect(created.status?.network?.macAddress).toBe("02:42:0a:58:00:33");
    const says = [
      "network lan: CNI plugin",
      "192.0.2.9",
      "spec.network.ipAddress must be a free address of this network",
    ];
    await test().delete(
      await expectFailedStart(test(), lan({ ipAddress: "192.0.2.9" }), { ...NETWORK_SETUP_FAILED, says }),
    );
    await test().deleteAll();
  });

  it("publishes ports only where a plugin does that", async () => {
    const port = 20_600 + test().node.index;
    const ports = [{ containerPort: 80, hostPort: port }];
    const published = await started({ ...lan(), ports });
    expect((await rules("nat")).filter((rule) => rule.includes(`--dport ${String(port)} `))).not.toEqual([]);
    await test().delete(published);
    const says = ["network small: its configuration has no plugin with the capability portMappings"];
    const spec = { ...bridged({ name: "small" }), ports };
    await test().delete(await expectFailedStart(test(), spec, { ...NETWORK_SETUP_FAILED, says }));
  });

  it("that is used up is waited for, until an address is free", async () => {
    const holder = await started(bridged({ name: "small" }));
    const says = ["network small: ", "all its addresses are in use; remove Containers or widen the range"];
    const failed = await expectFailedStart(test(), bridged({ name: "small" }), { ...NETWORK_SETUP_FAILED, says });
    await test().delete(holder);
    await test().untilState(failed, "Running");
    await test().deleteAll();
  });

  it.each<[string, string, string[]]>([
    ["nobody knows", "unknown", ["network unknown: no CNI configuration with this name in", "30-broken.conflist: "]],
    ["has a broken file", "broken", ["network broken: no CNI configuration", "could not be read: 30-broken.conflist"]],
    ["has a plugin that is not there", "no-plugin", ["CNI plugin nowhere is in none of", "--cni-bin-dir"]],
  ])("that %s is named, with where it was looked for", async (_, name, says) => {
    await test().delete(await expectFailedStart(test(), bridged({ name }), { ...NETWORK_SETUP_FAILED, says }));
  });
});

describe("the node's packet filter", () => {
  const masquerade = async (): Promise<string[]> =>
    (await rules("nat")).filter((rule) => rule.includes(` ! -o ${test().node.bridgeName} `));

  it("has one rule for the way out of all containers, made anew when someone has taken it away", async () => {
    const [first] = await Promise.all([started(bridged()), started(bridged()), started(bridged())]);
    const expected = `-s ${test().node.bridgeSubnet} ! -o ${test().node.bridgeName} -m comment --comment berth -j MASQUERADE`;
    expect(await masquerade()).toEqual([`-A POSTROUTING ${expected}`]);
    await run("iptables", ["--wait", "-t", "nat", "-D", "POSTROUTING", ...expected.split(" ")]);
    await started(bridged());
    // One whose network was made ahead has the rule looked at when it runs.
    await untilSo("the rule is there", async () => (await masquerade()).length > 0);
    expect(await masquerade()).toEqual([`-A POSTROUTING ${expected}`]);
    const ofContainer = (rule: string): boolean => rule.includes(`${addressOf(first)}/32`);
    expect((await rules("nat")).filter(ofContainer)).toEqual([]);
    await test().deleteAll();
  });

  it("keeps nothing of a container that has deleted its own interface", async () => {
    const before = await test().audit();
    const port = 20_700 + test().node.index;
    const created = await started({
      ...bridged(),
      securityContext: { privileged: true },
      ports: [{ containerPort: 80, hostPort: port }],
    });
    await inside(created, "ip link delete eth0");
    await test().delete(created);
    expect(await test().leaks(before)).toEqual([]);
    expect((await rules("nat")).filter((rule) => rule.includes(String(port)))).toEqual([]);
  });

  it("leads no UDP port to a container that a process of the node has", async () => {
    const socket = createSocket("udp4").bind(0, "127.0.0.1");
    await once(socket, "listening");
    const { port } = socket.address();
    const ports = [{ containerPort: 53, hostPort: port, protocol: "UDP" as const }];
    const says = [`hostPort ${String(port)}/udp is taken by a process on the node`];
    const failed = await expectFailedStart(test(), { ...bridged(), ports }, { ...NETWORK_SETUP_FAILED, says });
    socket.close();
    await test().untilState(failed, "Running");
    await test().deleteAll();
  });

  it("leads an SCTP port to the container", async () => {
    const port = 20_800 + test().node.index;
    const ports = [{ containerPort: 132, hostPort: port, protocol: "SCTP" as const }];
    const created = await started({ ...bridged(), ports });
    expect(created.status?.network?.ports).toEqual(ports);
    const leading = (await rules("nat")).filter(
      (rule) => rule.includes(`--dport ${String(port)} `) && rule.includes("DNAT"),
    );
    expect(leading).toEqual([
      expect.stringMatching(
        new RegExp(`-p sctp .*--dport ${String(port)} -j DNAT --to-destination ${addressOf(created)}:132$`),
      ),
    ]);
    const says = [`hostPort ${String(port)}/sctp is taken by container`];
    await test().delete(await expectFailedStart(test(), { ...bridged(), ports }, { ...NETWORK_SETUP_FAILED, says }));
    await test().deleteAll();
  });
});
