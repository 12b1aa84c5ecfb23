// How volumes are mounted: parts of them, mounts below them, and what can't be.
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import type { ContainerSpec, VolumeMount } from "../../../src/api/index.ts";
import { isMounted, mount, run, unmount, unmountBelow } from "../../../src/node/index.ts";
import { expectFailedStart, INVALID_SPEC, MOUNT_MISMATCH, VOLUME_SETUP_FAILED } from "../../support/failed-start.ts";
import { untilContent } from "../../support/inside.ts";
import { probe, untilOutput } from "../../support/probe.ts";
import { askRestart, untilRestarted } from "../../support/restart.ts";
import { useNode } from "../../support/test-node.ts";

const test = useNode();

/** A directory of the node outside of all that is the agent's; each test has one of its own in it. */
let host = "";
let count = 0;
beforeAll(() => {
  host = mkdtempSync(join(tmpdir(), "berth-mounts-"));
});
afterAll(async () => {
  await unmountBelow(host);
  rmSync(host, { recursive: true });
});

function directory(): string {
  const path = join(host, String(++count));
  mkdirSync(path);
  return path;
}

/** A tmpfs whose later mounts are seen elsewhere, with a directory `sub` to mount on. */
async function sharedDirectory(): Promise<string> {
  const path = directory();
  await mount({ type: "tmpfs", source: "tmpfs", target: path, options: ["mode=755"] });
  await run("mount", ["--make-shared", path]);
  mkdirSync(join(path, "sub"));
  return path;
}

async function mountOn(path: string, content: string): Promise<void> {
  await mount({ type: "tmpfs", source: "tmpfs", target: path });
  writeFileSync(join(path, "file"), content);
}

/** A Container with a hostPath at /v. */
const mounting = (path: string, more: Partial<VolumeMount> = {}): Partial<ContainerSpec> => ({
  image: test().image("files"),
  volumes: [{ name: "v", hostPath: { path } }],
  volumeMounts: [{ name: "v", mountPath: "/v", ...more }],
});

describe("subPath", () => {
  it("mounts a part of the volume alone; what is missing of it becomes a directory of the volume's mode", async () => {
    const path = directory();
    await run("chmod", ["2771", path]);
    const { container, output } = await probe(test(), "stat -c '%a %u' /v; echo x > /v/file; ls -A /v/..", {
      ...mounting(path, { subPath: "a/b/" }),
    });
    expect(output).toMatch(/^2771 0\n/);
    expect(readFileSync(join(path, "a/b/file"), "utf8")).toBe("x\n");
    await test().delete(container);

    const file = await probe(test(), "cat /file", mounting(path, { subPath: "./a/b/file", mountPath: "/file" }));
    expect(file.output).toBe("x\n");
    await test().delete(file.container);
  });

  it("is looked up anew by a restart, also by the next agent, and is gone with the container", async () => {
    const before = await test().audit();
    const path = directory();
    symlinkSync("one", join(path, "link"));
    const created = await test().create(mounting(path, { subPath: "link" }));
    const running = await test().untilState(created, "Running");
    writeFileSync(join(path, "one/file"), "1");
    await untilContent(running, "/v/file", "1");
    await test().node.stopAgent("kill");
    mkdirSync(join(path, "two"));
    writeFileSync(join(path, "two/file"), "2");
    rmSync(join(path, "link"));
    symlinkSync("two", join(path, "link"));
    test().node.startAgent();
    await test().node.agentReady();
    await untilContent(running, "/v/file", "1");
    await askRestart(test(), created, "now");
    await untilContent(await untilRestarted(test(), created, 1), "/v/file", "2");
    await test().delete(created);
    expect(await test().leaks(before)).toEqual([]);
    expect(readFileSync(join(path, "one/file"), "utf8")).toBe("1");
  });

  it.each<[string, string, (path: string) => void, string]>([
    [
      "leads out by a symlink",
      "a/out",
      (path) => {
        symlinkSync("/etc", join(path, "a/out"));
      },
      '"a/out" is a symbolic link that leads out of the volume',
    ],
    [
      "goes on below a file",
      "a/file/x",
      (path) => {
        writeFileSync(join(path, "a/file"), "");
      },
      '"a/file" is no directory',
    ],
  ])("that %s fails the start, says where, and starts when that is mended", async (_, subPath, make, says) => {
    const path = directory();
    mkdirSync(join(path, "a"));
    make(path);
    const failed = await expectFailedStart(test(), mounting(path, { subPath }), {
      ...VOLUME_SETUP_FAILED,
      says: ["volume v", `spec.volumeMounts[0].subPath "${subPath}"`, says],
    });
    rmSync(join(path, "a"), { recursive: true });
    await test().untilState(failed, "Running");
    await test().delete(failed);
  });

  it("of a file on a directory asks Docker's question", async () => {
    const path = directory();
    writeFileSync(join(path, "file"), "");
    const wrong = mounting(path, { subPath: "file", mountPath: "/directory" });
    await test().delete(await expectFailedStart(test(), wrong, MOUNT_MISMATCH));
  });

  it("can't be led out by a container that swaps what it names", async () => {
    const path = directory();
    // What the subPath names is in turn a directory, nothing, and a symlink to the node's root.
    const swap =
      "echo ready; while :; do rm -rf /v/x; mkdir /v/x; rm -rf /v/x; ln -s ../../../../../../.. /v/x; done 2> /dev/null";
    const attacker = await test().create({
      ...mounting(path),
      command: ["sh", "-c", swap],
      terminationGracePeriodSeconds: 0,
    });
    await untilOutput(test(), attacker, "ready");
    const wish = mounting(path, { subPath: "x" });
    for (let attempt = 0; attempt < 5; attempt++) {
      const victim = await test().create({ ...wish, command: ["sh", "-c", "ls -A /v"], restartPolicy: "Never" });
      const { status } = await test().until(
        victim,
        "judged",
        (now) => now.status?.startAttempts !== undefined || now.status?.state === "Exited",
      );
      if (status?.state === "Exited") expect(test().output(victim)).toBe("");
      else expect(status).toMatchObject({ reason: "VolumeSetupFailed" });
      await test().delete(victim);
    }
    await test().delete(attacker);
  });
});

describe("mountPropagation", () => {
  it.each<[string, VolumeMount["mountPropagation"], string]>([
    ["HostToContainer", "HostToContainer", "not a shared or slave mount"],
    ["Bidirectional", "Bidirectional", "not a shared mount"],
  ])("%s needs a source that passes mounts on", async (_, mountPropagation, says) => {
    const path = directory();
    await mount({ type: "tmpfs", source: "tmpfs", target: path });
    await run("mount", ["--make-private", path]);
    if (mountPropagation === undefined) throw new Error("none");
    const failed = await expectFailedStart(
      test(),
      { ...mounting(path, { mountPropagation }), securityContext: { privileged: true } },
      {
        ...VOLUME_SETUP_FAILED,
        says: [`spec.volumeMounts[0].mountPropagation ${mountPropagation}`, path, says, `mount --make-rshared ${path}`],
      },
    );
    await run("mount", ["--make-shared", path]);
    await test().untilState(failed, "Running");
    await test().delete(failed);
    await unmount(path);
  });

  it("passes the node's later mounts to the container, of a subPath, too, unless it is None; none goes with the container", async () => {
    const path = await sharedDirectory();
    const mounts: VolumeMount[] = [
      { name: "v", mountPath: "/none" },
      { name: "v", mountPath: "/slave", mountPropagation: "HostToContainer" },
      { name: "v", mountPath: "/part", mountPropagation: "HostToContainer", subPath: "sub" },
    ];
    mkdirSync(join(path, "sub/below"));
    const created = await test().create({ ...mounting(path), volumeMounts: mounts });
    const running = await test().untilState(created, "Running");
    await mountOn(join(path, "sub/below"), "later");
    await untilContent(running, "/slave/sub/below/file", "later");
    await untilContent(running, "/part/below/file", "later");
    await untilContent(running, "/none/sub/below/file", undefined);
    await test().delete(created);
    expect(await isMounted(join(path, "sub/below"))).toBe(true);
    await unmountBelow(path);
  });

  it("Bidirectional passes a privileged container's mounts to the node, where they stay", async () => {
    const path = await sharedDirectory();
    const { container, output } = await probe(
      test(),
      "mount -t tmpfs inside /v/sub && echo inside > /v/sub/file && echo mounted",
      { ...mounting(path, { mountPropagation: "Bidirectional" }), securityContext: { privileged: true } },
    );
    expect(output).toBe("mounted\n");
    expect(readFileSync(join(path, "sub/file"), "utf8")).toBe("inside\n");
    await test().delete(container);
    expect(existsSync(join(path, "sub/file"))).toBe(true);
    await unmountBelow(path);
  });
});

describe("readOnly", () => {
  it("holds for what is mounted below the source, too, and for a subPath", async () => {
    const path = directory();
    mkdirSync(join(path, "sub"));
    await mountOn(join(path, "sub"), "below");
    const { container, output } = await probe(
      test(),
      "cat /v/sub/file; for f in /v/x /v/sub/x /part/x; do echo x > $f || echo refused; done; echo x > /rw/sub/y",
      {
        ...mounting(path),
        volumeMounts: [
          { name: "v", mountPath: "/v", readOnly: true },
          { name: "v", mountPath: "/part", readOnly: true, subPath: "sub" },
          { name: "v", mountPath: "/rw" },
        ],
      },
    );
    expect(output.match(/Read-only file system/g)).toHaveLength(3);
    expect(output.match(/refused/g)).toHaveLength(3);
    expect(output).toContain("below");
    expect(readdirSync(join(path, "sub")).sort()).toEqual(["file", "y"]);
    await test().delete(container);
    await unmount(join(path, "sub"));
  });
});

describe("what can't be mounted", () => {
  it.each<[string, VolumeMount[], string]>([
    [
      "two mounts on one path",
      [
        { name: "v", mountPath: "/a/b" },
        { name: "v", mountPath: "/a//b/" },
      ],
      'spec.volumeMounts[1].mountPath: Invalid value: "/a//b/": must not be the path of another mount',
    ],
    ["a mount on the root", [{ name: "v", mountPath: "/" }], "must not be the container's root"],
  ])("is an invalid spec: %s", async (_, volumeMounts, says) => {
    const wrong = { ...mounting(directory()), volumeMounts };
    await test().delete(await expectFailedStart(test(), wrong, { ...INVALID_SPEC, says: [says] }));
  });
});
