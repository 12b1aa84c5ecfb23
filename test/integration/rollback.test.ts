// A start that fails gives back what it acquired, whichever step it was that failed; a container that had run before keeps
// what is its own.
import { mkdir, readdir, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import { findTools } from "../../hack/cluster/tools.ts";
import { type Container, type ContainerSpec, RESTARTED_AT } from "../../src/api/index.ts";
import { containerPath } from "../../src/kube/index.ts";
import { run } from "../../src/node/index.ts";
import {
  COMMAND_NOT_FOUND,
  everything,
  expectFailedStart,
  type ExpectedFailure,
  expectVerdict,
  INVALID_SPEC,
  MOUNT_MISMATCH,
  NETWORK_SETUP_FAILED,
  RUNTIME_ERROR,
  untilJudged,
  VOLUME_SETUP_FAILED,
} from "../support/failed-start.ts";
import { useNode } from "../support/test-node.ts";

const test = useNode({ startAgent: false });

const inNode = (...names: string[]): string => join(test().node.dir, ...names);

beforeAll(async () => {
  const { node } = test();
  const handler = (BinaryName: string) => ({ type: "io.containerd.runc.v2", options: { BinaryName } });
  const runtimes = {
    later: handler(inNode("bin/runc")),
    slow: handler(inNode("bin/slow-runc")),
    shimless: { type: "io.containerd.no-such-shim.v1" },
  };
  await writeFile(inNode("agent.yaml"), JSON.stringify({ runtimes }));
  await Promise.all(["bin", "cni-plugins", "sources"].map((name) => mkdir(inNode(name))));
  node.startAgent({ config: inNode("agent.yaml") });
  await node.agentReady();
});

/** With the image that a step may fail with. */
const wish = (more: Partial<ContainerSpec> = {}): Partial<ContainerSpec> =>
  everything(test(), { image: test().image("files"), ...more });

describe("the step that fails", () => {
  it.each<[string, Partial<ContainerSpec>, ExpectedFailure]>([
    [
      "storage, beside a network that comes about",
      {
        volumes: [
          { name: "memory", emptyDir: { medium: "Memory" } },
          { name: "disk", hostPath: { path: "/no/such/directory", type: "Directory" } },
        ],
      },
      { ...VOLUME_SETUP_FAILED, says: ["volume disk", "/no/such/directory"] },
    ],
    [
      "the network, beside storage that comes about",
      { ports: [{ containerPort: 80, hostPort: 20_000, hostIP: "192.0.2.1" }] },
      { ...NETWORK_SETUP_FAILED, says: ["192.0.2.1"] },
    ],
    ["the runtime spec", { user: "ghost" }, { ...INVALID_SPEC, says: ["spec.user"] }],
    ["the task's creation", { command: ["no-such-command"] }, { ...COMMAND_NOT_FOUND, says: ["no-such-command"] }],
    ["the shim's start", { runtime: "shimless" }, { ...RUNTIME_ERROR, says: ["no-such-shim"] }],
  ])("takes everything back with it: %s", async (_, wrong, expected) => {
    await test().delete(await expectFailedStart(test(), wish(wrong), expected));
  });

  it("is the runtime's: tried again, and started when the runtime is there", async () => {
    const says = [inNode("bin/runc"), "check the OCI runtime on the node"];
    const spec = wish({ runtime: "later" });
    const failed = await expectFailedStart(test(), spec, { ...RUNTIME_ERROR, says });
    await symlink(join(findTools().runcDir, "runc"), inNode("bin/runc"));
    const { status } = await test().untilState(failed, "Running");
    expect(status?.runtime).toBe("later");
    await test().delete(failed);
  });
});

describe("a node without CNI plugins", () => {
  beforeAll(async () => {
    await test().node.stopAgent();
    test().node.startAgent({ config: inNode("agent.yaml"), "cni-bin-dir": inNode("cni-plugins") });
    await test().node.agentReady();
  });
  afterAll(async () => {
    await test().node.stopAgent();
    test().node.startAgent({ config: inNode("agent.yaml") });
    await test().node.agentReady();
  });

  it("runs what needs none, and the rest once they are installed", async () => {
    const says = ["CNI plugin", "is in none of", inNode("cni-plugins"), "--cni-bin-dir"];
    const failed = await expectFailedStart(test(), wish(), { ...NETWORK_SETUP_FAILED, says });
    const without = await test().create({ network: { mode: "None" } });
    await test().untilState(without, "Running");
    await test().delete(without);
    const installed = findTools().cniBinDir.split(":")[0] ?? "";
    for (const plugin of await readdir(installed))
      await symlink(join(installed, plugin), inNode("cni-plugins", plugin));
    const { status } = await test().untilState(failed, "Running");
    expect(status?.network?.ipAddresses).toHaveLength(1);
    await test().delete(failed);
  });
});

describe("a restart that fails", () => {
  /** Tells its run's number, kept in the writable layer, then does as told. */
  const counting = (andThen: string, type: "File" | undefined, mountPath = "/config"): Partial<ContainerSpec> => ({
    image: test().image("files"),
    command: ["sh", "-c", `trap 'exit 0' TERM; echo run >> /runs; wc -l < /runs; ${andThen} sleep 3600 & wait`],
    network: { mode: "Bridge" },
    volumes: [
      { name: "sources", hostPath: { path: inNode("sources") } },
      { name: "config", hostPath: { path: inNode("sources/config"), ...(type === undefined ? {} : { type }) } },
    ],
    volumeMounts: [
      { name: "sources", mountPath: "/sources" },
      { name: "config", mountPath },
    ],
  });
  const config = () => inNode("sources/config");
  const restart = (container: Container, value: string): Promise<Container> =>
    test().patch(container, { metadata: { annotations: { [RESTARTED_AT]: value } } });
  const idOf = ({ status }: Container): string => status?.containerID?.replace("containerd://", "") ?? "?";

  it("is tried again, on the layer and with the address that the container has", async () => {
    await writeFile(config(), "");
    // The first run takes its own volume's source away and fails.
    const container = await test().create(
      counting("test -e /again || { touch /again; rm /sources/config; exit 3; };", "File"),
    );
    const failed = await untilJudged(test(), container);
    expectVerdict(failed, { ...VOLUME_SETUP_FAILED, says: ["volume config", config(), "found nothing"] });
    expect(failed.status).toMatchObject({ restartCount: 0 });
    const { container: records, snapshot, task } = await test().audit();
    expect({ records, snapshot, task }).toEqual({ records: [idOf(failed)], snapshot: [idOf(failed)], task: [] });

    await writeFile(config(), "");
    const running = await test().untilState(container, "Running");
    expect(idOf(running)).toBe(idOf(failed));
    expect(running.status).toMatchObject({ restartCount: 1 });
    expect(running.status?.network?.ipAddresses).toEqual(failed.status?.network?.ipAddresses);
    expect(test().output(container)).toBe("1\n2\n");
    await test().delete(container);
  });

  it("for good keeps the layer, and goes on from it when it is asked to", async () => {
    await rm(config(), { force: true });
    await writeFile(config(), "");
    const container = await test().create(counting("", undefined, "/file"));
    const first = await test().untilState(container, "Running");
    await rm(config());
    await mkdir(config());
    await restart(container, "1");
    const failed = await untilJudged(test(), container);
    expectVerdict(failed, MOUNT_MISMATCH);
    expect(failed.status).toMatchObject({ containerID: first.status?.containerID, restartCount: 0, restartedAt: "1" });
    const { container: records, snapshot, task, address } = await test().audit();
    expect({ records, snapshot, task, address }).toEqual({
      records: [idOf(first)],
      snapshot: [idOf(first)],
      task: [],
      address: [],
    });

    await rm(config(), { recursive: true });
    await writeFile(config(), "");
    await restart(container, "2");
    const { status } = await test().until(container, "restarted", (now) => now.status?.state === "Running");
    expect(status).toMatchObject({ containerID: first.status?.containerID, restartCount: 1, restartedAt: "2" });
    expect(test().output(container)).toBe("1\n2\n");
    await test().delete(container);
  });
});

describe("a start whose runtime is slow, and that is called off meanwhile", () => {
  it("is undone before its process runs", async () => {
    const [gate, bell] = [inNode("runc.gate"), inNode("runc.bell")];
    await run("mkfifo", [gate, bell]);
    const wait = `case " $* " in *" create "*) echo >${bell}; cat <${gate} >/dev/null ;; esac`;
    const runc = join(findTools().runcDir, "runc");
    await writeFile(inNode("bin/slow-runc"), `#!/bin/sh\n${wait}\nexec ${runc} "$@"\n`, { mode: 0o755 });
    await mkdir(inNode("host"));
    const before = await test().audit();
    const created = await test().create({
      ...wish({ runtime: "slow", command: ["touch", "/host/ran"] }),
      volumes: [{ name: "host", hostPath: { path: inNode("host") } }],
      volumeMounts: [{ name: "host", mountPath: "/host" }],
    });
    await readFile(bell);
    await test().api.delete(containerPath(created.metadata.namespace, created.metadata.name));
    await test().until(created, "being deleted", ({ metadata }) => metadata.deletionTimestamp !== undefined);
    await writeFile(gate, "");
    await test().untilGone(created);
    expect(await readdir(inNode("host"))).toEqual([]);
    expect(await test().leaks(before)).toEqual([]);
  });
});
