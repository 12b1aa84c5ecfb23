// The network against the real kernel and the real CNI plugins.
import { once } from "node:events";
import { chmod, mkdir, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { join } from "node:path";
import { describe, expect, it } from "@jest/globals";
import { run, unmount } from "../../src/node/index.ts";
import { BRIDGE, tools, useNetwork } from "./network-fixture.ts";

const HOST_PORT = 18080;

describe("Network", () => {
  const { network, inState, addressFiles, rules, serve, get } = useNetwork();

  it("gives an address, loopback and a published port that answers everywhere", async () => {
    const net = network();
    await net.prepare();
    const ports = [{ containerPort: 80, hostPort: HOST_PORT }];
    const c1 = await net.attach({ id: "c1", mode: "Bridge", ports });
    const c2 = await net.attach({ id: "c2", mode: "Bridge" });
    expect(c1).toEqual({
      netns: inState("netns/c1"),
      ipAddresses: ["10.89.77.2"],
      gateway: "10.89.77.1",
      macAddress: expect.stringMatching(/^([0-9a-f]{2}:){5}[0-9a-f]{2}$/),
      ports: [{ containerPort: 80, hostPort: HOST_PORT, protocol: "TCP" }],
    });
    await expect(net.status("c1")).resolves.toEqual(c1);
    expect((await net.list()).sort()).toEqual(["c1", "c2"]);
    expect((await run("nsenter", [`--net=${c1.netns}`, "ip", "-brief", "link", "show", "lo"])).stdout).toContain(
      "LOWER_UP",
    );

    await serve(c1.netns, "hello");
    for (const url of [`127.0.0.1:${HOST_PORT}`, `10.89.77.1:${HOST_PORT}`, "10.89.77.2"]) {
      await expect(get(`http://${url}/`)).resolves.toBe("hello");
    }
    await expect(get("http://10.89.77.2/", c2.netns)).resolves.toBe("hello");
    await expect(get(`http://10.89.77.1:${HOST_PORT}/`, c2.netns)).resolves.toBe("hello");
    // The way back to itself through the bridge: hairpin.
    await expect(get(`http://10.89.77.1:${HOST_PORT}/`, c1.netns)).resolves.toBe("hello");

    await net.detach("c1");
    await net.detach("c1");
    await expect(net.status("c1")).resolves.toBeUndefined();
    await expect(addressFiles()).resolves.toEqual(["10.89.77.3"]);
  });

  it("gives None a namespace with loopback alone", async () => {
    const net = network();
    const attachment = await net.attach({ id: "c1", mode: "None" });
    expect(attachment).toEqual({ netns: inState("netns/c1"), ipAddresses: [], ports: [] });
    const { stdout } = await run("nsenter", [`--net=${attachment.netns}`, "ip", "-brief", "address"]);
    expect(stdout).toMatch(/^lo .*127\.0\.0\.1/);
    expect(
      stdout
        .trim()
        .split("\n")
        .filter((line) => / UP /.test(line)),
    ).toEqual([]);
    await net.detach("c1");
  });

  it("attaches ten at once with ten addresses, and portmap's jump rules only once", async () => {
    const net = network();
    const ids = Array.from({ length: 10 }, (_, i) => `c${i}`);
    const attached = await Promise.all(
      ids.map((id, i) => net.attach({ id, mode: "Bridge", ports: [{ containerPort: 80, hostPort: HOST_PORT + i }] })),
    );
    expect(new Set(attached.flatMap(({ ipAddresses }) => ipAddresses)).size).toBe(10);
    expect((await rules()).filter((rule) => rule.endsWith("-j CNI-HOSTPORT-DNAT")).length).toBe(2);
    await Promise.all(ids.map((id) => net.detach(id)));
    await expect(addressFiles()).resolves.toEqual([]);
  });

  it("refuses a port that a container has, also one whose attach an earlier agent made", async () => {
    const ports = [{ containerPort: 80, hostPort: HOST_PORT }];
    const first = network();
    const two = await Promise.allSettled(["c1", "c2"].map((id) => first.attach({ id, mode: "Bridge", ports })));
    expect(two.map(({ status }) => status).sort()).toEqual(["fulfilled", "rejected"]);

    const next = network();
    await next.prepare();
    await expect(next.attach({ id: "c3", mode: "Bridge", ports })).rejects.toMatchObject({
      reason: "NetworkSetupFailed",
      message: expect.stringMatching(/hostPort 18080\/tcp is taken by container c[12]/),
    });
    for (const id of ["c1", "c2"]) await next.detach(id);
    await expect(next.attach({ id: "c3", mode: "Bridge", ports })).resolves.toMatchObject({
      ports: [{ hostPort: 18080 }],
    });
  });

  it("refuses a port that a process of the node has, and leaves nothing", async () => {
    const server = createServer().listen(HOST_PORT, "127.0.0.1");
    await once(server, "listening");
    const net = network();
    const attach = net.attach({ id: "c1", mode: "Bridge", ports: [{ containerPort: 80, hostPort: HOST_PORT }] });
    await expect(attach).rejects.toThrow("hostPort 18080/tcp is taken by a process on the node");
    server.close();
    await expect(net.list()).resolves.toEqual([]);
  });

  it("lets others into a namespace, which live on in it when its owner has left", async () => {
    const net = network();
    const owner = await net.attach({ id: "c1", mode: "Bridge" });
    const joined = await net.join("c2", "c1");
    // By way of another that has joined.
    const next = await net.join("c3", "c2");
    for (const each of [joined, next]) expect(each).toMatchObject({ ipAddresses: owner.ipAddresses, ports: [] });
    await expect(net.status("c2")).resolves.toEqual(joined);
    await expect(net.isShared("c3", "c1")).resolves.toBe(true);
    await net.detach("c1");
    await expect(addressFiles()).resolves.toEqual([]);
    await expect(net.isShared("c2", "c3")).resolves.toBe(true);
    await expect(net.isShared("c2", "c1")).resolves.toBe(false);
    await expect(net.status("c2")).resolves.toEqual({ netns: joined.netns, ipAddresses: [], ports: [] });
    await net.attach({ id: "c1", mode: "Bridge" });
    await expect(net.isShared("c2", "c1")).resolves.toBe(false);
    await net.join("c2", "c1");
    await expect(net.isShared("c2", "c1")).resolves.toBe(true);
    await expect(net.join("c4", "nobody")).rejects.toThrow("container nobody has no network to join");
    expect((await net.list()).sort()).toEqual(["c1", "c2", "c3"]);
  });

  it("makes one rule for the way out, once and again, and takes it with the bridge", async () => {
    const net = network();
    const masquerade = async () => (await rules()).filter((rule) => rule.includes(` ! -o ${BRIDGE} `));
    await Promise.all(["c1", "c2", "c3"].map((id) => net.attach({ id, mode: "Bridge" })));
    const [rule = "", ...more] = await masquerade();
    expect(rule).toContain("-s 10.89.77.0/24 ");
    expect(more).toEqual([]);
    await run("iptables", ["-t", "nat", ...rule.replace("-A ", "-D ").split(" ")]);
    // By the next agent, for the containers that are there.
    await network().prepare();
    await expect(masquerade()).resolves.toEqual([rule]);
    await net.teardown();
    await expect(masquerade()).resolves.toEqual([]);
  });

  it("says when the addresses are used up, and goes on when one is free again", async () => {
    const net = network({ bridgeSubnet: "10.89.77.0/29" });
    for (let i = 0; i < 5; i += 1) await net.attach({ id: `c${i}`, mode: "Bridge" });
    await expect(net.attach({ id: "late", mode: "Bridge" })).rejects.toMatchObject({
      reason: "NetworkSetupFailed",
      message: expect.stringContaining("all addresses of 10.89.77.0/29 are in use"),
    });
    await expect(net.list()).resolves.not.toContain("late");
    await net.detach("c3");
    await expect(net.attach({ id: "late", mode: "Bridge" })).resolves.toMatchObject({ gateway: "10.89.77.1" });
  });

  it("undoes what came before a plugin that fails", async () => {
    const bin = inState("bin");
    await mkdir(bin);
    for (const plugin of ["bridge", "host-local"]) await symlink(join(tools.cniBinDir, plugin), join(bin, plugin));
    await writeFile(
      join(bin, "portmap"),
      `#!/bin/sh\n[ $CNI_COMMAND = DEL ] && exit 0\necho '{"code":999,"msg":"out of luck"}'\nexit 1\n`,
    );
    await chmod(join(bin, "portmap"), 0o755);
    const net = network({ cniBinDirs: [bin] });
    const attach = net.attach({ id: "c1", mode: "Bridge", ports: [{ containerPort: 80, hostPort: HOST_PORT }] });
    await expect(attach).rejects.toThrow(`network ${BRIDGE}: CNI plugin portmap: out of luck`);
    await expect(net.list()).resolves.toEqual([]);
    await expect(addressFiles()).resolves.toEqual([]);
  });

  it("names a missing plugin and where it was looked for", async () => {
    const net = network({ cniBinDirs: ["/nonexistent"] });
    const message = /is in none of \/nonexistent.*--cni-bin-dir/;
    await expect(net.prepare()).rejects.toThrow(message);
    await expect(net.attach({ id: "c1", mode: "Bridge" })).rejects.toThrow(message);
    await expect(net.list()).resolves.toEqual([]);
  });

  it("clears what a crash left, whichever step it came after", async () => {
    const crashed = network();
    await crashed.attach({ id: "done", mode: "Bridge", ports: [{ containerPort: 80, hostPort: HOST_PORT }] });
    await crashed.attach({ id: "half", mode: "Bridge" });
    await crashed.attach({ id: "early", mode: "Bridge" });
    const record = async (id: string) => {
      const path = inState(`cni/${id}.json`);
      return { path, content: JSON.parse(await readFile(path, "utf8")) as Record<string, unknown> };
    };
    // Died inside ADD: everything is there, but the record knows no result.
    const half = await record("half");
    await writeFile(half.path, JSON.stringify({ ...half.content, result: undefined, complete: false }));
    // Died before the namespace was mounted.
    await crashed.detach("early");
    const early = await record("half");
    await writeFile(inState("cni/early.json"), JSON.stringify({ ...early.content, id: "early" }));
    await writeFile(inState("netns/early"), "");

    const next = network();
    await next.prepare();
    await expect(next.status("done")).resolves.toMatchObject({ ipAddresses: ["10.89.77.2"] });
    await expect(next.status("half")).resolves.toBeUndefined();
    await expect(next.status("early")).resolves.toBeUndefined();
    expect((await next.list()).sort()).toEqual(["done", "early", "half"]);
    for (const id of await next.list()) await next.detach(id);
    await expect(addressFiles()).resolves.toEqual([]);
    // An attach of the same id over such leftovers starts afresh.
    await next.attach({ id: "half", mode: "Bridge" });
    await expect(addressFiles()).resolves.toHaveLength(1);
  });

  it("knows that a reboot took the namespace, and gives the address back", async () => {
    const net = network();
    const { netns } = await net.attach({ id: "c1", mode: "Bridge" });
    await unmount(netns);
    await expect(net.status("c1")).resolves.toBeUndefined();
    await net.detach("c1");
    await expect(addressFiles()).resolves.toEqual([]);
    await expect(net.list()).resolves.toEqual([]);
  });

  it("attaches to a network of the administrator's by its name", async () => {
    await mkdir(inState("conf"));
    const plugins = [{ type: "ptp", ipam: { type: "host-local", dataDir: inState("lan"), subnet: "10.89.78.0/24" } }];
    await writeFile(inState("conf/10-lan.conflist"), JSON.stringify({ cniVersion: "0.4.0", name: "lan", plugins }));
    const net = network();
    const attachment = await net.attach({ id: "c1", mode: "Bridge", networkName: "lan" });
    expect(attachment.ipAddresses).toEqual(["10.89.78.2"]);
    await rm(inState("conf"), { recursive: true });
    await net.detach("c1");
    await expect(net.attach({ id: "c1", mode: "Bridge", networkName: "lan" })).rejects.toThrow(
      "network lan: no CNI configuration with this name",
    );
  });
});
