// What a container gets of its node by name: devices, seccomp profiles, runtimes.
import { chmod, mkdir, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import { findTools } from "../../../hack/cluster/tools.ts";
import type { Container, ContainerSpec } from "../../../src/api/index.ts";
import { run } from "../../../src/node/index.ts";
import {
  expectFailedStart,
  expectVerdict,
  INVALID_SPEC,
  untilJudged,
  VOLUME_SETUP_FAILED,
} from "../../support/failed-start.ts";
import { probe, valuesOf } from "../../support/probe.ts";
import { askRestart } from "../../support/restart.ts";
import { useNode } from "../../support/test-node.ts";

const test = useNode({ startAgent: false });

const inNode = (...names: string[]): string => join(test().node.dir, ...names);
const mknod = (name: string, ...numbers: string[]) => run("mknod", [inNode("devices", name), ...numbers]);

beforeAll(async () => {
  await mkdir(inNode("devices/few/deep"), { recursive: true });
  const { node } = test();
  const options = { BinaryName: inNode("runc-told"), Root: join(node.runDir, "second-root") };
  const runtimes = { second: { type: "io.containerd.runc.v2", options } };
  await writeFile(inNode("agent.yaml"), JSON.stringify({ runtimes }));
  node.startAgent({ config: inNode("agent.yaml") });
  await node.agentReady();
});

describe("devices", () => {
  /** Tells of each path what it is, and whether it can be opened for reading and for writing. */
  const look = (...paths: string[]): string =>
    `for p in ${paths.join(" ")}; do
       opened=$( (: < $p) 2>/dev/null && printf r; (: > $p) 2>/dev/null && printf w)
       echo "$p=$(stat -c '%F %t:%T %a %u' $p) $opened"
     done`;

  it("appear under another path, and allow what is said", async () => {
    const { output } = await probe(test(), look("/dev/loop-control", "/elsewhere/control", "/dev/kmsg"), {
      devices: [
        { hostPath: "/dev/loop-control", permissions: "r" },
        { hostPath: "/dev/kmsg", containerPath: "/dev/kmsg", permissions: "w" },
        { hostPath: "/dev/loop-control", containerPath: "/elsewhere/control" },
      ],
    });
    // The rules are about the device, whatever its path: the two for one device add up.
    expect(valuesOf(output)).toEqual({
      "/dev/loop-control": "character special file a:ed 600 0 rw",
      "/elsewhere/control": "character special file a:ed 600 0 rw",
      "/dev/kmsg": "character special file 1:b 644 0 w",
    });
  });

  it("of a directory appear all, below the container's path", async () => {
    await mknod("few/one", "c", "10", "237");
    await mknod("few/deep/two", "b", "7", "0");
    await symlink("/dev/null", inNode("devices/few/link"));
    await symlink("few", inNode("devices/renamed"));
    const { output } = await probe(test(), `${look("/many/one", "/many/deep/two")}; ls /many /many/deep | xargs`, {
      devices: [{ hostPath: inNode("devices/renamed"), containerPath: "/many", permissions: "r" }],
    });
    expect(valuesOf(output)).toEqual({
      "/many/one": "character special file a:ed 644 0 r",
      "/many/deep/two": "block special file 7:0 644 0 r",
    });
    expect(output).toContain("/many: deep one /many/deep: two\n");
  });

  it("of a privileged container come beside all the others", async () => {
    const { output } = await probe(test(), look("/renamed", "/dev/loop-control"), {
      securityContext: { privileged: true },
      devices: [{ hostPath: "/dev/loop-control", containerPath: "/renamed", permissions: "r" }],
    });
    expect(valuesOf(output)).toEqual({
      "/renamed": "character special file a:ed 600 0 rw",
      "/dev/loop-control": "character special file a:ed 600 0 rw",
    });
  });

  it("that the node lacks are waited for", async () => {
    const spec = { devices: [{ hostPath: "/dev/null" }, { hostPath: inNode("devices/late") }] };
    const says = ["spec.devices[1].hostPath", "no such file or directory", inNode("devices/late")];
    const failed = await expectFailedStart(test(), spec, { ...VOLUME_SETUP_FAILED, says });
    await mknod("late", "c", "1", "3");
    await test().untilState(failed, "Running");
    await test().delete(failed);
  });

  it("are looked up at each start: gone, then another", async () => {
    await mknod("plugged", "c", "10", "237");
    const numbers = "stat -c %t:%T /dev/plugged; trap 'exit 0' TERM; sleep 3600 & wait";
    const container = await test().create({
      command: ["sh", "-c", numbers],
      devices: [{ hostPath: inNode("devices/plugged"), containerPath: "/dev/plugged" }],
      ulimits: [{ name: "core", soft: -1, hard: -1 }],
    });
    const first = await test().untilState(container, "Running");
    await rm(inNode("devices/plugged"));
    const failed = await untilJudged(test(), await askRestart(test(), container, "1"));
    expectVerdict(failed, { ...VOLUME_SETUP_FAILED, says: ["spec.devices[0].hostPath", "no such file"] });
    await mknod("plugged", "c", "1", "11");
    const again = await test().untilState(container, "Running");
    expect(again.status?.containerID).toBe(first.status?.containerID);
    expect(test().output(container)).toBe("a:ed\n1:b\n");
    await test().delete(container);
  });

  it.each<[string, NonNullable<ContainerSpec["devices"]>, string[]]>([
    [
      "a file",
      [{ hostPath: "/etc/passwd" }],
      ["spec.devices[0].hostPath: /etc/passwd on this node is neither a device"],
    ],
    ["an empty directory", [{ hostPath: "/sys/kernel" }], ["/sys/kernel", "nor a directory of some"]],
  ])("can't be %s", async (_, devices, says) => {
    await test().delete(await expectFailedStart(test(), { devices }, { ...VOLUME_SETUP_FAILED, says }));
  });

  it("can't be two on one path", async () => {
    const devices = [{ hostPath: "/dev/null" }, { hostPath: "/dev/zero", containerPath: "/dev/null" }];
    const says = ["spec.devices[1].containerPath", '"/dev/null" is taken by spec.devices[0]'];
    await test().delete(await expectFailedStart(test(), { devices }, { ...INVALID_SPEC, says }));
  });
});

describe("a seccomp profile of the node", () => {
  const localhost = (localhostProfile: string): Partial<ContainerSpec> => ({
    securityContext: { seccompProfile: { type: "Localhost", localhostProfile } },
  });
  const file = (name: string): string => join(test().node.dataDir, "seccomp", name);
  const write = async (name: string, content: string): Promise<void> => {
    await mkdir(dirname(file(name)), { recursive: true });
    await writeFile(file(name), content);
  };
  afterAll(() => rm(file(""), { recursive: true }));
  const REFUSING = {
    defaultAction: "SCMP_ACT_ALLOW",
    archMap: [{ architecture: "SCMP_ARCH_X86_64" }, { architecture: "SCMP_ARCH_AARCH64" }],
    syscalls: [
      { names: ["sethostname"], action: "SCMP_ACT_ERRNO", errnoRet: 38 },
      // Not for a container without the capability.
      { name: "uname", action: "SCMP_ACT_ERRNO", includes: { caps: ["CAP_SYS_ADMIN"] } },
    ],
  };

  it("is what the container runs under, also when it is privileged", async () => {
    await write("own/refusing.json", JSON.stringify(REFUSING));
    const script = "grep Seccomp: /proc/self/status; unshare -U true && echo unshared; hostname other 2>&1; uname";
    const { securityContext } = localhost("own/refusing.json");
    const plain = await probe(test(), script, {
      securityContext: { ...securityContext, capabilities: { add: ["SYS_CHROOT"] } },
    });
    expect(plain.output).toMatch(/Seccomp:\s2\nunshared\n.*sethostname: Function not implemented\nLinux\n/);
    const privileged = await probe(test(), script, { securityContext: { ...securityContext, privileged: true } });
    expect(privileged.output).toMatch(/Seccomp:\s2\nunshared\n.*Function not implemented\n/);
    expect(privileged.output).not.toContain("Linux");
  });

  it.each<[string, string, string[]]>([
    ["missing", "none.json", ['there is no profile "none.json" on this node: put it into', "/seccomp"]],
    ["no JSON", "broken.json", ['"broken.json" is no seccomp profile: ', "JSON"]],
    [
      "no profile",
      "strange.json",
      ['"strange.json" is no seccomp profile: syscalls[0].action: Unsupported value: "ALLOW"'],
    ],
    ["a directory", "folder", ['"folder" in', "must be a file"]],
    ["behind a symlink that leads out", "out.json", ['there is no profile "out.json"']],
  ])("must not be %s", async (_, name, says) => {
    await write("broken.json", "{");
    await write("strange.json", JSON.stringify({ ...REFUSING, syscalls: [{ names: ["read"], action: "ALLOW" }] }));
    await write("folder/x", "");
    await rm(file("out.json"), { force: true });
    await writeFile(inNode("outside.json"), JSON.stringify(REFUSING));
    await symlink(inNode("outside.json"), file("out.json"));
    const field = "spec.securityContext.seccompProfile.localhostProfile";
    const expected = { ...INVALID_SPEC, says: [field, ...says] };
    await test().delete(await expectFailedStart(test(), localhost(name), expected));
  });
});

describe("a runtime handler of the configuration", () => {
  it("runs the container with its own program and options", async () => {
    const runc = join(findTools().runcDir, "runc");
    await writeFile(inNode("runc-told"), `#!/bin/sh\necho "$@" >> ${inNode("told")}\nexec ${runc} "$@"\n`);
    await chmod(inNode("runc-told"), 0o755);
    const container = await test().create({ runtime: "second" });
    const { status } = await test().untilState(container, "Running");
    expect(status?.runtime).toBe("second");
    const id = status?.containerID?.replace("containerd://", "") ?? "?";
    const root = join(test().node.runDir, "second-root", test().node.containerdNamespace);
    expect(JSON.parse(await readFile(join(root, id, "state.json"), "utf8"))).toMatchObject({ id });
    expect(await readFile(inNode("told"), "utf8")).toContain(`--root ${root}`);
    await test().delete(container);
  });

  it("is recreated under another one, and refused under one there is not", async () => {
    const container = await test().create({ runtime: "second" });
    await test().untilState(container, "Running");
    await test().patch(container, { spec: { runtime: "runc" } });
    const isAnew = ({ status }: Container): boolean => status?.state === "Running" && status.runtime === "runc";
    await test().until(container, "running under runc", isAnew);
    await test().delete(container);
    const says = ["spec.runtime", '"kata" is no runtime of this node: it has runc, second'];
    await test().delete(await expectFailedStart(test(), { runtime: "kata" }, { ...INVALID_SPEC, says }));
  });
});
