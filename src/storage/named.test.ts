import { mkdir, mkdtemp, readdir, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "@jest/globals";
import { NamedVolumeError, NamedVolumes, type VolumeUser } from "./named.ts";

let dataDir = "";
let volumes: NamedVolumes;
beforeEach(async () => {
  dataDir = await mkdtemp(join(tmpdir(), "named-"));
  volumes = new NamedVolumes({ dataDir });
});
afterEach(() => rm(dataDir, { recursive: true }));

const make = (namespace: string, name: string) =>
  volumes.prepare({ stateDir: join(dataDir, "state"), rootfs: [] }, { namespace, name });
const user = (name: string, volume: string, namespace = "default"): VolumeUser => ({
  namespace,
  name,
  spec: { volumes: [{ name: "v", volume: { name: volume } }] },
});

describe("NamedVolumes", () => {
  it("keeps them apart by namespace, out of reach of the node's other users", async () => {
    const path = await make("default", "data");
    expect(path).toBe(join(dataDir, "volumes/default/data"));
    expect((await stat(path)).mode & 0o7777).toBe(0o755);
    expect((await stat(join(dataDir, "volumes"))).mode & 0o7777).toBe(0o700);
    expect(await make("other", "data")).not.toBe(path);
    await writeFile(join(path, "file"), "");
    await make("default", "data");
    expect(await readdir(path)).toEqual(["file"]);
  });

  it("lists each with those of its namespace that use it", async () => {
    expect(await volumes.list([])).toEqual([]);
    for (const [namespace, name] of [
      ["default", "b"],
      ["default", "a"],
      ["other", "a"],
    ] as const)
      await make(namespace, name);
    const users = [user("web", "a"), user("db", "a"), user("db", "a"), user("x", "none"), user("far", "b", "other")];
    expect(await volumes.list(users)).toEqual([
      { namespace: "default", name: "a", path: volumes.path("default", "a"), usedBy: ["db", "web"] },
      { namespace: "default", name: "b", path: volumes.path("default", "b"), usedBy: [] },
      { namespace: "other", name: "a", path: volumes.path("other", "a"), usedBy: [] },
    ]);
  });

  it("removes one with all that is in it, unless it is used", async () => {
    const path = await make("default", "data");
    await writeFile(join(path, "file"), "");
    const used = volumes.remove("default", "data", () => Promise.resolve([user("web", "data")]));
    await expect(used).rejects.toThrow(
      new NamedVolumeError('volume "data" in namespace "default" is used by web: delete what uses it first'),
    );
    expect(await readdir(path)).toEqual(["file"]);
    await volumes.remove("default", "data", () => Promise.resolve([user("web", "data", "other")]));
    expect(await readdir(join(dataDir, "volumes"))).toEqual([]);
  });

  it("leaves one that gets a user while it is removed", async () => {
    const path = await make("default", "data");
    await writeFile(join(path, "file"), "");
    let asked = 0;
    const late = () => Promise.resolve(asked++ === 0 ? [] : [user("web", "data")]);
    await expect(volumes.remove("default", "data", late)).rejects.toThrow("is used by web");
    expect(await readdir(path)).toEqual(["file"]);
  });

  it.each([
    ["default", "none"],
    ["none", "data"],
    ["default", "../../x"],
    ["..", "volumes"],
    ["default", ".data.copied"],
  ])("has none %s/%s to remove", async (namespace, name) => {
    await make("default", "data");
    await mkdir(join(dataDir, "x"));
    await expect(volumes.remove(namespace, name, () => Promise.resolve([]))).rejects.toThrow("no volume");
    expect((await readdir(dataDir)).sort()).toEqual(["volumes", "x"]);
  });
});
