import { mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "@jest/globals";
import { makeDirectories, resolveBelow } from "./paths.ts";

describe("resolveBelow", () => {
  let root = "";
  beforeEach(async () => {
    root = await mkdtemp(join(tmpdir(), "paths-"));
    await mkdir(join(root, "etc"));
    await writeFile(join(root, "etc/passwd"), "");
  });
  afterEach(() => rm(root, { recursive: true }));

  it("takes the root for /", async () => {
    await expect(resolveBelow(root, "/etc/passwd")).resolves.toBe(join(root, "etc/passwd"));
    await expect(resolveBelow(root, "/")).resolves.toBe(root);
  });

  it("stops .. at the root, whether written or linked", async () => {
    await symlink("../../../../etc", join(root, "up"));
    await expect(resolveBelow(root, "../../etc/passwd")).resolves.toBe(join(root, "etc/passwd"));
    await expect(resolveBelow(root, "up/passwd")).resolves.toBe(join(root, "etc/passwd"));
  });

  it("follows absolute links within the root, also chained and in the middle", async () => {
    await symlink("/two", join(root, "one"));
    await symlink("/etc", join(root, "two"));
    await expect(resolveBelow(root, "/one/passwd")).resolves.toBe(join(root, "etc/passwd"));
  });

  it("applies .. to where a link leads, not to its name", async () => {
    await mkdir(join(root, "a/b"), { recursive: true });
    await symlink("/a/b", join(root, "link"));
    await expect(resolveBelow(root, "/link/../x")).resolves.toBe(join(root, "a/x"));
  });

  it("takes what is missing as it stands", async () => {
    await symlink("/not/there", join(root, "dangling"));
    await expect(resolveBelow(root, "/dangling/x")).resolves.toBe(join(root, "not/there/x"));
    await expect(resolveBelow(root, "/etc/passwd/below-a-file")).resolves.toBe(join(root, "etc/passwd/below-a-file"));
  });

  it("gives up on a loop", async () => {
    await symlink("/loop", join(root, "loop"));
    await expect(resolveBelow(root, "/loop")).rejects.toMatchObject({ code: "ELOOP" });
  });
});

describe("makeDirectories", () => {
  let root = "";
  beforeEach(async () => (root = await mkdtemp(join(tmpdir(), "paths-"))));
  afterEach(() => rm(root, { recursive: true }));

  it("makes parents and says whether the directory is new", async () => {
    await expect(makeDirectories(join(root, "a/b/c"))).resolves.toBe(true);
    await expect(makeDirectories(join(root, "a/b/c"))).resolves.toBe(false);
    await expect(makeDirectories(join(root, "a/b/d"))).resolves.toBe(true);
  });

  it("says what is in the way", async () => {
    await writeFile(join(root, "file"), "");
    await expect(makeDirectories(join(root, "file/below/it"))).rejects.toMatchObject({ code: "ENOTDIR" });
    await symlink("/nonexistent/target", join(root, "dangling"));
    await expect(makeDirectories(join(root, "dangling/below"))).rejects.toMatchObject({ code: "ENOENT" });
  });
});
