// Links and ports. Whether something is reached is said by the exit code of a Container that tries.
import { afterAll, describe, expect, it } from "@jest/globals";
import { apply, change, container, kubectl, nodeAddress, once, remove, until, untilCondition } from "./cluster.ts";

const HOST_PORT = 18_080;
/** Process 1 of a namespace hears no SIGTERM that it does not handle: it is killed. */
const SERVER = ["sh", "-c", "mkdir /site; echo hello > /site/index.html; exec httpd -f -p 80 -h /site"];
/** A server that has started may not listen yet. */
const fetched = (url: string): string =>
  `for i in $(seq 100); do wget -q -O - ${url} && exit 0; usleep 100000; done; exit 1`;

afterAll(() => kubectl("delete", "containers", "--all"));

describe("a link", () => {
  it("gives the other's name and address, and waits for it", async () => {
    const links = { network: { links: [{ container: "server", alias: "backend" }] } };
    await apply(once("client", `env | grep ^BACKEND_PORT=; ${fetched("http://backend/")}`, links));
    await until("client", "waiting", ({ reason }) => reason === "WaitingForContainer");
    await apply(container("server", { command: SERVER, ports: [{ containerPort: 80 }] }));
    await untilCondition("client", "Complete");
    await remove("client");
  });
});

describe("a host port", () => {
  it("leads from the node's address to the Container, and is free after it", async () => {
    const ports = [{ containerPort: 80, hostPort: HOST_PORT }];
    expect(await change("server", { ports })).toMatchObject({ network: { ports: [{ ...ports[0], protocol: "TCP" }] } });
    const url = `http://${nodeAddress()}:${String(HOST_PORT)}/`;
    await apply(once("client", fetched(url)), once("node", fetched(url), { network: { mode: "Host" } }));
    await untilCondition("client", "Complete");
    await untilCondition("node", "Complete");
    await apply(container("second", { command: SERVER, ports }));
    await until("second", "refused", ({ reason }) => reason === "NetworkSetupFailed");
    await remove("server");
    await untilCondition("second", "Ready");
    await remove("second", "client", "node");
  });
});
