import { mkdir, mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "@jest/globals";
import {
  cgroupDirectories,
  findCgroups,
  oomKillCount,
  removeCgroup,
  removeEmptyCgroups,
  v1Hierarchies,
} from "./cgroups.ts";
import { parseMountinfo } from "./mounts.ts";

const HYBRID = `32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct
35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory
40 31 0:37 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,name=systemd
41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw
27 1 254:0 / / rw - ext4 /dev/vda rw
99 1 0:32 / /run/berth/containers/x/criu/.criu.cgyard.abc/memory rw - cgroup none rw,memory
`;

describe("a hybrid host's hierarchies", () => {
  it("are those mounted where they belong, with their controllers", () => {
    expect(v1Hierarchies(parseMountinfo(HYBRID)).map(({ controllers }) => controllers)).toEqual([
      ["cpu", "cpuacct"],
      ["memory"],
      ["xattr", "name=systemd"],
      [],
    ]);
  });

  it("give a directory each, which .. in the path can't leave", () => {
    const cgroups = { version: 1 as const, hierarchies: [{ mountPoint: "/cg/memory", controllers: ["memory"] }] };
    expect(cgroupDirectories(cgroups, "/berth/../../x")).toEqual(["/cg/memory/x"]);
  });
});

describe("oomKillCount", () => {
  let root = "";
  beforeEach(async () => {
    root = await mkdtemp(join(tmpdir(), "cgroups-"));
    await mkdir(join(root, "berth/id"), { recursive: true });
  });
  afterEach(() => rm(root, { recursive: true }));

  const v1 = () => ({ version: 1 as const, hierarchies: [{ mountPoint: root, controllers: ["memory"] }] });
  const v2 = () => ({ version: 2 as const, hierarchies: [{ mountPoint: root, controllers: [] }] });

  it("reads v1's memory.oom_control and not the line before it", async () => {
    await writeFile(join(root, "berth/id/memory.oom_control"), "oom_kill_disable 0\nunder_oom 0\noom_kill 3\n");
    await expect(oomKillCount(v1(), "/berth/id")).resolves.toBe(3);
  });

  it("reads v2's memory.events and not its oom or oom_group_kill", async () => {
    await writeFile(join(root, "berth/id/memory.events"), "low 0\noom 5\noom_kill 2\noom_group_kill 1\n");
    await expect(oomKillCount(v2(), "/berth/id")).resolves.toBe(2);
  });

  it("does not know when the cgroup is gone or the kernel doesn't count", async () => {
    await expect(oomKillCount(v2(), "/berth/gone")).resolves.toBeUndefined();
    await writeFile(join(root, "berth/id/memory.oom_control"), "oom_kill_disable 0\n");
    await expect(oomKillCount(v1(), "/berth/id")).resolves.toBeUndefined();
  });

  it("removes nested cgroups and does not mind missing ones", async () => {
    await mkdir(join(root, "berth/id/a/b"), { recursive: true });
    await removeCgroup(v2(), "/berth/id");
    await removeCgroup(v2(), "/berth/id");
    await expect(rm(join(root, "berth/id"))).rejects.toMatchObject({ code: "ENOENT" });
  });

  it("removes parents as far as they are empty, and never the root", async () => {
    for (const path of ["a/b/id", "a/c"]) await mkdir(join(root, "berth", path), { recursive: true });
    await removeCgroup(v2(), "/berth/a/b/id");
    await removeEmptyCgroups(v2(), "/berth/a/b/id", "/berth");
    await expect(readdir(join(root, "berth/a"))).resolves.toEqual(["c"]);
    await removeCgroup(v2(), "/berth/id");
    await removeEmptyCgroups(v2(), "/berth/a/c/gone", "/berth/");
    await expect(readdir(join(root, "berth"))).resolves.toEqual([]);
    // An id right below the root, and a path below another root, have no parents to remove.
    await removeEmptyCgroups(v2(), "/berth/id", "/berth");
    await removeEmptyCgroups(v2(), "/berth/id", "/other");
    await expect(readdir(root)).resolves.toEqual(["berth"]);
  });

  it("finds a cgroup by its name, but not inside a leaf", async () => {
    for (const path of ["a/b/id", "leaf/id"]) await mkdir(join(root, "berth", path), { recursive: true });
    const found = await findCgroups(v2(), "/berth", "id", (name) => name === "leaf");
    expect(found.sort()).toEqual(["/berth/a/b/id", "/berth/id"]);
    await expect(findCgroups(v2(), "/none", "id", () => false)).resolves.toEqual([]);
  });
});
