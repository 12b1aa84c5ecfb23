// Networks against the real kernel and the real CNI plugins. The audit is of the whole machine: nothing runs beside.
import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, expect } from "@jest/globals";
import { pino } from "pino";
import { joinMachine, leaveMachine } from "../../hack/cluster/machine.ts";
import { findTools } from "../../hack/cluster/tools.ts";
import { Network } from "../../src/network/index.ts";
import type { NetworkOptions } from "../../src/network/index.ts";
import { listMounts, run } from "../../src/node/index.ts";

export const tools = findTools();
export const BRIDGE = "brtest0";

/** What the tests of a file work with: a state directory for each test, which is audited when it is through. */
export interface NetworkFixture {
  readonly network: (options?: Partial<NetworkOptions>) => Network;
  /** A path in the state directory. */
  readonly inState: (path: string) => string;
  /** host-local's, one a given address. */
  readonly addressFiles: () => Promise<string[]>;
  readonly rules: () => Promise<string[]>;
  readonly serve: (netns: string, answer: string) => Promise<ChildProcess>;
  readonly get: (url: string, netns?: string) => Promise<string>;
}

/** Sets up a file's tests. */
export function useNetwork(): NetworkFixture {
  let stateDir = "";
  let before = "";
  let machineDir = "";
  const servers: ChildProcess[] = [];
  const inState = (path: string) => join(stateDir, path);

  const network = (options: Partial<NetworkOptions> = {}) =>
    new Network({
      cniBinDirs: [tools.cniBinDir],
      cniConfDir: inState("conf"),
      bridgeName: BRIDGE,
      bridgeSubnet: "10.89.77.0/24",
      stateDir,
      logger: pino({ level: "silent" }),
      ...options,
    });
  const addressFiles = async () =>
    (await readdir(inState(`cni/networks/${BRIDGE}`)).catch(() => [])).filter((name) => /^[0-9.]+$/.test(name));
  const rules = async () =>
    (await run("iptables-save", [])).stdout.split("\n").filter((line) => line.startsWith("-A "));
  const links = async () =>
    (await run("ip", ["-oneline", "link"])).stdout.split("\n").map((line) => line.split(": ")[1]);
  // Everything the network may leave on a node, apart from net.ipv4.ip_forward.
  const audit = async () =>
    JSON.stringify({
      rules: await rules(),
      links: await links(),
      mounts: (await listMounts()).filter(({ fsType }) => fsType === "nsfs").length,
      named: await readdir("/run/netns").catch(() => []),
    });
  const serve = async (netns: string, answer: string) => {
    const directory = await mkdtemp(inState("www-"));
    await writeFile(join(directory, "index.html"), answer);
    const server = spawn(
      "nsenter",
      [`--net=${netns}`, tools.busybox, "httpd", "-f", "-v", "-p", "80", "-h", directory],
      {
        stdio: "ignore",
      },
    );
    servers.push(server);
    return server;
  };
  const get = async (url: string, netns?: string) => {
    const curl = ["curl", "-s", "-m", "5", "--retry", "10", "--retry-connrefused", "--retry-delay", "1", url];
    const [command = "", ...args] = netns === undefined ? curl : ["nsenter", `--net=${netns}`, ...curl];
    return (await run(command, args)).stdout;
  };

  beforeEach(async () => {
    before = await audit();
    stateDir = await mkdtemp("/run/berth-network-");
  });
  afterEach(async () => {
    for (const server of servers.splice(0)) {
      server.kill("SIGKILL");
      if (server.exitCode === null && server.signalCode === null) await once(server, "exit");
    }
    await network().teardown();
    await rm(stateDir, { recursive: true });
    expect(await audit()).toBe(before);
  });
  // What plugins change of the machine for good (IP forwarding, their tables) is put back at the end.
  beforeAll(async () => {
    machineDir = await mkdtemp(join(tmpdir(), "berth-network-"));
    await joinMachine(machineDir);
  });
  afterAll(async () => {
    await rm(machineDir, { recursive: true });
    await leaveMachine(machineDir);
    await expect(readdir("/run/netns").catch(() => [])).resolves.not.toContain("c1");
  });
  return { network, inState, addressFiles, rules, serve, get };
}
