import { mkdtemp, readFile, rm, stat, symlink } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "@jest/globals";
import { writeInPlace, writeNameFiles } from "./files.ts";

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
});
