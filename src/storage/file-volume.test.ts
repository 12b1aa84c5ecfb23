import { lstat, mkdir, mkdtemp, readdir, readFile, readlink, rm, stat, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "@jest/globals";
import type { FileSet } from "./file-set.ts";
import { exchange } from "./file-volume.ts";

let directory = "";
beforeEach(async () => (directory = await mkdtemp(join(tmpdir(), "files-"))));
afterEach(() => rm(directory, { recursive: true }));

const files = (contents: Record<string, string>, mode = 0o644): FileSet =>
  new Map(Object.entries(contents).map(([path, text]) => [path, { content: Buffer.from(text), mode }]));
const names = async () => (await readdir(directory)).filter((name) => !name.startsWith("..2")).sort();
const dataDirectories = async () => (await readdir(directory)).filter((name) => name.startsWith("..2"));
const read = (path: string) => readFile(join(directory, path), "utf8");

describe("exchange", () => {
  it("lays files out as the kubelet does", async () => {
    expect(await exchange(directory, files({ "a.conf": "1", "sub/b": "2", "sub/c": "3" }, 0o440))).toBe(true);
    expect(await names()).toEqual(["..data", "a.conf", "sub"]);
    expect(await readlink(join(directory, "a.conf"))).toBe("..data/a.conf");
    expect(await readlink(join(directory, "sub"))).toBe("..data/sub");
    expect([await readlink(join(directory, "..data"))]).toEqual(await dataDirectories());
    expect(await read("sub/c")).toBe("3");
    expect((await stat(join(directory, "sub/b"))).mode & 0o7777).toBe(0o440);
  });

  it("replaces all at once: who has looked up ..data sees all old files or all new ones", async () => {
    await exchange(directory, files({ a: "1", gone: "1", "d/x": "1" }));
    const [old = ""] = await dataDirectories();
    const { ino } = await lstat(join(directory, "a"));
    expect(await exchange(directory, files({ a: "2", "d/y": "2", new: "2" }))).toBe(true);
    expect(await names()).toEqual(["..data", "a", "d", "new"]);
    expect(await read("a")).toBe("2");
    expect(await readdir(join(directory, "d"))).toEqual(["y"]);
    // The names that stay are not touched: what changes them is the one symlink.
    expect((await lstat(join(directory, "a"))).ino).toBe(ino);
    expect(await dataDirectories()).not.toContain(old);
    expect(await dataDirectories()).toHaveLength(1);
  });

  it.each<[string, FileSet, boolean]>([
    ["the same", files({ a: "1", "d/x": "1" }), false],
    ["another content of the same length", files({ a: "2", "d/x": "1" }), true],
    ["another mode", files({ a: "1", "d/x": "1" }, 0o600), true],
    ["one file less", files({ a: "1" }), true],
    ["another name", files({ a: "1", "d/y": "1" }), true],
    ["nothing", files({}), true],
  ])("given %s", async (_, wanted, written) => {
    await exchange(directory, files({ a: "1", "d/x": "1" }));
    const before = await readlink(join(directory, "..data"));
    expect(await exchange(directory, wanted)).toBe(written);
    expect((await readlink(join(directory, "..data"))) === before).toBe(!written);
    expect(await exchange(directory, wanted)).toBe(false);
  });

  it("mends what a crash left half-way", async () => {
    await exchange(directory, files({ a: "1", old: "1" }));
    await mkdir(join(directory, "..2026_unfinished"));
    await writeFile(join(directory, "..2026_unfinished/a"), "half");
    await symlink("..2026_unfinished", join(directory, "..data_tmp"));
    await rm(join(directory, "a"));
    expect(await exchange(directory, files({ a: "1", old: "1" }))).toBe(false);
    expect(await names()).toEqual(["..data", "a", "old"]);
    expect(await dataDirectories()).toHaveLength(1);
    expect(await read("a")).toBe("1");
    await rm(join(directory, await readlink(join(directory, "..data"))), { recursive: true });
    expect(await exchange(directory, files({ a: "1" }))).toBe(true);
    expect(await read("a")).toBe("1");
  });

  it("keeps the old files when the new ones can't be written", async () => {
    await exchange(directory, files({ a: "1" }));
    const tooLong = files({ a: "2", ["n".repeat(300)]: "2" });
    await expect(exchange(directory, tooLong)).rejects.toMatchObject({ code: "ENAMETOOLONG" });
    expect(await read("a")).toBe("1");
    expect(await dataDirectories()).toHaveLength(1);
  });
});
