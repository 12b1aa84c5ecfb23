// Root filesystems and volumes on real overlays, tmpfs and devices; needs root.
import { chmod, chown, lstat, mkdir, mkdtemp, readFile, readdir, rm, stat, symlink, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "@jest/globals";
import type { ContainerSpec } from "../../src/api/index.ts";
import type { Containerd } from "../../src/containerd/index.ts";
import { kernelAtLeast, mount, mountsBelow, run, unmount, unmountBelow } from "../../src/node/index.ts";
import { RootFilesystem, VolumeError, Volumes, writeInPlace } from "../../src/storage/index.ts";
import type { SnapshotMount } from "../../src/storage/index.ts";

let root = "";

beforeEach(async () => {
  root = await mkdtemp("/var/tmp/berth-storage-");
});
afterEach(async () => {
  expect(await mountsBelow(root)).toEqual([]);
  await rm(root, { recursive: true });
});

/** Layers as a snapshotter makes them: each is what a change on an overlay of those below leaves in its upper directory. */
async function layered(...changes: ((merged: string) => Promise<unknown>)[]): Promise<SnapshotMount[]> {
  const merged = join(root, "merged");
  await mkdir(merged);
  const lower = [join(root, "empty")];
  await mkdir(join(root, "empty"));
  let last: SnapshotMount = { type: "bind", source: "", options: [] };
  for (const [index, change] of changes.entries()) {
    const [upper, work] = [join(root, `layer${index}`), join(root, `work${index}`)];
    await mkdir(upper);
    await mkdir(work);
    const options = [`lowerdir=${lower.join(":")}`, `upperdir=${upper}`, `workdir=${work}`, "index=off"];
    last = { type: "overlay", source: "overlay", options };
    await mount({ ...last, target: merged });
    await change(merged);
    await unmount(merged);
    lower.unshift(upper);
  }
  return [last];
}

const put = async (path: string, content: string) => {
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, content);
};

describe("RootFilesystem.readFile", () => {
  const rootfs = () =>
    new RootFilesystem({
      containerd: {} as Pick<Containerd, "snapshots" | "snapshotter">,
      stateDir: join(root, "state"),
    });
  const usedMount = async () => (await readdir(join(root, "state")).catch((): string[] => [])).includes("mounts");

  it("reads from the layers without a mount where they tell", async () => {
    const mounts = await layered(
      (merged) => put(join(merged, "etc/passwd"), "root"),
      (merged) => put(join(merged, "opt/app"), "app"),
      () => Promise.resolve(),
    );
    await expect(rootfs().readFiles(mounts, ["/etc/passwd", "/opt/app", "/etc/../opt/none"])).resolves.toEqual([
      "root",
      "app",
      undefined,
    ]);
    expect(await usedMount()).toBe(false);
  });

  it("shows neither deleted files nor those below a directory made anew", async () => {
    const mounts = await layered(
      async (merged) => {
        await put(join(merged, "etc/passwd"), "old");
        await put(join(merged, "file"), "old");
        await put(join(merged, "gone/file"), "old");
      },
      async (merged) => {
        await rm(join(merged, "file"));
        await rm(join(merged, "gone"), { recursive: true });
        await rm(join(merged, "etc"), { recursive: true });
        await put(join(merged, "etc/group"), "new");
      },
      (merged) => put(join(merged, "etc/motd"), "hi"),
    );
    await expect(rootfs().readFiles(mounts, ["/file", "/gone/file"])).resolves.toEqual([undefined, undefined]);
    expect(await usedMount()).toBe(false);
    await expect(rootfs().readFiles(mounts, ["/etc/passwd", "/etc/group", "/etc/motd"])).resolves.toEqual([
      undefined,
      "new",
      "hi",
    ]);
    expect(await usedMount()).toBe(true);
    expect(await readdir(join(root, "state/mounts"))).toEqual([]);
  });

  it("never leaves the root, with and without a mount", async () => {
    const secret = join(root, "secret");
    await writeFile(secret, "of the node");
    const mounts = await layered(
      async (merged) => {
        await put(join(merged, "etc/group"), "g");
        await symlink(secret, join(merged, "etc/passwd"));
        await symlink("../../../../../../../../../etc/group", join(merged, "up"));
        await run("mknod", [join(merged, "zero"), "c", "1", "5"]);
        await run("mkfifo", [join(merged, "pipe")]);
      },
      (merged) => put(join(merged, "etc/motd"), "hi"),
    );
    const paths = ["/etc/passwd", "/up", "/zero", "/pipe", secret];
    await expect(rootfs().readFiles(mounts, paths)).resolves.toEqual([undefined, "g", undefined, undefined, undefined]);
    await expect(
      rootfs().readFiles([{ type: "bind", source: join(root, "layer0"), options: ["rbind", "ro"] }], paths),
    ).resolves.toEqual([undefined, "g", undefined, undefined, undefined]);
  });

  it("mounts more layers than fit into mount(2)'s page of options, while the snapshot is in use", async () => {
    const deep = join(root, "a-rather-long-name-of-a-directory-as-snapshotters-have-them");
    const layers = await Promise.all(
      Array.from({ length: 60 }, async (_, index) => {
        await put(join(deep, String(index), "fs/etc", `file${index}`), String(index));
        return join(deep, String(index), "fs");
      }),
    );
    expect(layers.join(":").length).toBeGreaterThan(4096);
    const [upper = "", ...lower] = layers;
    const options = [`lowerdir=${lower.join(":")}`, `upperdir=${upper}`, `workdir=${join(root, "work")}`];
    await expect(rootfs().readFile([{ type: "overlay", source: "overlay", options }], "/etc/file59")).resolves.toBe(
      "59",
    );
    expect(await usedMount()).toBe(true);
  });
});

describe("Volumes", () => {
  const stateDir = () => join(root, "state");
  const dataDir = () => join(root, "data");
  const volumes = () => new Volumes({ stateDir: stateDir(), dataDir: dataDir() });
  const wish = (spec: object, imageVolumes: string[] = []) => ({
    namespace: "default",
    name: "web",
    spec: spec as ContainerSpec,
    image: { volumes: imageVolumes },
  });

  it("binds hostPath and both kinds of emptyDir, outer mounts first, and keeps them over a restart", async () => {
    const host = join(root, "host");
    const spec = {
      volumes: [
        { name: "host", hostPath: { path: host } },
        { name: "disk", emptyDir: {} },
        { name: "memory", emptyDir: { medium: "Memory", sizeLimit: "1Mi" } },
      ],
      volumeMounts: [
        { name: "memory", mountPath: "/data/cache/" },
        { name: "host", mountPath: "/data", readOnly: true },
        { name: "disk", mountPath: "/tmp" },
      ],
    };
    const mounts = await volumes().prepare("c1", wish(spec), { rootfs: [], isNew: true });
    const memory = join(stateDir(), "containers/c1/volumes/memory");
    const disk = join(dataDir(), "containers/c1/volumes/disk");
    expect(mounts).toEqual([
      { destination: "/data", type: "bind", source: host, options: ["rbind", "ro", "rprivate"] },
      { destination: "/tmp", type: "bind", source: disk, options: ["rbind", "rw", "rprivate"] },
      { destination: "/data/cache", type: "bind", source: memory, options: ["rbind", "rw", "rprivate"] },
    ]);
    for (const path of [memory, disk]) expect((await stat(path)).mode & 0o7777).toBe(0o777);
    await writeFile(join(memory, "x"), "kept");
    await expect(writeFile(join(memory, "big"), Buffer.alloc(2 ** 21))).rejects.toMatchObject({ code: "ENOSPC" });

    await expect(volumes().prepare("c1", wish(spec), { rootfs: [], isNew: true })).resolves.toEqual(mounts);
    expect(await readFile(join(memory, "x"), "utf8")).toBe("kept");
    await expect(volumes().list()).resolves.toEqual(["c1"]);

    await writeFile(join(host, "precious"), "");
    await volumes().release("c1");
    await volumes().release("c1");
    await expect(volumes().list()).resolves.toEqual([]);
    expect(await readdir(host)).toEqual(["precious"]);
  });

  it("removes links and nothing behind them, nor what someone has mounted below", async () => {
    const precious = join(root, "precious");
    await put(join(precious, "file"), "x");
    await volumes().prepare("c1", wish({ volumes: [{ name: "disk", emptyDir: {} }] }), { rootfs: [], isNew: true });
    const disk = join(dataDir(), "containers/c1/volumes/disk");
    await symlink(precious, join(disk, "link"));
    await mkdir(join(disk, "bound"));
    await mount({ type: "none", source: precious, target: join(disk, "bound"), options: ["bind"] });
    await volumes().release("c1");
    expect(await readdir(precious)).toEqual(["file"]);
  });

  it("begins an anonymous volume with the image's content, owners and modes; a volumeMount there comes first", async () => {
    const rootfs = await layered(async (merged) => {
      await put(join(merged, "var/db/sub/file"), "seed");
      await chown(join(merged, "var/db"), 70, 71);
      await chmod(join(merged, "var/db"), 0o2750);
      await chown(join(merged, "var/db/sub/file"), 70, 71);
      await symlink("/nowhere", join(merged, "var/db/link"));
      await symlink("/var/db", join(merged, "linked"));
    });
    const spec = { volumes: [{ name: "v", emptyDir: {} }], volumeMounts: [{ name: "v", mountPath: "/covered" }] };
    const prepare = () =>
      volumes().prepare("c1", wish(spec, ["/linked/", "/missing", "/covered"]), { rootfs, isNew: true });
    const mounts = await prepare();
    expect(mounts.map(({ destination }) => destination)).toEqual(["/covered", "/linked", "/missing"]);
    const source = mounts.find(({ destination }) => destination === "/linked")?.source ?? "";
    const { uid, gid, mode } = await stat(source);
    expect({ uid, gid, mode: mode & 0o7777 }).toEqual({ uid: 70, gid: 71, mode: 0o2750 });
    expect(await readFile(join(source, "sub/file"), "utf8")).toBe("seed");
    expect((await lstat(join(source, "link"))).isSymbolicLink()).toBe(true);

    await writeFile(join(source, "sub/file"), "changed");
    await prepare();
    expect(await readFile(join(source, "sub/file"), "utf8")).toBe("changed");
    await volumes().release("c1");
  });

  it("says whose files the full disk or the read-only filesystem is in the way of", async () => {
    const small = join(root, "data");
    await mkdir(small);
    await mount({ type: "tmpfs", source: "tmpfs", target: small, options: ["size=64k"] });
    const rootfs = await layered((merged) => put(join(merged, "var/db/file"), "x".repeat(2 ** 20)));
    const failed: unknown = await volumes()
      .prepare("c1", wish({}, ["/var/db"]), { rootfs, isNew: true })
      .catch((error: unknown) => error);
    expect(failed).toBeInstanceOf(VolumeError);
    expect(failed).toMatchObject({ reason: "VolumeSetupFailed", volume: "/var/db" });
    expect(String(failed)).toContain("No space left on device");
    await volumes().release("c1");

    await run("mount", ["-o", "remount,ro", small]);
    const spec = { volumes: [{ name: "disk", emptyDir: {} }] };
    await expect(volumes().prepare("c1", wish(spec), { rootfs: [], isNew: true })).rejects.toThrow(
      `volume of the container's own files: ${join(small, "containers")}: the filesystem is read-only`,
    );
    await unmount(small);
  });

  it("leaves a file as it was when its longer content does not fit", async () => {
    const small = join(root, "small");
    await mkdir(small);
    await mount({ type: "tmpfs", source: "tmpfs", target: small, options: ["size=16k"] });
    const path = join(small, "hosts");
    await writeInPlace(path, "old\n");
    await expect(writeInPlace(path, "n".repeat(20_000))).rejects.toMatchObject({ code: "ENOSPC" });
    expect(await readFile(path, "utf8")).toBe("old\n");
    await writeInPlace(path, "new\n".repeat(2000));
    expect(await readFile(path, "utf8")).toBe("new\n".repeat(2000));
    await unmount(small);
  });

  it("keeps files from the API server in memory, out of other users' reach, and says so when there is no room", async () => {
    const spec = { volumes: [{ name: "s", secret: { secretName: "s" } }] };
    const files = (bytes: number) =>
      new Map([["s", new Map([["k", { content: Buffer.alloc(bytes, "x"), mode: 0o644 }]])]]);
    const prepare = (bytes: number) =>
      volumes().prepare("c1", wish(spec), { rootfs: [], isNew: true, files: files(bytes) });
    const path = join(stateDir(), "containers/c1/volumes/s");
    await prepare(10);
    const [mounted] = await mountsBelow(path);
    expect(mounted).toMatchObject({ mountPoint: path, fsType: "tmpfs" });
    if (kernelAtLeast(6, 4)) expect(mounted?.superOptions).toContain("noswap");
    expect((await stat(join(stateDir(), "containers/c1"))).mode & 0o7777).toBe(0o700);
    await expect(volumes().hasFiles("c1", "s")).resolves.toBe(true);

    await run("mount", ["-o", "remount,size=64k", path]);
    await expect(prepare(2 ** 20)).rejects.toThrow(`volume s: ${path}: the disk is full`);
    expect(await readFile(join(path, "k"), "utf8")).toBe("x".repeat(10));
    expect((await readdir(path)).filter((name) => name.startsWith("..2"))).toHaveLength(1);
    await volumes().release("c1");
    await expect(volumes().hasFiles("c1", "s")).resolves.toBe(false);
  });

  describe("named", () => {
    const spec = {
      volumes: [{ name: "v", volume: { name: "data" } }],
      volumeMounts: [{ name: "v", mountPath: "/var/db" }],
    };
    const path = () => join(dataDir(), "volumes/default/data");
    const image = () =>
      layered(async (merged) => {
        for (const name of ["a", "b", "c/d"]) await put(join(merged, "var/db", name), name);
        await chown(join(merged, "var/db"), 70, 71);
        await chmod(join(merged, "var/db"), 0o2750);
      });

    it("is filled once by containers that are made at the same time", async () => {
      const rootfs = await image();
      const shared = volumes();
      const ids = ["c1", "c2", "c3", "c4"];
      const mounts = await Promise.all(ids.map((id) => shared.prepare(id, wish(spec), { rootfs, isNew: true })));
      expect(new Set(mounts.flat().map(({ source }) => source))).toEqual(new Set([path()]));
      expect((await readdir(path(), { recursive: true })).sort()).toEqual(["a", "b", "c", "c/d"]);
      const { uid, gid, mode } = await stat(path());
      expect({ uid, gid, mode: mode & 0o7777 }).toEqual({ uid: 70, gid: 71, mode: 0o2750 });
      expect(await readdir(join(path(), ".."))).toEqual(["data"]);
    });

    it.each(["while copying", "with a whole copy, not moved in", "in the midst of moving it in"])(
      "is what it should be after a crash %s",
      async (when) => {
        const rootfs = await image();
        const beside = (word: string) => join(path(), "..", `.data.${word}`);
        if (when === "while copying") await put(join(beside("copying"), "a"), "hal");
        else for (const name of ["b", "c/d"]) await put(join(beside("copied"), name), name);
        if (when === "with a whole copy, not moved in") await put(join(beside("copied"), "a"), "a");
        // A container has the volume, and has written to a file that the copy has, too.
        if (when === "in the midst of moving it in") {
          await put(join(path(), "a"), "a");
          await put(join(path(), "b"), "its own");
        }
        await volumes().prepare("c1", wish(spec), { rootfs, isNew: true });
        expect(await readdir(join(path(), ".."))).toEqual(["data"]);
        expect((await readdir(path(), { recursive: true })).sort()).toEqual(["a", "b", "c", "c/d"]);
        expect(await readFile(join(path(), "a"), "utf8")).toBe("a");
        const own = when === "in the midst of moving it in";
        expect(await readFile(join(path(), "b"), "utf8")).toBe(own ? "its own" : "b");
      },
    );

    it("is not filled by a container that is started again, nor for a part of it", async () => {
      const rootfs = await image();
      await volumes().prepare("c1", wish(spec), { rootfs, isNew: false });
      expect(await readdir(path())).toEqual([]);
      const part = { ...spec, volumeMounts: [{ name: "v", mountPath: "/var/db", subPath: "sub" }] };
      await volumes().prepare("c1", wish(part), { rootfs, isNew: true });
      expect(await readdir(join(path(), "sub"))).toEqual([]);
      await volumes().release("c1");
      expect(await readdir(path())).toEqual(["sub"]);
    });
  });

  it("unmounts what it has of a shared mount, and nothing of the node's", async () => {
    const source = join(root, "shared");
    await mkdir(source);
    await mount({ type: "tmpfs", source: "tmpfs", target: source });
    await run("mount", ["--make-shared", source]);
    await mkdir(join(source, "part/below"), { recursive: true });
    const spec = {
      volumes: [{ name: "v", hostPath: { path: source } }],
      volumeMounts: [{ name: "v", mountPath: "/v", subPath: "part", mountPropagation: "HostToContainer" }],
    };
    const [part] = await volumes().prepare("c1", wish(spec), { rootfs: [], isNew: true });
    await mount({ type: "tmpfs", source: "tmpfs", target: join(source, "part/below") });
    expect(await mountsBelow(part?.source ?? "")).toHaveLength(2);
    await volumes().release("c1");
    expect(await mountsBelow(stateDir())).toEqual([]);
    expect((await mountsBelow(source)).map(({ mountPoint }) => mountPoint)).toEqual([
      join(source, "part/below"),
      source,
    ]);
    await unmountBelow(source);
  });

  it("writes hosts, hostname and resolv.conf anew in the same files", async () => {
    const named = wish({ hostname: "web-1", network: { mode: "Bridge", dns: { nameservers: ["192.0.2.53"] } } });
    const mounts = await volumes().writeFiles("c1", named, { ipAddresses: ["10.89.0.2"] });
    expect(mounts.map(({ destination }) => destination)).toEqual(["/etc/hosts", "/etc/hostname", "/etc/resolv.conf"]);
    const [hosts = "", hostname = "", resolv = ""] = mounts.map(({ source }) => source);
    expect(await readFile(hosts, "utf8")).toContain("10.89.0.2\tweb-1\n");
    expect(await readFile(hostname, "utf8")).toBe("web-1\n");
    expect(await readFile(resolv, "utf8")).toContain("nameserver 192.0.2.53\n");
    const { ino } = await stat(hosts);
    await volumes().writeFiles("c1", named, { ipAddresses: ["10.89.0.77"] });
    expect(await readFile(hosts, "utf8")).toContain("10.89.0.77\tweb-1\n");
    expect((await stat(hosts)).ino).toBe(ino);
    await volumes().release("c1");
  });
});
