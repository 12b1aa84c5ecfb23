// Volumes as a container's process finds them: hostPath and emptyDir; of the others what depends on the node alone is in storage/.
import { existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, it } from "@jest/globals";
import type { ContainerSpec } from "../../../src/api/index.ts";
import { NamedVolumes } from "../../../src/storage/index.ts";
import { probe, valuesOf } from "../../support/probe.ts";
import { createObject } from "../../support/pulling.ts";
import { CONTAINERD, useNode } from "../../support/test-node.ts";

const node = useNode();
let host = "";
beforeAll(() => {
  host = join(node().node.dir, "host");
  mkdirSync(host);
});

type HostPath = NonNullable<NonNullable<ContainerSpec["volumes"]>[number]["hostPath"]>;

const hostPath = (
  source: HostPath,
  mount: { mountPath?: string; readOnly?: boolean } = {},
): Partial<ContainerSpec> => ({
  volumes: [{ name: "host", hostPath: source }],
  volumeMounts: [{ name: "host", mountPath: "/host", ...mount }],
});

describe("hostPath", () => {
  it("shows the node's files and what the container writes there; readOnly refuses that", async () => {
    const path = join(host, "shared");
    mkdirSync(path);
    writeFileSync(join(path, "from-node"), "node\n");
    const script = "cat /host/from-node; echo container > /host/from-container && echo written";
    const writable = await probe(node(), script, hostPath({ path }));
    expect(writable.output).toBe("node\nwritten\n");
    expect(readFileSync(join(path, "from-container"), "utf8")).toBe("container\n");

    const readOnly = await probe(node(), script, hostPath({ path }, { readOnly: true }));
    expect(readOnly.output).toContain("node\n");
    expect(readOnly.output).toContain("Read-only file system");
    expect(readOnly.output).not.toContain("written");
  });

  it.each(["", "DirectoryOrCreate"] as const)(
    "of type %j makes a missing directory, with its parents",
    async (type) => {
      const path = join(host, `made${type}`, "below");
      const { output } = await probe(node(), "stat -c '%F %a %u' /host", hostPath({ path, type }));
      expect(output).toBe("directory 755 0\n");
      expect(statSync(path).isDirectory()).toBe(true);
    },
  );

  it("of type FileOrCreate makes an empty file, which may be mounted over an image's", async () => {
    const path = join(host, "created");
    const { output } = await probe(
      node(),
      "stat -c '%F %a' /www/index.html; echo kept > /www/index.html",
      hostPath({ path, type: "FileOrCreate" }, { mountPath: "/www/index.html" }),
    );
    expect(output).toBe("regular empty file 644\n");
    expect(readFileSync(path, "utf8")).toBe("kept\n");
  });

  it("stays when the container is deleted", async () => {
    const path = join(host, "kept");
    const { container } = await probe(node(), "echo kept > /host/file", hostPath({ path }));
    await node().delete(container);
    expect(readFileSync(join(path, "file"), "utf8")).toBe("kept\n");
  });

  it.each<[HostPath["type"], "file" | "directory" | "missing", string]>([
    ["Socket", "file", "a socket is wanted (hostPath.type Socket), found a file"],
    ["File", "directory", "a file is wanted (hostPath.type File), found a directory"],
    ["Directory", "file", "a directory is wanted (hostPath.type Directory), found a file"],
    ["CharDevice", "missing", "a character device is wanted (hostPath.type CharDevice), found nothing"],
  ])(
    "of type %s finds a %s: VolumeSetupFailed, nothing is left, and it starts when that changes",
    async (type, found, message) => {
      const path = join(host, `mismatch-${String(type)}`);
      if (found === "file") writeFileSync(path, "");
      if (found === "directory") mkdirSync(path);
      const before = await node().audit();
      const created = await node().create(hostPath({ path, ...(type === undefined ? {} : { type }) }));
      const failed = await node().until(created, "refused", ({ status }) => status?.startAttempts !== undefined);
      expect(failed.status).toMatchObject({
        state: "Pending",
        reason: "VolumeSetupFailed",
        exitCode: 128,
        message: `volume host: ${path}: ${message}`,
        nextRetryAt: expect.any(String),
      });
      expect(await node().leaks(before)).toEqual([]);
      expect(existsSync(path)).toBe(found !== "missing");
      await node().patch(created, {
        spec: { volumes: [{ name: "host", hostPath: { path: "/dev/null", type: "CharDevice" } }] },
      });
      await node().untilState(created, "Running");
      await node().delete(created);
    },
  );
});

describe("emptyDir", () => {
  it("is empty and anyone's; two mounts of it show the same files", async () => {
    const { output } = await probe(
      node(),
      "ls -A /a | wc -l; stat -c %a /a; echo shared > /a/file; cat /b/file; echo x > /b/file",
      {
        user: "app",
        volumes: [{ name: "v", emptyDir: {} }],
        volumeMounts: [
          { name: "v", mountPath: "/a" },
          { name: "v", mountPath: "/b", readOnly: true },
        ],
      },
    );
    expect(output.split("\n")).toEqual(expect.arrayContaining(["0", "777", "shared"]));
    expect(output).toContain("Read-only file system");
  });

  it("in Memory is a tmpfs of its sizeLimit", async () => {
    const { output } = await probe(
      node(),
      `awk '$2 == "/memory" { print "type=" $3 }' /proc/mounts; df -k /memory | awk 'NR == 2 { print "kib=" $2 }'
       dd if=/dev/zero of=/memory/x bs=1M count=5`,
      {
        volumes: [{ name: "m", emptyDir: { medium: "Memory", sizeLimit: "4Mi" } }],
        volumeMounts: [{ name: "m", mountPath: "/memory" }],
      },
    );
    expect(valuesOf(output)).toMatchObject({ type: "tmpfs", kib: "4096" });
    expect(output).toContain("No space left on device");
  });

  it("keeps its files over a restart, is new after a recreation and gone with the container", async () => {
    const created = await node().create({
      command: ["sh", "-c", "for v in disk memory; do echo $v=$(cat /$v/file 2>/dev/null); echo kept > /$v/file; done"],
      restartPolicy: "Never",
      volumes: [
        { name: "disk", emptyDir: {} },
        { name: "memory", emptyDir: { medium: "Memory" } },
      ],
      volumeMounts: [
        { name: "disk", mountPath: "/disk" },
        { name: "memory", mountPath: "/memory" },
      ],
    });
    await node().untilState(created, "Exited");
    await node().patch(created, { metadata: { annotations: { "berth.dev/restartedAt": "once" } } });
    await node().until(created, "restarted", ({ status }) => status?.state === "Exited" && status.restartCount === 1);
    expect(node().output(created)).toBe("disk=\nmemory=\ndisk=kept\nmemory=kept\n");

    const changed = await node().patch(created, { spec: { hostname: "another" } });
    await node().untilState(changed, "Exited");
    expect(node().output(created)).toBe("disk=\nmemory=\ndisk=kept\nmemory=kept\ndisk=\nmemory=\n");

    const volumes = join(node().node.dataDir, "containers", `${created.metadata.uid}-2`, "volumes");
    expect(existsSync(volumes)).toBe(true);
    await node().delete(created);
    expect(existsSync(volumes)).toBe(false);
  });
});

it("files of a Secret, a named volume and a part of it are mounted; what is missing is waited for", async () => {
  const name = `volumes-${node().node.index}-${CONTAINERD.replace(".", "-")}`;
  const created = await node().create({
    command: ["sh", "-c", "cat /secret/key; cat /data/seed; echo kept > /part/file; ls /data"],
    image: node().image("files"),
    restartPolicy: "Never",
    volumes: [
      { name: "secret", secret: { secretName: name } },
      { name: "data", volume: { name } },
    ],
    volumeMounts: [
      { name: "secret", mountPath: "/secret" },
      { name: "data", mountPath: "/data" },
      { name: "data", mountPath: "/part", subPath: "part" },
    ],
  });
  await node().until(created, "waiting", ({ status }) => status?.reason === "WaitingForSecret");
  await createObject(node(), "Secret", name, { stringData: { key: "hidden\n" } });
  await node().untilState(created, "Exited");
  expect(node().output(created)).toBe("hidden\nfrom the image\npart\nseed\n");
  await node().delete(created);
  const volumes = new NamedVolumes({ dataDir: node().node.dataDir });
  expect(readFileSync(join(volumes.path("default", name), "part/file"), "utf8")).toBe("kept\n");
  await volumes.remove("default", name, () => Promise.resolve([]));
});
