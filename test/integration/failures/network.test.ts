// Starts that fail because the node can't give the container its network just now: they are tried again.
import { once } from "node:events";
import { createServer, type Server } from "node:net";
import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import type { ContainerSpec } from "../../../src/api/index.ts";
import { expectFailedStart, expectVerdict, NETWORK_SETUP_FAILED, untilJudged } from "../../support/failed-start.ts";
import { useNode } from "../../support/test-node.ts";

describe("a hostPort", () => {
  const test = useNode();
  const publishing = (hostPort: number, hostIP?: string): Partial<ContainerSpec> => ({
    network: { mode: "Bridge" },
    ports: [{ containerPort: 80, hostPort, ...(hostIP === undefined ? {} : { hostIP }) }],
  });

  let server: Server;
  let taken = 0;
  beforeAll(async () => {
    server = createServer().listen(0, "127.0.0.1");
    await once(server, "listening");
    const address = server.address();
    taken = typeof address === "object" && address !== null ? address.port : 0;
  });
  afterAll(() => {
    server.close();
  });

  it("that another container has is waited for, until that one ends", async () => {
    const port = 20_000 + test().node.index;
    const holder = await test().create(publishing(port));
    const { status } = await test().untilState(holder, "Running");
    const says = [`hostPort ${String(port)}/tcp is taken by container`, status?.containerID?.split("//")[1] ?? "?"];
    const failed = await expectFailedStart(test(), publishing(port), { ...NETWORK_SETUP_FAILED, says });
    await test().patch(holder, { spec: { desiredState: "Stopped" } });
    const started = await test().untilState(failed, "Running");
    expect(started.status?.network?.ports).toMatchObject([{ containerPort: 80, hostPort: port, protocol: "TCP" }]);
    await test().delete(holder);
    await test().delete(failed);
  });

  it("of an address that is not the node's", async () => {
    const says = ["hostIP 192.0.2.1 is not an address of this node"];
    const failed = await expectFailedStart(test(), publishing(20_500, "192.0.2.1"), { ...NETWORK_SETUP_FAILED, says });
    await test().delete(failed);
  });

  it("that a process of the node has is waited for, until it is free", async () => {
    const says = [`hostPort ${String(taken)}/tcp is taken by a process on the node`, "choose another hostPort"];
    const failed = await expectFailedStart(test(), publishing(taken), { ...NETWORK_SETUP_FAILED, says });
    server.close();
    await once(server, "close");
    await test().untilState(failed, "Running");
    await test().delete(failed);
  });
});

describe("a subnet that is used up", () => {
  // The first two addresses of the node's own subnet: the bridge's and one for a container.
  const test = useNode({ startAgent: false });
  let subnet = "";
  let address = "";
  beforeAll(async () => {
    const { node } = test();
    subnet = node.bridgeSubnet.replace(/\/24$/, "/30");
    address = node.bridgeSubnet.replace(/0\/24$/, "2");
    node.startAgent({ "bridge-subnet": subnet });
    await node.agentReady();
  });

  it("is waited for until an address is free", async () => {
    const bridged: Partial<ContainerSpec> = { network: { mode: "Bridge" } };
    const first = await test().create(bridged);
    const { status } = await test().untilState(first, "Running");
    expect(status?.network?.ipAddresses).toEqual([address]);
    const says = [`all addresses of ${subnet} are in use`, "--bridge-subnet"];
    const failed = await expectFailedStart(test(), bridged, { ...NETWORK_SETUP_FAILED, says });
    await test().delete(first);
    const second = await test().untilState(failed, "Running");
    expect(second.status?.network?.ipAddresses).toEqual([address]);
    await test().delete(failed);
  });

  it("is of no concern to a container without a network", async () => {
    const holder = await test().create({ network: { mode: "Bridge" } });
    await test().untilState(holder, "Running");
    const waiting = await test().create({ network: { mode: "Bridge" } });
    expectVerdict(await untilJudged(test(), waiting), { ...NETWORK_SETUP_FAILED, says: [] });
    const without = await test().create();
    await test().untilState(without, "Running");
    for (const container of [holder, waiting, without]) await test().delete(container);
  });
});
