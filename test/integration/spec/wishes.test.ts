// Wishes of the runtime spec that show in the process, its namespaces or its cgroup.
import { existsSync, readdirSync, readFileSync, readlinkSync, statSync } from "node:fs";
import { describe, expect, it } from "@jest/globals";
import type { Container, ContainerSpec } from "../../../src/api/index.ts";
import { cgroupDirectories, detectCgroups } from "../../../src/node/index.ts";
import { expectFailedStart, INVALID_SPEC, RUNTIME_ERROR } from "../../support/failed-start.ts";
import { probe, valuesOf } from "../../support/probe.ts";
import { useNode } from "../../support/test-node.ts";

const test = useNode();

const idOf = ({ status }: Container): string => status?.containerID?.replace("containerd://", "") ?? "?";

describe("sysctls", () => {
  it("are set in the container's own namespaces", async () => {
    const before = readFileSync("/proc/sys/kernel/shmmni", "utf8");
    const { output } = await probe(
      test(),
      "cd /proc/sys; cat net/core/somaxconn kernel/shmmni fs/mqueue/msg_max | xargs",
      {
        securityContext: {
          sysctls: [
            { name: "net.core.somaxconn", value: "1234" },
            { name: "kernel/shmmni", value: "222" },
            { name: "fs.mqueue.msg_max", value: "33" },
          ],
        },
      },
    );
    expect(output).toBe("1234 222 33\n");
    expect(readFileSync("/proc/sys/kernel/shmmni", "utf8")).toBe(before);
  });

  it.each<[string, string, Partial<ContainerSpec>, string[]]>([
    [
      "is the node's alone",
      "vm.swappiness",
      {},
      ["sysctls[0].name", '"vm.swappiness" can\'t be set for a container alone'],
    ],
    ["is the host name", "kernel.hostname", {}, ['"kernel.hostname" can\'t be set for a container alone']],
    ["is the node's by hostIPC", "kernel.shmmni", { hostIPC: true }, ['"kernel.shmmni"', "hostIPC"]],
    ["the kernel does not know", "net.no.such", {}, ["/proc/sys/net/no/such", "check spec.securityContext.sysctls"]],
  ])("can't be one that %s", async (_, name, more, says) => {
    const spec = { ...more, securityContext: { sysctls: [{ name, value: "1" }] } };
    await test().delete(await expectFailedStart(test(), spec, { ...INVALID_SPEC, says }));
  });
});

describe("procMount Unmasked", () => {
  it("shows and opens what is masked and read-only else, and no more than that", async () => {
    const script = `echo "interrupts=$(head -c 4 /proc/interrupts | wc -c)"; echo "sys=$(grep -c ' /proc/sys ' /proc/mounts)"
      grep CapEff /proc/self/status`;
    const { output } = await probe(test(), script, { securityContext: { procMount: "Unmasked" } });
    expect(valuesOf(output)).toEqual({ interrupts: "4", sys: "0" });
    expect(output).toContain("00000000a80425fb");
  });
});

describe("oomScoreAdj", () => {
  const capabilities = /^CapEff:\s*([0-9a-f]+)$/m.exec(readFileSync("/proc/self/status", "utf8"))?.[1] ?? "0";
  const hasSysResource = ((BigInt(`0x${capabilities}`) >> 24n) & 1n) === 1n;

  it("is the process's", async () => {
    const { output } = await probe(test(), "cat /proc/self/oom_score_adj", { oomScoreAdj: 567 });
    expect(output).toBe("567\n");
  });

  it("below the runtime's own is had with CAP_SYS_RESOURCE, and clearly refused without", async () => {
    if (hasSysResource) {
      const { output } = await probe(test(), "cat /proc/self/oom_score_adj", { oomScoreAdj: -567 });
      expect(output).toBe("-567\n");
      return;
    }
    const says = ["spec.oomScoreAdj", "CAP_SYS_RESOURCE"];
    await test().delete(await expectFailedStart(test(), { oomScoreAdj: -567 }, { ...RUNTIME_ERROR, says }));
  });
});

describe("namespaces of the node", () => {
  const NAMESPACES = `for n in pid ipc net uts; do echo "$n=$(readlink /proc/self/ns/$n)"; done`;
  const own = (name: string): string => readlinkSync(`/proc/self/ns/${name}`);

  it("hostPID: the container sees the node's processes, and all of its own end with it", async () => {
    const { agentPid = 0 } = test().node;
    const script = `${NAMESPACES}; grep -c agent /proc/${agentPid}/cmdline; sleep 3600 & echo "left=$!"`;
    const { container, output } = await probe(test(), script, { hostPID: true });
    const values = valuesOf(output);
    expect(values["pid"]).toBe(own("pid"));
    for (const name of ["ipc", "net", "uts"]) expect(values[name]).not.toBe(own(name));
    expect(output).toMatch(/^1$/m);
    expect(values["left"]).toMatch(/^\d+$/);
    await test().delete(container);
    expect(existsSync(`/proc/${values["left"] ?? ""}`)).toBe(false);
  });

  it("hostIPC: the container has the node's IPC and shared memory", async () => {
    const { output } = await probe(test(), `${NAMESPACES}; stat -c 'shm=%d' /dev/shm`, { hostIPC: true });
    const values = valuesOf(output);
    expect(values["ipc"]).toBe(own("ipc"));
    expect(values["pid"]).not.toBe(own("pid"));
    expect(values["shm"]).toBe(String(statSync("/dev/shm").dev));
  });
});

describe("cgroupParent", () => {
  const below = async (...names: string[]): Promise<string[]> => {
    const path = [test().node.cgroupRoot, ...names].join("/");
    const found = cgroupDirectories(await detectCgroups(), path)
      .filter(existsSync)
      .flatMap((directory) => readdirSync(directory, { withFileTypes: true }).filter((entry) => entry.isDirectory()));
    return [...new Set(found.map(({ name }) => name))].sort();
  };

  it("holds the cgroups of its containers, and goes with the last of them", async () => {
    const make = async (cgroupParent: string) => test().untilState(await test().create({ cgroupParent }), "Running");
    const [first, second] = await Promise.all([make("batch/nightly"), make("batch")]);
    const ids = [first, second].map(idOf);
    expect(await below("batch/nightly")).toEqual([ids[0]]);
    expect(await below("batch")).toEqual([ids[1], "nightly"].sort());
    expect(readFileSync(`/proc/${first.status?.pid ?? 0}/cgroup`, "utf8")).toContain(
      `${test().node.cgroupRoot}/batch/nightly/${ids[0] ?? ""}`,
    );
    await test().delete(first);
    expect(await below("batch")).toEqual([ids[1]]);
    await test().delete(second);
    expect(await below()).toEqual([]);
  });

  it("can be changed: the container is made anew in the other, and the first is gone", async () => {
    const container = await test().create({ cgroupParent: "old" });
    const first = idOf(await test().untilState(container, "Running"));
    await test().patch(container, { spec: { cgroupParent: "new" } });
    const isAnew = (now: Container): boolean => now.status?.state === "Running" && idOf(now) !== first;
    const id = idOf(await test().until(container, "made anew", isAnew));
    expect([await below(), await below("new")]).toEqual([["new"], [id]]);
    await test().delete(container);
  });

  it("does not hide that the kernel killed for want of memory", async () => {
    const spec: Partial<ContainerSpec> = {
      cgroupParent: "a/b",
      resources: { limits: { memory: "16Mi" } },
      volumes: [{ name: "m", emptyDir: { medium: "Memory" } }],
      volumeMounts: [{ name: "m", mountPath: "/m" }],
    };
    const { container } = await probe(test(), "dd if=/dev/zero of=/m/x bs=1M count=64", spec);
    expect(container.status).toMatchObject({ reason: "OOMKilled", oomKilled: true });
    await test().delete(container);
  });

  it("of a start that fails is gone again", async () => {
    const spec = { cgroupParent: "failing/deep", command: ["no-such-command"] };
    const expected = { exitCode: 127, reason: "CommandNotFound", state: "Exited", says: ["no-such-command"] } as const;
    await test().delete(await expectFailedStart(test(), spec, expected));
    expect(await below()).toEqual([]);
  });

  it("can't lead out of the agent's own cgroup, nor into another container's", async () => {
    for (const cgroupParent of ["../outside", "a/../../b", "/system"]) {
      await expect(test().create({ cgroupParent })).rejects.toThrow("spec.cgroupParent");
    }
    const other = await test().untilState(await test().create(), "Running");
    const says = ["spec.cgroupParent", "is the cgroup of a container"];
    const failed = await expectFailedStart(test(), { cgroupParent: idOf(other) }, { ...INVALID_SPEC, says });
    await Promise.all([failed, other].map((container) => test().delete(container)));
  });
});
