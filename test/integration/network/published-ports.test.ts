// Ports of the node that lead into containers: where they answer, and when they are free for others.
import { type ChildProcess, spawn } from "node:child_process";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { setTimeout as delay } from "node:timers/promises";
import { afterEach, describe, expect, it } from "@jest/globals";
import type { Container, ContainerSpec } from "../../../src/api/index.ts";
import { useNode } from "../../support/test-node.ts";

const node = useNode();

const gateway = (): string => node().node.bridgeSubnet.replace(/0\/24$/, "1");
/** Ports that no other node of this machine uses. */
const port = (offset: number): number => 20_000 + node().node.index * 20 + offset;

/** A web server that says who it is. */
const web = (name: string, ports: NonNullable<ContainerSpec["ports"]>): Partial<ContainerSpec> => ({
  command: [
    "sh",
    "-c",
    `trap 'exit 0' TERM; mkdir /site; echo ${name} > /site/index.html; httpd -f -p 80 -h /site & wait`,
  ],
  ports,
  network: { mode: "Bridge" },
});

/** What a page answers; a server that does not listen yet is asked again, since nothing tells when it does. */
async function get(url: string): Promise<string> {
  for (;;) {
    try {
      return await (await fetch(url, { signal: AbortSignal.timeout(10_000) })).text();
    } catch (error) {
      if ((error as { cause?: { code?: string } }).cause?.code !== "ECONNREFUSED") throw error;
      await delay(50);
    }
  }
}

const connects = async (url: string): Promise<boolean> =>
  fetch(url, { signal: AbortSignal.timeout(10_000) }).then(
    () => true,
    () => false,
  );

describe("hostPort", () => {
  it("answers on loopback and on the bridge's address, each port for its own container", async () => {
    const one = await node().create(web("one", [{ containerPort: 80, hostPort: port(0) }]));
    const two = await node().create(web("two", [{ containerPort: 80, hostPort: port(1), protocol: "TCP" }]));
    const { status } = await node().untilState(one, "Running");
    await node().untilState(two, "Running");
    expect(status?.network?.ports).toEqual([{ containerPort: 80, hostPort: port(0), protocol: "TCP" }]);
    for (const host of ["127.0.0.1", gateway()]) {
      await expect(get(`http://${host}:${String(port(0))}/`)).resolves.toBe("one\n");
      await expect(get(`http://${host}:${String(port(1))}/`)).resolves.toBe("two\n");
    }
    await node().deleteAll();
    await expect(connects(`http://127.0.0.1:${String(port(0))}/`)).resolves.toBe(false);
  });

  it("with hostIP answers on that address only, where another container may have the port on another", async () => {
    const local = await node().create(web("local", [{ containerPort: 80, hostPort: port(2), hostIP: "127.0.0.1" }]));
    const bridge = await node().create(web("bridge", [{ containerPort: 80, hostPort: port(2), hostIP: gateway() }]));
    const { status } = await node().untilState(local, "Running");
    expect(status?.network?.ports).toEqual([
      { containerPort: 80, hostPort: port(2), hostIP: "127.0.0.1", protocol: "TCP" },
    ]);
    await node().untilState(bridge, "Running");
    await expect(get(`http://127.0.0.1:${String(port(2))}/`)).resolves.toBe("local\n");
    await expect(get(`http://${gateway()}:${String(port(2))}/`)).resolves.toBe("bridge\n");
    await node().deleteAll();
  });

  it("taken by a container that runs is NetworkSetupFailed, and is had as soon as that one has stopped", async () => {
    const first = await node().untilState(
      await node().create({ ...web("first", [{ containerPort: 80, hostPort: port(3) }]), restartPolicy: "Never" }),
      "Running",
    );
    const before = await node().audit();
    const second = await node().create(web("second", [{ containerPort: 80, hostPort: port(3) }]));
    const refused = await node().until(second, "refused", ({ status }) => status?.startAttempts !== undefined);
    expect(refused.status).toMatchObject({ state: "Pending", reason: "NetworkSetupFailed", exitCode: 128 });
    expect(refused.status?.message).toContain(`hostPort ${String(port(3))}/tcp is taken by container`);
    expect(await node().leaks(before)).toEqual([]);

    const stopped = await node().patch(first, { spec: { desiredState: "Stopped" } });
    const { status } = await node().untilState(stopped, "Exited");
    expect(status?.network).toBeUndefined();
    await node().untilState(second, "Running");
    await expect(get(`http://127.0.0.1:${String(port(3))}/`)).resolves.toBe("second\n");
    await node().deleteAll();
  });

  it("and address are given back by a container that ended for good", async () => {
    const ended = await node().create({
      command: ["true"],
      restartPolicy: "Never",
      ports: [{ containerPort: 80, hostPort: port(4) }],
      network: { mode: "Bridge" },
    });
    const { status } = await node().untilState(ended, "Exited");
    expect(status?.network).toBeUndefined();
    const { address, rule, interface: interfaces, "network namespace": namespaces } = await node().audit();
    expect([
      ...address,
      ...interfaces,
      ...namespaces,
      ...rule.filter((each) => each.includes(String(port(4)))),
    ]).toEqual([]);
    await node().deleteAll();
  });
});

describe("hostPort of UDP", () => {
  let server: ChildProcess | undefined;
  afterEach(async () => {
    if (server === undefined || server.exitCode !== null) return;
    server.kill("SIGKILL");
    await once(server, "exit");
  });

  it("leads to the container's port, beside the same number of TCP", async () => {
    const created = await node().create(
      web("tcp", [
        { containerPort: 5353, hostPort: port(5), protocol: "UDP" },
        { containerPort: 80, hostPort: port(5), protocol: "TCP" },
      ]),
    );
    const running = await node().untilState(created, "Running");
    server = await echoIn(running);
    await expect(ask(port(5), "hello")).resolves.toBe("echo hello");
    await expect(get(`http://127.0.0.1:${String(port(5))}/`)).resolves.toBe("tcp\n");
    await node().deleteAll();
  });
});

const ECHO = `
const socket = require("node:dgram").createSocket("udp4");
socket.on("message", (message, { port, address }) => socket.send("echo " + message, port, address));
socket.bind(5353, () => console.log("ready"));`;

/** A UDP server in the container's network, which the image has no program for. */
async function echoIn({ status }: Container): Promise<ChildProcess> {
  const child = spawn("nsenter", [`--net=/proc/${String(status?.pid)}/ns/net`, process.execPath, "-e", ECHO], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  await once(child.stdout, "data");
  return child;
}

async function ask(to: number, question: string): Promise<string> {
  const socket = createSocket("udp4");
  try {
    socket.send(question, to, "127.0.0.1");
    const [answer] = (await once(socket, "message", { signal: AbortSignal.timeout(10_000) })) as [Buffer];
    return answer.toString();
  } finally {
    socket.close();
  }
}
