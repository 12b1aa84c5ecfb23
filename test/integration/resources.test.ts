// What a container may use: resources as its cgroup has them, limits of its processes.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, it } from "@jest/globals";
import type { Container } from "../../src/api/index.ts";
import { type Cgroups, detectCgroups } from "../../src/node/index.ts";
import { probe } from "../support/probe.ts";
import { useNode } from "../support/test-node.ts";

const node = useNode();
let cgroups: Cgroups;
beforeAll(async () => {
  cgroups = await detectCgroups();
});

/** A setting of a container's cgroup: on v1 by controller and file, on v2 by file. */
function setting({ metadata }: Container, v1: `${string}/${string}`, v2: string): string {
  const path = join(node().node.cgroupRoot, `${metadata.uid}-1`);
  const [controller = "", file = ""] = v1.split("/");
  const hierarchy = cgroups.hierarchies.find(({ controllers }) => controllers.includes(controller));
  const directory = cgroups.version === 2 ? cgroups.hierarchies[0]?.mountPoint : hierarchy?.mountPoint;
  return readFileSync(join(directory ?? "/", path, cgroups.version === 2 ? v2 : file), "utf8").trim();
}

const onV = (v1: string, v2: string): string => (cgroups.version === 2 ? v2 : v1);
const MIB = 2 ** 20;

describe("resources", () => {
  it("are the cgroup's, which lies below the agent's cgroup root", async () => {
    const created = await node().create({
      resources: { limits: { cpu: "1500m", memory: "64Mi" }, requests: { cpu: "500m", memory: "32Mi" } },
      pidsLimit: 50,
    });
    const running = await node().untilState(created, "Running");
    const procs = setting(running, "memory/cgroup.procs", "cgroup.procs").split("\n");
    expect(procs).toContain(String(running.status?.pid));
    expect(setting(running, "memory/memory.limit_in_bytes", "memory.max")).toBe(String(64 * MIB));
    expect(setting(running, "memory/memory.soft_limit_in_bytes", "memory.low")).toBe(String(32 * MIB));
    expect(setting(running, "cpu/cpu.cfs_quota_us", "cpu.max")).toBe(onV("150000", "150000 100000"));
    expect(setting(running, "cpu/cpu.shares", "cpu.weight")).toBe(onV("512", "20"));
    expect(setting(running, "pids/pids.max", "pids.max")).toBe("50");
  });

  it("change in place, and a limit that is taken back is gone", async () => {
    const created = await node().create({ resources: { limits: { cpu: "1", memory: "32Mi" } }, pidsLimit: 20 });
    const running = await node().untilState(created, "Running");
    // A limit is the request too, where there is none (core/v1).
    expect(setting(running, "cpu/cpu.shares", "cpu.weight")).toBe(onV("1024", "39"));

    const raised = await node().patch(running, {
      spec: { resources: { limits: { cpu: "250m", memory: "128Mi" } }, pidsLimit: 40 },
    });
    const after = await node().untilCondition(raised, "Ready");
    expect(after.status).toMatchObject({ pid: running.status?.pid, containerID: running.status?.containerID });
    expect(setting(running, "memory/memory.limit_in_bytes", "memory.max")).toBe(String(128 * MIB));
    expect(setting(running, "cpu/cpu.cfs_quota_us", "cpu.max")).toBe(onV("25000", "25000 100000"));
    expect(setting(running, "pids/pids.max", "pids.max")).toBe("40");

    const freed = await node().patch(running, { spec: { resources: null, pidsLimit: null } });
    await node().untilCondition(freed, "Ready");
    expect(setting(running, "memory/memory.limit_in_bytes", "memory.max")).toBe(onV("9223372036854771712", "max"));
    expect(setting(running, "cpu/cpu.cfs_quota_us", "cpu.max")).toBe(onV("-1", "max 100000"));
    expect(setting(running, "pids/pids.max", "pids.max")).toBe("max");
  });

  it("pidsLimit holds: a process too many is refused", async () => {
    const { output } = await probe(node(), "i=0; while [ $i -lt 20 ]; do sleep 60 & i=$((i+1)); done; echo all", {
      pidsLimit: 10,
    });
    expect(output).toMatch(/can't fork/);
    expect(output).not.toContain("all");
  });
});

describe("limits of the processes", () => {
  it("ulimits are the process's, soft and hard", async () => {
    const { output } = await probe(node(), "ulimit -Sn; ulimit -Hn; ulimit -Sc; ulimit -Hc", {
      ulimits: [
        { name: "nofile", soft: 100, hard: 200 },
        { name: "core", soft: 0, hard: 0 },
      ],
    });
    expect(output.split("\n")).toEqual(["100", "200", "0", "0", ""]);
  });

  it("shmSize is that of /dev/shm", async () => {
    const { output } = await probe(
      node(),
      "df -k /dev/shm | awk 'NR == 2 { print $2 }'; dd if=/dev/zero of=/dev/shm/x bs=1M count=9",
      { shmSize: "8Mi" },
    );
    expect(output).toContain("8192\n");
    expect(output).toContain("No space left on device");
  });

  it("a limit that this node can't give is InvalidSpec, and nothing is left", async () => {
    const before = await node().audit();
    const hard = Number(/^Max open files\s+\S+\s+(\d+)/m.exec(readFileSync("/proc/self/limits", "utf8"))?.[1]);
    const { container } = await probe(node(), "true", {
      // More than the kernel's own bound, fs.nr_open, which nobody may exceed.
      ulimits: [{ name: "nofile", soft: 100, hard: Math.max(hard, 2 ** 31) * 2 }],
    });
    expect(container.status).toMatchObject({ state: "Exited", reason: "InvalidSpec", exitCode: 128 });
    expect(container.status?.message).toContain("spec.ulimits");
    expect(await node().leaks(before)).toEqual([]);
  });
});
