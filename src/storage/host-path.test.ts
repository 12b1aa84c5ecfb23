import { chmod, mkdir, mkdtemp, readFile, rm, stat, symlink, writeFile } from "node:fs/promises";
import { once } from "node:events";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "@jest/globals";
import { prepareHostPath } from "./host-path.ts";

describe("prepareHostPath", () => {
  let root = "";
  beforeEach(async () => {
    root = await mkdtemp(join(tmpdir(), "hostpath-"));
    await mkdir(join(root, "dir"), { mode: 0o700 });
    await writeFile(join(root, "file"), "content");
  });
  afterEach(() => rm(root, { recursive: true }));

  const prepare = (type: string | undefined, path: string) =>
    prepareHostPath("data", { path: join(root, path), ...(type === undefined ? {} : { type: type as "" }) });

  it.each([
    ["", "dir"],
    ["", "file"],
    [undefined, "file"],
    ["Directory", "dir"],
    ["DirectoryOrCreate", "dir"],
    ["File", "file"],
    ["FileOrCreate", "file"],
  ])("type %j takes an existing %s as it is", async (type, path) => {
    await chmod(join(root, path), 0o700);
    await expect(prepare(type, path)).resolves.toBe(join(root, path));
    expect((await stat(join(root, path))).mode & 0o777).toBe(0o700);
    expect(await readFile(join(root, "file"), "utf8")).toBe("content");
  });

  it.each(["", "DirectoryOrCreate"])("type %j makes a missing directory with its parents", async (type) => {
    await prepare(type, "new/below");
    expect((await stat(join(root, "new/below"))).isDirectory()).toBe(true);
  });

  it("FileOrCreate makes an empty file, but no parents", async () => {
    await prepare("FileOrCreate", "new");
    expect(await readFile(join(root, "new"), "utf8")).toBe("");
    await expect(prepare("FileOrCreate", "no/parent")).rejects.toMatchObject({ reason: "VolumeSetupFailed" });
  });

  it.each([
    ["Directory", "file", "a directory is wanted (hostPath.type Directory), found a file"],
    ["DirectoryOrCreate", "file", "a directory is wanted (hostPath.type DirectoryOrCreate), found a file"],
    ["File", "dir", "a file is wanted (hostPath.type File), found a directory"],
    ["Directory", "none", "a directory is wanted (hostPath.type Directory), found nothing"],
    ["Socket", "file", "a socket is wanted (hostPath.type Socket), found a file"],
    ["BlockDevice", "dir", "a block device is wanted (hostPath.type BlockDevice), found a directory"],
  ])("type %s on %s says what is wanted and found", async (type, path, message) => {
    await expect(prepare(type, path)).rejects.toThrow(`volume data: ${join(root, path)}: ${message}`);
    await expect(stat(join(root, "none"))).rejects.toMatchObject({ code: "ENOENT" });
  });

  it("knows sockets and devices, and looks through symlinks", async () => {
    const server = createServer().listen(join(root, "socket"));
    await once(server, "listening");
    await expect(prepare("Socket", "socket")).resolves.toBeDefined();
    server.close();
    await symlink("/dev/null", join(root, "null"));
    await expect(prepare("CharDevice", "null")).resolves.toBeDefined();
  });

  it("says where a part of the path is a file", async () => {
    await expect(prepare("", "file/below")).rejects.toThrow("a part of the path is not a directory");
  });
});
