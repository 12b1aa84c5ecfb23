import { chmod, mkdir, mkdtemp, readdir, readFile, rm, stat, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "@jest/globals";
import { BeneathError, openBeneath, pathOf } from "./beneath.ts";
import { run } from "./run.ts";

let outer = "";
let root = "";
beforeEach(async () => {
  outer = await mkdtemp(join(tmpdir(), "beneath-"));
  root = join(outer, "root");
  await mkdir(join(root, "dir/sub"), { recursive: true });
  await writeFile(join(root, "dir/file"), "inside");
  await mkdir(join(outer, "secret"));
  await writeFile(join(outer, "secret/file"), "outside");
});
afterEach(() => rm(outer, { recursive: true }));

const read = async (path: string) => {
  await using handle = await openBeneath(root, path);
  return await readFile(pathOf(handle), "utf8");
};
const list = async (path: string) => {
  await using handle = await openBeneath(root, path);
  return await readdir(pathOf(handle));
};
const openFiles = async () => (await readdir("/proc/self/fd")).length;

describe("openBeneath", () => {
  it("opens files and directories", async () => {
    expect(await read("dir//./file")).toBe("inside");
    expect((await list("dir")).sort()).toEqual(["file", "sub"]);
    expect(await list(".")).toEqual(["dir"]);
  });

  it("follows symlinks that stay below", async () => {
    await symlink("dir", join(root, "link"));
    await symlink("../../link/file", join(root, "dir/sub/up"));
    expect(await read("link/file")).toBe("inside");
    expect(await read("dir/sub/up")).toBe("inside");
  });

  it("makes what is missing a directory of the root's mode, through a symlink, too", async () => {
    await chmod(root, 0o2770);
    await symlink("dir/later", join(root, "dangling"));
    expect(await list("new/below")).toEqual([]);
    expect(await list("dangling/x")).toEqual([]);
    for (const path of ["new", "new/below", "dir/later/x"])
      expect((await stat(join(root, path))).mode & 0o7777).toBe(0o2770);
  });

  it.each([
    ["an absolute symlink", "/secret", "link", '"link" is a symbolic link that leads out of the volume'],
    ["a symlink further up", "../../secret", "dir/link", "leads out of the volume"],
    ["a symlink to the parent", "..", "link", "leads out of the volume"],
  ])("refuses %s, last or on the way", async (_, target, name, message) => {
    await symlink(target.startsWith("/") ? join(outer, target) : target, join(root, name));
    const before = await openFiles();
    for (const path of [name, `${name}/file`]) await expect(read(path)).rejects.toThrow(message);
    expect(await openFiles()).toBe(before);
    expect(await readdir(join(outer, "secret"))).toEqual(["file"]);
  });

  it("refuses a file on the way and a loop", async () => {
    await symlink("loop", join(root, "loop"));
    await expect(read("dir/file/x")).rejects.toThrow(new BeneathError('"dir/file" is no directory'));
    await expect(read("loop")).rejects.toThrow("too many symbolic links");
  });

  it("says what the system says of a root that is a file or missing", async () => {
    await expect(openBeneath(join(root, "dir/file"), "x")).rejects.toMatchObject({ code: "ENOTDIR" });
    await expect(openBeneath(join(root, "none"), "x")).rejects.toMatchObject({ code: "ENOENT" });
  });

  it("does not open what it comes to: a pipe without a writer, a device", async () => {
    await run("mkfifo", [join(root, "pipe")]);
    await run("mknod", [join(root, "zero"), "c", "1", "5"]);
    for (const name of ["pipe", "zero"]) await (await openBeneath(root, name)).close();
  });

  it("never leads out, however the names are swapped meanwhile", async () => {
    // In turn a directory, symlinks to the outside, and nothing; what the walk makes meanwhile is in the way, and goes.
    const script = `while [ -e ${outer}/go ]; do
      rm -rf a; mkdir -p a/b; echo inside > a/b/file
      mv a/b a/x; ln -s ../../secret a/b; ln -s ${outer}/secret a/y; mv -T a/y a/b; rm -rf a/b; mv a/x a/b
      mv a x; ln -s .. a; ln -s ../secret y; mv -T y a; rm -rf a; mv x a
    done 2> /dev/null; true`;
    await writeFile(join(outer, "go"), "");
    const swapper = run("sh", ["-c", script], { cwd: root });
    const seen = new Map<string, number>();
    for (let attempt = 0; attempt < 2000 || !seen.has("inside\n") || !seen.has("refused"); attempt++) {
      const what = await read("a/b/file").catch((error: unknown) =>
        error instanceof BeneathError ? "refused" : String(error),
      );
      seen.set(what, (seen.get(what) ?? 0) + 1);
    }
    await rm(join(outer, "go"));
    await swapper;
    expect(seen.get("outside")).toBeUndefined();
  });
});
