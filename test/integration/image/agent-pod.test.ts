// The agent as the chart has it run, in a Pod of its image: all that a Container has is the node's, and nothing is the Pod's.
import { mkdirSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:net";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import type { Container, ContainerSpec } from "../../../src/api/index.ts";
import { mountsBelow, run } from "../../../src/node/index.ts";
import { AgentPod, buildImage } from "../../support/agent-pod.ts";
import { untilOutput, valuesOf } from "../../support/probe.ts";
import { useNode } from "../../support/test-node.ts";

const BUILD_TIMEOUT_MS = 45 * 60_000;
/** Of tests that start several processes of the image, each of which takes half a second on an idle machine. */
const TIMEOUT_MS = 180_000;
const test = useNode({ startAgent: false, asMachine: true });
let pod: AgentPod;

const nameOf = ({ metadata }: Container): string => `${metadata.namespace}/${metadata.name}`;
const idOf = ({ status }: Container): string => status?.containerID?.replace("containerd://", "") ?? "";
const hostDir = (): string => join(test().node.dir, "host");
const hostPort = (): number => 30_000 + test().node.index;
const page = async (): Promise<string> => (await fetch(`http://127.0.0.1:${hostPort()}/`)).text();

/** What the processes of a container are in, one line each, as the kernel tells it of them. */
function cgroupsOf(id: string): string[] {
  const texts = readdirSync("/proc").map((pid) => {
    try {
      return /^\d+$/.test(pid) ? readFileSync(`/proc/${pid}/cgroup`, "utf8") : "";
    } catch {
      return "";
    }
  });
  return texts.filter((text) => text.includes(id)).flatMap((text) => text.trim().split("\n"));
}

/** What hostPath volumes of all types are to find. */
async function prepareHost(): Promise<Server> {
  mkdirSync(join(hostDir(), "real/part"), { recursive: true });
  writeFileSync(join(hostDir(), "real/file"), "a file\n");
  writeFileSync(join(hostDir(), "real/part/deep"), "a part\n");
  symlinkSync(join(hostDir(), "real"), join(hostDir(), "link"));
  await run("mknod", [join(hostDir(), "block"), "b", "7", "0"]);
  const server = createServer();
  await new Promise<void>((done) => server.listen(join(hostDir(), "socket"), done));
  return server;
}

const SCRIPT = `
say() { echo "$1=$2"; }
for name in directory made file new socket char block any; do say $name "$(stat -c %F /host/$name)"; done
say link "$(cat /linked/file)"
say part "$(cat /part/deep)"
say memory "$(stat -f -c %T /memory)"
echo kept >/disk/kept; say disk "$(cat /disk/kept)"
say secret "$(cat /secret/password)"
say config "$(cat /config)"
echo x >>/named/lines; say named "$(cat /named/lines)"
say device "$(stat -c '%t:%T' /dev/mine)"
say address "$(ip -4 -o addr show eth0 | wc -l)"
say loopback "$(ping -c 1 -w 5 127.0.0.1 >/dev/null && echo up)"
say end .
mkdir -p /tmp/www; echo served >/tmp/www/index.html
trap 'exit 0' TERM
httpd -f -p 80 -h /tmp/www & wait
`;

function everything(): Partial<ContainerSpec> {
  const types = [
    ["directory", "Directory", "real"],
    ["made", "DirectoryOrCreate", "made/deep"],
    ["file", "File", "real/file"],
    ["new", "FileOrCreate", "real/new"],
    ["socket", "Socket", "socket"],
    ["block", "BlockDevice", "block"],
    ["any", "", "any"],
  ] as const;
  const index = test().node.index;
  return {
    command: ["sh", "-c", SCRIPT],
    network: { mode: "Bridge" },
    ports: [{ containerPort: 80, hostPort: hostPort() }],
    healthcheck: { tcpSocket: { port: 80 }, interval: "1s", retries: 60 },
    devices: [{ hostPath: "/dev/full", containerPath: "/dev/mine" }],
    volumes: [
      ...types.map(([name, type, path]) => ({ name, hostPath: { path: join(hostDir(), path), type } })),
      { name: "char", hostPath: { path: "/dev/null", type: "CharDevice" as const } },
      { name: "linked", hostPath: { path: join(hostDir(), "link"), type: "Directory" as const } },
      { name: "memory", emptyDir: { medium: "Memory" as const, sizeLimit: "1Mi" } },
      { name: "disk", emptyDir: {} },
      { name: "secret", secret: { secretName: `pod-${index}` } },
      { name: "config", configMap: { name: `pod-${index}` } },
      { name: "named", volume: { name: `pod-${index}` } },
    ],
    volumeMounts: [
      ...[...types.map(([name]) => name), "char"].map((name) => ({ name, mountPath: `/host/${name}` })),
      { name: "linked", mountPath: "/linked", readOnly: true },
      { name: "linked", mountPath: "/part", subPath: "part" },
      { name: "memory", mountPath: "/memory" },
      { name: "disk", mountPath: "/disk" },
      { name: "secret", mountPath: "/secret" },
      { name: "config", mountPath: "/config", subPath: "text" },
      { name: "named", mountPath: "/named" },
    ],
  };
}

const WANTED = {
  directory: "directory",
  made: "directory",
  file: "regular file",
  new: "regular empty file",
  socket: "socket",
  char: "character special file",
  block: "block special file",
  any: "directory",
  link: "a file",
  part: "a part",
  memory: "tmpfs",
  disk: "kept",
  secret: "hush",
  config: "plain",
  named: "x",
  device: "1:7",
  address: "1",
  loopback: "up",
  end: ".",
};

describe("the image in a Pod", () => {
  beforeAll(async () => {
    pod = await AgentPod.open(test(), await buildImage());
  }, BUILD_TIMEOUT_MS);
  afterAll(async () => {
    await pod.close();
  });

  describe("an agent in a Pod", () => {
    let server: Server;
    let container: Container;

    beforeAll(async () => {
      server = await prepareHost();
      const { api, node } = test();
      const metadata = { name: `pod-${node.index}`, namespace: "default" };
      const secret = { apiVersion: "v1", kind: "Secret", metadata, stringData: { password: "hush" } };
      const config = { apiVersion: "v1", kind: "ConfigMap", metadata, data: { text: "plain" } };
      await api.create("/api/v1/namespaces/default/secrets", secret);
      await api.create("/api/v1/namespaces/default/configmaps", config);
      await pod.start();
    }, TIMEOUT_MS);

    afterAll(async () => {
      await test().deleteAll();
      await pod.exec("berth", "volume", "rm", `pod-${test().node.index}`);
      expect(await pod.stop()).toBe(0);
      server.close();
      rmSync(hostDir(), { recursive: true });
    }, TIMEOUT_MS);

    it(
      "gives a Container all that is the node's",
      async () => {
        const created = await test().create(everything());
        await untilOutput(test(), created, "end=.\n");
        container = await test().untilCondition(created, "Ready");
        expect(valuesOf(test().output(container))).toMatchObject(WANTED);
        expect(await page()).toBe("served\n");
        const cgroups = cgroupsOf(idOf(container));
        expect(cgroups.length).toBeGreaterThan(0);
        for (const line of cgroups) expect(line).not.toContain(pod.id);
      },
      TIMEOUT_MS,
    );

    it(
      "serves the commands on the node, as kubectl exec runs them",
      async () => {
        const { metadata } = container;
        expect((await pod.exec("berth", "ps")).stdout).toContain(nameOf(container));
        expect((await pod.exec("berth", "logs", nameOf(container))).stdout).toContain("secret=hush\n");
        expect((await pod.exec("berth", "exec", nameOf(container), "cat", "/secret/password")).stdout).toBe("hush");
        expect((await pod.exec("berth", "exec", "-u", "app", nameOf(container), "id", "-u")).stdout).toBe("1000\n");
        expect(JSON.parse((await pod.exec("berth", "inspect", nameOf(container))).stdout)).toMatchObject({
          name: metadata.name,
        });
        expect((await pod.exec("berth", "volume", "ls")).stdout).toContain(`default/pod-${test().node.index} `);
      },
      TIMEOUT_MS,
    );

    it(
      "keeps a terminal's output",
      async () => {
        const tty = await test().create({ tty: true, command: ["sh", "-c", "tty; exec sleep 3600"] });
        await untilOutput(test(), tty, "/dev/pts/0");
        await test().delete(tty);
      },
      TIMEOUT_MS,
    );

    it(
      "updates files of a Secret under a running Container",
      async () => {
        const { api, node } = test();
        await api.mergePatch(`/api/v1/namespaces/default/secrets/pod-${node.index}`, {
          stringData: { password: "new" },
        });
        const script = `until grep new /secret/password; do usleep 50000; done`;
        const { stdout } = await pod.exec("berth", "exec", nameOf(container), "timeout", "20", "sh", "-c", script);
        expect(stdout).toContain("new");
      },
      TIMEOUT_MS,
    );

    it(
      "can be killed, with all of its Pod, and replaced: Containers live on",
      async () => {
        const before = await mountsBelow(test().node.stateDir);
        await pod.stop("kill");
        expect(await page()).toBe("served\n");
        expect(await mountsBelow(test().node.stateDir)).toEqual(before);
        expect(before.map(({ fsType }) => fsType)).toEqual(expect.arrayContaining(["nsfs", "tmpfs"]));
        await pod.start();
        const { metadata, status } = await test().untilCondition(container, "Ready");
        expect(status).toMatchObject({
          pid: container.status?.pid,
          startedAt: container.status?.startedAt,
          restartCount: 0,
        });
        expect(
          (await pod.exec("berth", "exec", `${metadata.namespace}/${metadata.name}`, "cat", "/disk/kept")).stdout,
        ).toBe("kept\n");
      },
      TIMEOUT_MS,
    );

    it(
      "stops a Container, and starts it again",
      async () => {
        const stopped = await test().patch(container, { spec: { desiredState: "Stopped" } });
        expect((await test().untilState(stopped, "Exited")).status?.exitCode).toBe(0);
        const again = await test().patch(container, { spec: { desiredState: "Running" } });
        await test().untilCondition(again, "Ready");
        expect(await page()).toBe("served\n");
        await test().delete(container);
      },
      TIMEOUT_MS,
    );
  });

  describe("a Pod that is not as it must be", () => {
    it(
      "says what to set",
      async () => {
        const alone = await pod.runToEnd({ ownPid: true });
        expect(alone).toMatchObject({ exitCode: 1, log: expect.stringContaining("set hostPID: true") as unknown });
        for (const changes of [{ privileged: false }, { user: 65_532 }]) {
          const { exitCode, log } = await pod.runToEnd(changes);
          expect([exitCode, log]).toEqual([1, expect.stringContaining("set runAsUser: 0 and privileged: true")]);
        }
      },
      TIMEOUT_MS,
    );

    it(
      "needs nothing for what is not about the node",
      async () => {
        const { exitCode, log } = await pod.runToEnd({
          ownPid: true,
          privileged: false,
          user: 65_532,
          args: ["--help"],
        });
        expect([exitCode, log]).toEqual([0, expect.stringContaining("agent")]);
        expect(pod.image.config).toMatchObject({ User: "65532:65532", Entrypoint: ["berth"] });
      },
      TIMEOUT_MS,
    );
  });
});
