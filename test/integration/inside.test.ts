// What a process in a container may do and see, as `docker run` has it.
import { existsSync, readFileSync } from "node:fs";
import { describe, expect, it } from "@jest/globals";
import { probe, valuesOf } from "../support/probe.ts";
import { useNode } from "../support/test-node.ts";

const node = useNode();

/** Prints the lines of /proc/self/status that tell of privileges, as `key=value`. */
const PRIVILEGES = `sed -nE 's/^(Cap[A-Za-z]+|NoNewPrivs|Seccomp):[[:space:]]*/\\1=/p' /proc/self/status`;
/** Docker's 14 capabilities. */
const DEFAULT_CAPABILITIES = "00000000a80425fb";
const NO_CAPABILITIES = "0000000000000000";

/** Docker's masked and read-only paths, those of them that this kernel has. */
const MASKED =
  "/proc/acpi /proc/asound /proc/interrupts /proc/kcore /proc/keys /proc/latency_stats /proc/sched_debug /proc/scsi /proc/timer_list /proc/timer_stats /sys/devices/virtual/powercap /sys/firmware"
    .split(" ")
    .filter(existsSync);
const READ_ONLY = "/proc/bus /proc/fs /proc/irq /proc/sys /proc/sysrq-trigger /sys".split(" ").filter(existsSync);

/** The field of a /proc file of key: value lines. */
const field = (file: string, name: string): string =>
  new RegExp(`^${name}:\\s*(\\S+)`, "m").exec(readFileSync(file, "utf8"))?.[1] ?? "";

describe("a container of which nothing is said", () => {
  it("has Docker's capabilities, its seccomp filter, and may gain privileges", async () => {
    const { output } = await probe(node(), `${PRIVILEGES}; unshare -U true && echo unshared; true`);
    expect(valuesOf(output)).toEqual({
      CapInh: NO_CAPABILITIES,
      CapPrm: DEFAULT_CAPABILITIES,
      CapEff: DEFAULT_CAPABILITIES,
      CapBnd: DEFAULT_CAPABILITIES,
      CapAmb: NO_CAPABILITIES,
      NoNewPrivs: "0",
      Seccomp: "2",
    });
    expect(output).toMatch(/unshare.*Operation not permitted/);
    expect(output).not.toContain("unshared");
  });

  it("reads nothing of the masked paths, and writes nothing to the read-only ones", async () => {
    // A masked file is /dev/null, a masked directory an empty one.
    const { output } = await probe(
      node(),
      `for p in ${MASKED.join(" ")}; do
         if [ -d $p ]; then echo "$p=$(ls -A $p | wc -l)"; else echo "$p=$(head -c 9 $p | wc -c)"; fi
       done
       for p in ${READ_ONLY.join(" ")}; do echo "$p=$(awk -v p=$p '$2 == p { print substr($4, 1, 2) }' /proc/mounts)"; done
       (echo 1 > /proc/sys/net/ipv4/ip_forward) 2> /dev/null || echo "sysctl=refused"`,
    );
    expect(MASKED).toEqual(expect.arrayContaining(["/proc/interrupts", "/proc/timer_list"]));
    expect(valuesOf(output)).toEqual({
      ...Object.fromEntries(MASKED.map((path) => [path, "0"])),
      ...Object.fromEntries(READ_ONLY.map((path) => [path, "ro"])),
      sysctl: "refused",
    });
  });

  it("has Docker's mounts and devices, and 64 MiB of shared memory", async () => {
    const { output } = await probe(
      node(),
      `awk '{ print $2 "=" $3 " " $4 }' /proc/mounts; echo "devices=$(ls /dev | xargs)"
       echo "shm=$(df -k /dev/shm | awk 'NR == 2 { print $2 }')"; echo x > /dev/null && head -c 4 /dev/urandom | wc -c
       mknod /tmp/sda b 8 0 && cat /tmp/sda`,
    );
    const values = valuesOf(output);
    expect(values).toMatchObject({
      "/": expect.stringMatching(/^overlay rw/),
      "/proc": expect.stringMatching(/^proc rw,nosuid,nodev,noexec/),
      "/dev": expect.stringMatching(/^tmpfs rw,nosuid.*size=65536k,mode=755/),
      "/dev/pts": expect.stringMatching(/^devpts rw,nosuid,noexec.*gid=5,mode=620,ptmxmode=666/),
      "/dev/mqueue": expect.stringMatching(/^mqueue rw,nosuid,nodev,noexec/),
      "/dev/shm": expect.stringMatching(/^tmpfs rw,nosuid,nodev,noexec.*size=65536k/),
      "/sys": expect.stringMatching(/^sysfs ro,nosuid,nodev,noexec/),
      shm: "65536",
      // runc adds "core" where the kernel has /proc/kcore.
      devices: expect.stringMatching(
        /^(core )?fd full mqueue null ptmx pts random shm stderr stdin stdout tty urandom zero$/,
      ),
    });
    const cgroups = Object.entries(values).filter(
      ([path]) => /^\/sys\/fs\/cgroup\/./.test(path) || values[path]?.startsWith("cgroup2"),
    );
    expect(cgroups.length).toBeGreaterThan(0);
    for (const [, options] of cgroups) expect(options).toMatch(/^cgroup2? ro,nosuid,nodev,noexec/);
    for (const file of ["/etc/hosts", "/etc/hostname", "/etc/resolv.conf"]) expect(values[file]).toMatch(/ rw/);
    // A device that is not its own can be made (CAP_MKNOD), but not opened.
    expect(output).toMatch(/\/tmp\/sda.*Operation not permitted/);
  });

  it("has the resource limits of containerd", async () => {
    const { output } = await probe(node(), "cat /proc/self/limits; cat /proc/self/oom_score_adj");
    const limitsOf = (text: string): string[] => text.split("\n").filter((line) => line.startsWith("Max "));
    expect(limitsOf(output)).toEqual(limitsOf(readFileSync(`/proc/${node().node.containerdPid}/limits`, "utf8")));
    expect(output.trimEnd().split("\n").at(-1)).toBe("0");
  });

  it("sees its own processes alone, and its own host name", async () => {
    // In a command, $$ stands for one $, as in core/v1.
    const { output } = await probe(node(), "echo pid=$$$$; ls /proc | grep -c '^[0-9]'; hostname");
    const [pid, count, hostname] = output.split("\n");
    expect(pid).toBe("pid=1");
    expect(Number(count)).toBeLessThanOrEqual(4);
    expect(hostname).toMatch(/^c\d+-/);
  });
});

describe("securityContext", () => {
  it("privileged: all that the node has to give, nothing masked, all devices", async () => {
    const { output } = await probe(
      node(),
      `${PRIVILEGES}; echo "interrupts=$(head -c 4 /proc/interrupts | wc -c)"; ls -d /dev/loop-control
       mount -t tmpfs tmpfs /mnt 2>/dev/null || { mkdir /mnt && mount -t tmpfs tmpfs /mnt; } && echo mounted=yes
       awk '$2 == "/sys" || $2 == "/proc/sys" { print $2 "=" substr($4, 1, 2) }' /proc/mounts`,
      { securityContext: { privileged: true } },
    );
    const all = field("/proc/self/status", "CapBnd");
    expect(valuesOf(output)).toMatchObject({
      CapPrm: all,
      CapEff: all,
      CapBnd: all,
      Seccomp: "0",
      interrupts: "4",
      mounted: "yes",
      "/sys": "rw",
    });
    expect(valuesOf(output)).not.toHaveProperty("/proc/sys");
    expect(output).toContain("/dev/loop-control\n");
  });

  it.each<[string, object, string]>([
    ["add NET_ADMIN", { add: ["NET_ADMIN"] }, "00000000a80435fb"],
    ["drop CHOWN", { drop: ["CHOWN"] }, "00000000a80425fa"],
    ["drop ALL", { drop: ["ALL"] }, NO_CAPABILITIES],
    ["drop ALL, add CAP_NET_BIND_SERVICE", { drop: ["ALL"], add: ["CAP_NET_BIND_SERVICE"] }, "0000000000000400"],
  ])("capabilities: %s", async (_, capabilities, expected) => {
    const { output } = await probe(node(), `${PRIVILEGES}; chown 1:1 /tmp && echo chown=yes`, {
      securityContext: { capabilities },
    });
    const values = valuesOf(output);
    expect(values).toMatchObject({ CapEff: expected, CapPrm: expected, CapBnd: expected, CapInh: NO_CAPABILITIES });
    expect(values["chown"]).toBe((BigInt(`0x${expected}`) & 1n) === 1n ? "yes" : undefined);
  });

  it("a user that is not root has no capabilities, though a set-user-id program could", async () => {
    const { output } = await probe(node(), PRIVILEGES, { user: "app" });
    expect(valuesOf(output)).toMatchObject({
      CapInh: NO_CAPABILITIES,
      CapPrm: NO_CAPABILITIES,
      CapEff: NO_CAPABILITIES,
      CapBnd: DEFAULT_CAPABILITIES,
      CapAmb: NO_CAPABILITIES,
    });
  });

  it("readOnlyRootFilesystem: nothing can be written but volumes and /dev", async () => {
    const { output } = await probe(
      node(),
      `for f in /file /etc/hosts /tmp/file /volume/file /dev/shm/file; do
         ( : >> $f ) 2>/dev/null && echo "$f=written" || echo "$f=refused"
       done`,
      {
        securityContext: { readOnlyRootFilesystem: true },
        volumes: [{ name: "v", emptyDir: {} }],
        volumeMounts: [{ name: "v", mountPath: "/volume" }],
      },
    );
    expect(valuesOf(output)).toEqual({
      "/file": "refused",
      "/etc/hosts": "refused",
      "/tmp/file": "refused",
      "/volume/file": "written",
      "/dev/shm/file": "written",
    });
  });

  it("allowPrivilegeEscalation false: no_new_privs is set", async () => {
    const { output } = await probe(node(), PRIVILEGES, { securityContext: { allowPrivilegeEscalation: false } });
    expect(valuesOf(output)).toMatchObject({ NoNewPrivs: "1", CapEff: DEFAULT_CAPABILITIES });
  });

  it("seccompProfile Unconfined: no filter", async () => {
    const { output } = await probe(node(), `${PRIVILEGES}; unshare -U true && echo unshared=yes`, {
      securityContext: { seccompProfile: { type: "Unconfined" } },
    });
    expect(valuesOf(output)).toMatchObject({ Seccomp: "0", unshared: "yes" });
  });
});
