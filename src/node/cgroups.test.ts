import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "@jest/globals";
import { cgroupDirectories, oomKillCount, removeCgroup, v1Hierarchies } from "./cgroups.ts";
import { parseMountinfo } from "./mounts.ts";

const HYBRID = `32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct
35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory
40 31 0:37 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,name=systemd
41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw
27 1 254:0 / / rw - ext4 /dev/vda rw
`;

describe("a hybrid host's hierarchies", () => {
  it("are those mounted, with their controllers", () => {
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
});
