// Networks that are made before a container asks, against the real kernel and the real CNI plugins.
import { chmod, mkdir, readFile, readdir, rm, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "@jest/globals";
import type { Network } from "../../src/network/index.ts";
import { orMissing, run, unmount } from "../../src/node/index.ts";
import { untilSo } from "../support/until-so.ts";
import { BRIDGE, tools, useNetwork } from "./network-fixture.ts";

const HOST_PORT = 18080;

describe("networks made ahead", () => {
  const { network, inState, addressFiles, serve, get } = useNetwork();
  let net: Network;
  const made = async () => (await readdir(inState("spares")).catch(() => [])).filter((name) => name.endsWith(".json"));
  /** What is ready, once that is so many: their addresses. */
  const ready = async (count: number) => {
    const addressesOf = async (name: string) => {
      const record = await orMissing(readFile(inState(`spares/${name}`), "utf8"));
      const { complete, result } = JSON.parse(record ?? "{}") as {
        complete?: boolean;
        result?: { ips: { address: string }[] };
      };
      return complete === true ? (result?.ips ?? []).map(({ address }) => address.replace("/24", "")) : [];
    };
    let found: string[] = [];
    await untilSo(`${count} networks are ready`, async () => {
      found = (await Promise.all((await made()).map(addressesOf))).flat().sort();
      return found.length === count;
    });
    return found;
  };
  const plain = (id: string) => net.attach({ id, mode: "Bridge" });

  beforeEach(async () => {
    net = network({ spareNetworks: 8 });
    await net.prepare();
  });
  afterEach(async () => {
    await net.close();
    await expect(made()).resolves.toEqual([]);
  });

  it("makes none before the first container, and then gives one that is like any other", async () => {
    await expect(made()).resolves.toEqual([]);
    const first = await plain("c1");
    const addresses = await ready(4);
    const c2 = await plain("c2");
    expect(c2).toEqual({
      netns: inState("netns/c2"),
      ipAddresses: [expect.any(String)],
      gateway: "10.89.77.1",
      macAddress: expect.stringMatching(/^([0-9a-f]{2}:){5}[0-9a-f]{2}$/),
      ports: [],
    });
    expect(addresses).toContain(c2.ipAddresses[0]);
    await expect(net.status("c2")).resolves.toEqual(c2);
    await serve(c2.netns, "ahead");
    await expect(get(`http://${c2.ipAddresses[0] ?? ""}/`, first.netns)).resolves.toBe("ahead");
    const interfaces = (await run("nsenter", [`--net=${c2.netns}`, "ip", "-brief", "address"])).stdout;
    expect(interfaces).toMatch(/^lo +UNKNOWN +127\.0\.0\.1/m);
    expect(interfaces).not.toContain("fe80");
    await expect(net.join("c3", "c2")).resolves.toMatchObject({ ipAddresses: c2.ipAddresses });
    await ready(4);
    for (const id of await net.list()) await net.detach(id);
    await net.close();
    await expect(addressFiles()).resolves.toEqual([]);
  });

  it("has as many as were asked for at once, and fewer when there are fewer", async () => {
    let underWay: Promise<unknown> = Promise.resolve();
    net = network({ spareNetworks: 8, idle: () => underWay.then(() => undefined) });
    underWay = Promise.all(["a", "b", "c", "d", "e", "f"].map(plain));
    await ready(6);
    await plain("g");
    await ready(5);
  });

  it("gives none to who asks for more than an address", async () => {
    await plain("c1");
    const addresses = await ready(4);
    await net.attach({ id: "c2", mode: "Bridge", macAddress: "02:42:0a:59:4d:02" });
    await net.attach({ id: "c3", mode: "Bridge", ports: [{ containerPort: 80, hostPort: HOST_PORT }] });
    await net.attach({ id: "c4", mode: "None" });
    await expect(ready(4)).resolves.toEqual(addresses);
  });

  it("gives one up whose address another one is to have", async () => {
    await plain("c1");
    const [address = "", ...others] = await ready(4);
    const wish = { id: "c2", mode: "Bridge", ipAddress: address } as const;
    await expect(net.attach(wish)).resolves.toMatchObject({ ipAddresses: [address] });
    await expect(ready(3)).resolves.toEqual(others);
  });

  it("gives them up when there is no other address left", async () => {
    const stock = net;
    net = network({ bridgeSubnet: "10.89.77.0/28", spareNetworks: 8 });
    await stock.close();
    await plain("c0");
    await ready(2);
    const macAddress = (index: number) => `02:42:0a:59:4d:${String(10 + index)}`;
    const other = (index: number) => net.attach({ id: `o${index}`, mode: "Bridge", macAddress: macAddress(index) });
    // 13 addresses, of which 3 are given.
    for (let index = 0; index < 12; index++) await other(index);
    await expect(made()).resolves.toEqual([]);
    await expect(other(12)).rejects.toThrow("all addresses of 10.89.77.0/28 are in use");
  });

  it("takes over what a killed agent has left, but nothing that is half made or made otherwise", async () => {
    await plain("c1");
    await ready(4);
    const names = await made();
    const [half = "", gone = ""] = names;
    const path = inState(`spares/${half}`);
    const { result: _, ...record } = JSON.parse(await readFile(path, "utf8")) as Record<string, unknown>;
    await writeFile(path, JSON.stringify({ ...record, complete: false }));
    await unmount(inState(`spares/${gone.replace(".json", "")}`));
    await writeFile(inState("spares/spare-unwritten.json.new"), "{");

    const next = network({ spareNetworks: 8 });
    await next.prepare();
    const kept = names.slice(2).sort();
    expect((await made()).sort()).toEqual(kept);
    await next.attach({ id: "c2", mode: "Bridge" });
    const { spare } = JSON.parse(await readFile(inState("cni/c2.json"), "utf8")) as { spare?: string };
    expect(kept).toContain(`${spare}.json`);
    await next.close();
    await expect(readdir(inState("spares"))).resolves.toHaveLength(1);

    net = network({ spareNetworks: 8 });
    const otherwise = network({ spareNetworks: 8, bridgeSubnet: "10.89.77.0/25" });
    await plain("c3");
    await ready(4);
    await otherwise.prepare();
    await expect(made()).resolves.toEqual([]);
  });

  it("gives none that has lost its bridge", async () => {
    await plain("c1");
    await ready(4);
    await run("ip", ["link", "delete", BRIDGE]);
    const { netns, ipAddresses } = await plain("c2");
    await serve(netns, "plugged in");
    await expect(get(`http://${ipAddresses[0] ?? ""}/`)).resolves.toBe("plugged in");
  });

  it("says nothing when none can be made, and makes them when they can", async () => {
    const bin = inState("bin");
    await mkdir(bin);
    for (const plugin of ["host-local", "portmap"]) await symlink(join(tools.cniBinDir, plugin), join(bin, plugin));
    const off = inState("off");
    await writeFile(
      join(bin, "bridge"),
      `#!/bin/sh
[ -e ${off} ] && [ $CNI_COMMAND = ADD ] && case $CNI_CONTAINERID in spare-*) echo '{"code":999,"msg":"off"}'; exit 1;; esac
exec ${join(tools.cniBinDir, "bridge")}
`,
    );
    await chmod(join(bin, "bridge"), 0o755);
    await writeFile(off, "");
    net = network({ cniBinDirs: [bin], spareNetworks: 8 });
    await plain("c1");
    await untilSo(
      "the attempt is over",
      async () => (await addressFiles()).length === 1 && (await made()).length === 0,
    );
    await rm(off);
    await plain("c2");
    await ready(4);
  });
});
