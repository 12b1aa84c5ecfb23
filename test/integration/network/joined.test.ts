// network.mode Container: the network of another container, with its names, as Docker's --network container:x.
import { statSync } from "node:fs";
import { describe, expect, it } from "@jest/globals";
import type { Container, ContainerSpec } from "../../../src/api/index.ts";
import { endBy, pidOf } from "../../support/away.ts";
import { COMMAND_NOT_FOUND, expectFailedStart } from "../../support/failed-start.ts";
import { addressOf, environmentOf, fileIn, inside, netnsOf } from "../../support/look.ts";
import { askRestart, untilRestarted } from "../../support/restart.ts";
import { useNode } from "../../support/test-node.ts";

const test = useNode();

let names = 0;
const named = (): { name: string } => ({ name: `n${String(++names)}-${String(test().node.index)}` });
const started = async (spec: Partial<ContainerSpec>): Promise<Container> =>
  test().untilState(await test().create(spec, named()), "Running");
const joining = (peer: Container, spec: Partial<ContainerSpec> = {}): Partial<ContainerSpec> => ({
  ...spec,
  network: { mode: "Container", container: peer.metadata.name },
});
const bridged: Partial<ContainerSpec> = { network: { mode: "Bridge" } };
const untilWaiting = (container: Container): Promise<Container> =>
  test().until(container, "waiting", ({ status }) => status?.reason === "WaitingForContainer");
/** Waits until a container runs as another process than before. */
const untilAnew = (before: Container): Promise<Container> =>
  test().until(
    before,
    "started anew",
    ({ status }) => status?.state === "Running" && status.pid !== before.status?.pid,
  );

const FILES = ["/etc/hosts", "/etc/hostname", "/etc/resolv.conf"];

describe("mode Container", () => {
  it("shares namespace, address, loopback, host name and files with the container it joins", async () => {
    const before = await test().audit();
    const peer = await started({ ...bridged, hostname: "web-1", domainname: "example.com" });
    const joiner = await started(joining(peer, { securityContext: { sysctls: [] } }));
    expect(netnsOf(joiner)).toBe(netnsOf(peer));
    expect(joiner.status?.network).toEqual(peer.status?.network);
    for (const file of FILES) {
      expect(statSync(`/proc/${String(pidOf(joiner))}/root${file}`).ino).toBe(
        statSync(`/proc/${String(pidOf(peer))}/root${file}`).ino,
      );
    }
    expect(await inside(joiner, "hostname; cat /proc/sys/kernel/domainname")).toBe("web-1\nexample.com\n");
    expect(environmentOf(joiner)["HOSTNAME"]).toBe("web-1");
    // A neighbour of the peer is one of the joiner's.
    const neighbour = await started(bridged);
    expect(fileIn(joiner, "/etc/hosts")).toContain(`${addressOf(neighbour)}\t${neighbour.metadata.name}\n`);
    await inside(joiner, `ping -c 1 -W 5 ${neighbour.metadata.name}`);
    await test().deleteAll();
    expect(await test().leaks(before)).toEqual([]);
  });

  it("joins one that has joined another, one without a network, and one in the node's network", async () => {
    const peer = await started(bridged);
    const second = await started(joining(peer));
    const third = await started(joining(second));
    expect(netnsOf(third)).toBe(netnsOf(peer));
    expect(third.status?.network?.ipAddresses).toEqual(peer.status?.network?.ipAddresses);

    const none = await started({ network: { mode: "None" } });
    const withNone = await started(joining(none));
    expect(netnsOf(withNone)).toBe(netnsOf(none));
    expect(withNone.status?.network).toBeUndefined();

    const host = await started({ network: { mode: "Host" } });
    const withHost = await started(joining(host));
    expect(netnsOf(withHost)).toBe(netnsOf(host));
    expect(fileIn(withHost, "/etc/hosts")).toBe(fileIn(host, "/etc/hosts"));
    await test().deleteAll();
  });
});

describe("the container whose network is joined", () => {
  it("may be restarted: the joiner goes on, in the same namespace", async () => {
    const peer = await started(bridged);
    const joiner = await started(joining(peer));
    await endBy("SIGKILL", pidOf(peer));
    const again = await untilRestarted(test(), peer, 1);
    await askRestart(test(), again, "now");
    const twice = await untilRestarted(test(), peer, 2);
    const now = test().get(joiner);
    expect(now?.status).toEqual(joiner.status);
    expect(netnsOf(twice)).toBe(netnsOf(joiner));
    expect(addressOf(twice)).toBe(addressOf(peer));
    // And the joiner may be, too.
    await askRestart(test(), joiner, "now");
    expect(netnsOf(await untilRestarted(test(), joiner, 1))).toBe(netnsOf(twice));
    await test().deleteAll();
  });

  it("takes the joiner along when it is recreated, with all that is new of its names", async () => {
    const before = await test().audit();
    const peer = await started(bridged);
    const joiner = await started(joining(peer));
    const third = await started(joining(joiner));
    await test().patch(peer, { spec: { hostname: "new-name" } });
    const [newPeer, newJoiner, newThird] = await Promise.all([peer, joiner, third].map(untilAnew));
    if (newPeer === undefined || newJoiner === undefined || newThird === undefined)
      throw new Error("three were awaited");
    for (const each of [newJoiner, newThird]) {
      expect(netnsOf(each)).toBe(netnsOf(newPeer));
      expect(each.status).toMatchObject({ restartCount: 0, containerID: expect.stringMatching(/-1$/) });
      expect(await inside(each, "hostname")).toBe("new-name\n");
      expect(environmentOf(each)["HOSTNAME"]).toBe("new-name");
      expect(fileIn(each, "/etc/hosts")).toBe(fileIn(newPeer, "/etc/hosts"));
    }
    await test().deleteAll();
    expect(await test().leaks(before)).toEqual([]);
  });

  it("gives its address back when it is stopped; started again, it takes the joiner along", async () => {
    const before = await test().audit();
    const peer = await started(bridged);
    const joiner = await started(joining(peer));
    const stopped = await test().patch(peer, { spec: { desiredState: "Stopped" } });
    await test().untilState(stopped, "Exited");
    expect((await test().audit()).address).toEqual([]);
    // As in Docker, the joiner runs on, with loopback alone.
    expect(await inside(joiner, "ls /sys/class/net; ip -o addr")).not.toContain("eth0");
    expect(test().get(joiner)?.status).toMatchObject({ state: "Running", pid: joiner.status?.pid });
    const back = await test().patch(peer, { spec: { desiredState: "Running" } });
    const again = await test().untilState(back, "Running");
    const anew = await untilAnew(joiner);
    expect(netnsOf(anew)).toBe(netnsOf(again));
    await test().until(anew, "told of its address", ({ status }) => status?.network !== undefined);
    await test().deleteAll();
    expect(await test().leaks(before)).toEqual([]);
  });

  it("may be deleted under it: the joiner's next start waits until there is one again", async () => {
    const peer = await started(bridged);
    const joiner = await started(joining(peer));
    await test().delete(peer);
    expect(test().get(joiner)?.status?.state).toBe("Running");
    await askRestart(test(), joiner, "now");
    const waiting = await untilWaiting(joiner);
    expect(waiting.status).toMatchObject({ state: "Pending", reason: "WaitingForContainer" });
    expect(waiting.status?.message).toContain(
      `spec.network.container: container "${peer.metadata.name}" does not exist in namespace "default"`,
    );
    const anew = await test().untilState(await test().create(bridged, { name: peer.metadata.name }), "Running");
    const joined = await test().untilState(joiner, "Running");
    expect(netnsOf(joined)).toBe(netnsOf(anew));
    // And one that runs on meanwhile is started anew.
    await test().delete(anew);
    const third = await test().untilState(await test().create(bridged, { name: peer.metadata.name }), "Running");
    expect(netnsOf(await untilAnew(joined))).toBe(netnsOf(third));
    await test().deleteAll();
  });
});

describe("a start that fails in a joined network", () => {
  it("leaves that network as it is", async () => {
    const peer = await started(bridged);
    const spec = joining(peer, { command: ["/nowhere"] });
    const failed = await expectFailedStart(test(), spec, { ...COMMAND_NOT_FOUND, says: ["/nowhere"] });
    expect(await inside(peer, "ip -o -4 addr show eth0")).toContain(`inet ${addressOf(peer)}/`);
    await test().delete(failed);
    await test().delete(peer);
  });
});

describe("a container that can't be joined", () => {
  it("is waited for while it does not run, with nothing acquired", async () => {
    const before = await test().audit();
    const name = { name: `late-${String(test().node.index)}` };
    const joiner = await test().create({ network: { mode: "Container", container: name.name } }, named());
    await untilWaiting(joiner);
    const peer = await test().create({ ...bridged, desiredState: "Stopped" }, name);
    const waiting = await test().until(joiner, "told", ({ status }) => /does not run/.test(status?.message ?? ""));
    expect(waiting.status?.message).toContain(
      `container "${name.name}" does not run: the start goes on as soon as it does`,
    );
    expect(await test().leaks(before)).toEqual([]);
    await test().patch(peer, { spec: { desiredState: "Running" } });
    await test().untilState(joiner, "Running");
    await test().deleteAll();
  });

  it("because it is on another node: the message names both", async () => {
    const peer = await test().create({ nodeName: "somewhere-else" }, named());
    const joiner = await untilWaiting(await test().create(joining(peer), named()));
    expect(joiner.status?.message).toContain(
      `is on node "somewhere-else", this one on "${test().node.name}": they must be on one node`,
    );
    await test().delete(joiner);
    await test().api.delete(`/apis/berth.dev/v1alpha1/namespaces/default/containers/${peer.metadata.name}`);
  });

  it("because it is the container itself is the spec's mistake", async () => {
    const { name } = named();
    const itself = await test().create({ network: { mode: "Container", container: name } }, { name });
    const { status } = await test().untilState(itself, "Exited");
    expect(status).toMatchObject({ reason: "InvalidSpec", exitCode: 128 });
    expect(status?.message).toContain("can't join its own network");
    await test().delete(itself);
  });

  it("because it waits for this one: the way round is told, and one changed spec frees both", async () => {
    const [one, two] = [named(), named()];
    const first = await test().create({ network: { mode: "Container", container: two.name } }, one);
    const second = await test().create({ network: { mode: "Container", container: one.name } }, two);
    const way = (container: Container, other: Container): Promise<Container> => {
      const { name } = container.metadata;
      const circle = `${name} → ${other.metadata.name} → ${name}: they wait for each other`;
      return test().until(container, "told of the circle", ({ status }) => status?.message?.includes(circle) === true);
    };
    expect((await way(first, second)).status).toMatchObject({ state: "Pending", reason: "WaitingForContainer" });
    await way(second, first);
    await test().patch(first, { spec: { network: { mode: "Bridge", container: null } } });
    const running = await test().untilState(second, "Running");
    expect(netnsOf(running)).toBe(netnsOf(await test().untilState(first, "Running")));
    await test().deleteAll();
  });
});
