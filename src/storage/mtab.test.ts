import { chmod, lstat, mkdir, mkdtemp, readlink, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "@jest/globals";
import { linkMtab } from "./mtab.ts";

let dir = "";
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), "mtab-"));
  await Promise.all(["upper", "one", "two"].map((name) => mkdir(join(dir, name))));
});
afterEach(() => rm(dir, { recursive: true }));

const at = (...names: string[]): string => join(dir, ...names);
const overlay = () => [
  {
    type: "overlay",
    source: "overlay",
    options: [`lowerdir=${at("one")}:${at("two")}`, `upperdir=${at("upper")}`, `workdir=${at("work")}`],
  },
];

describe("linkMtab", () => {
  it("makes the link in the writable layer, in a directory like the image's", async () => {
    await mkdir(at("two/etc"));
    await chmod(at("two/etc"), 0o2711);
    await linkMtab(overlay());
    await expect(readlink(at("upper/etc/mtab"))).resolves.toBe("/proc/mounts");
    expect((await lstat(at("upper/etc"))).mode & 0o7777).toBe(0o2711);
  });

  it("makes the directory, too", async () => {
    await linkMtab([{ type: "bind", source: at("one"), options: ["rw"] }]);
    await expect(readlink(at("one/etc/mtab"))).resolves.toBe("/proc/mounts");
    expect((await lstat(at("one/etc"))).mode & 0o7777).toBe(0o755);
  });

  it("leaves what the image has", async () => {
    await mkdir(at("two/etc"));
    await writeFile(at("two/etc/mtab"), "");
    await linkMtab(overlay());
    await expect(lstat(at("upper/etc"))).rejects.toThrow("ENOENT");
    await rm(at("two/etc"), { recursive: true });
    await symlink("/usr/etc", at("one/etc"));
    await linkMtab(overlay());
    await expect(lstat(at("upper/etc"))).rejects.toThrow("ENOENT");
  });

  it("does nothing to layers that it can't see", async () => {
    await linkMtab([{ type: "ext4", source: "/dev/mapper/x", options: [] }]);
    await expect(lstat(at("upper/etc"))).rejects.toThrow("ENOENT");
  });
});
