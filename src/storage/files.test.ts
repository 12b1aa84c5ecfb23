import { mkdir, mkdtemp, readFile, rm, stat, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "@jest/globals";
import { hostsBlock } from "../network/index.ts";
import { shareNameFiles, updateHosts, writeInPlace, writeNameFiles } from "./files.ts";

describe("the container's own files", () => {
  let root = "";
  beforeEach(async () => (root = await mkdtemp(join(tmpdir(), "files-"))));
  afterEach(() => rm(root, { recursive: true }));

  it("are rewritten in the same inode, a shorter content included", async () => {
    const path = join(root, "hosts");
    await writeInPlace(path, "a long first content\n");
    const { ino } = await stat(path);
    await writeInPlace(path, "short\n");
    expect((await stat(path)).ino).toBe(ino);
    expect(await readFile(path, "utf8")).toBe("short\n");
  });

  it("are never written through a symlink", async () => {
    await symlink(join(root, "target"), join(root, "hosts"));
    await expect(writeInPlace(join(root, "hosts"), "x")).rejects.toMatchObject({ code: "ELOOP" });
  });

  it("are all written, but not mounted where the user has a mount, and read-only with the root", async () => {
    const files = { hosts: "h", hostname: "n", resolvConf: "r" };
    const options = { readOnly: true, covered: new Set(["/etc/hosts"]) };
    const mounts = await writeNameFiles({ dataDir: root, id: "c1" }, files, options);
    const directory = join(root, "containers/c1");
    expect(mounts).toEqual([
      {
        destination: "/etc/hostname",
        type: "bind",
        source: join(directory, "hostname"),
        options: ["rbind", "ro", "rprivate"],
      },
      {
        destination: "/etc/resolv.conf",
        type: "bind",
        source: join(directory, "resolv.conf"),
        options: ["rbind", "ro", "rprivate"],
      },
    ]);
    expect(await readFile(join(directory, "hosts"), "utf8")).toBe("h");
  });

  describe("of another container", () => {
    const OPTIONS = { readOnly: false, covered: new Set<string>() };
    const files = { hosts: "127.0.0.1\tlocalhost\n", hostname: "one\n", resolvConf: "" };
    const context = (id: string) => ({ dataDir: root, id });
    const hosts = (id: string) => join(root, "containers", id, "hosts");

    it("are shared: what is written to either is seen by both, and outlives the other's removal", async () => {
      await writeNameFiles(context("one"), files, OPTIONS);
      const mounts = await shareNameFiles(context("two"), "one", OPTIONS);
      expect(mounts.map(({ source }) => source)).toContain(hosts("two"));
      await updateHosts(context("one"), hostsBlock([{ address: "10.89.0.3", names: ["db"] }]));
      expect(await readFile(hosts("two"), "utf8")).toContain("\n10.89.0.3\tdb\n");
      // Again, as for another start, by way of the one that shares them.
      await shareNameFiles(context("three"), "two", OPTIONS);
      await shareNameFiles(context("two"), "one", OPTIONS);
      await rm(join(root, "containers", "one"), { recursive: true });
      expect((await stat(hosts("two"))).ino).toBe((await stat(hosts("three"))).ino);
    });

    it("can't be shared when they are not there", async () => {
      await expect(shareNameFiles(context("two"), "one", OPTIONS)).rejects.toMatchObject({ code: "ENOENT" });
    });
  });

  describe("the block of a hosts file", () => {
    const BLOCK = hostsBlock([{ address: "10.89.0.3", names: ["db"] }]);
    const path = () => join(root, "containers/c1/hosts");
    const write = async (content: string) => {
      await mkdir(join(root, "containers/c1"), { recursive: true });
      await writeFile(path(), content);
    };
    const update = (block: string) => updateHosts({ dataDir: root, id: "c1" }, block);

    it("comes and goes in the same inode, and a file that is as it should be is not written", async () => {
      await write("127.0.0.1\tlocalhost\n");
      const { ino } = await stat(path());
      await update(BLOCK);
      expect(await readFile(path(), "utf8")).toBe(`127.0.0.1\tlocalhost\n${BLOCK}`);
      const { mtimeNs } = await stat(path(), { bigint: true });
      await update(BLOCK);
      expect((await stat(path(), { bigint: true })).mtimeNs).toBe(mtimeNs);
      await update("");
      expect(await readFile(path(), "utf8")).toBe("127.0.0.1\tlocalhost\n");
      expect((await stat(path())).ino).toBe(ino);
    });

    it("is left out of a file that is missing or that the container has blown up", async () => {
      await expect(update(BLOCK)).resolves.toBeUndefined();
      const large = "#".repeat(1024 * 1024 + 1);
      await write(large);
      await update(BLOCK);
      expect(await readFile(path(), "utf8")).toBe(large);
    });
  });
});
