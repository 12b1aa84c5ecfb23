import { readFileSync } from "node:fs";
import { describe, expect, it } from "@jest/globals";
import type { ContainerSpec } from "../api/index.ts";
import { buildSpec, type SpecInput } from "./spec.ts";
import type { OciSpec } from "./types.ts";

const DEVICE = { path: "/dev/fuse", type: "c", major: 10, minor: 229, fileMode: 0o666, uid: 0, gid: 0 } as const;

const NODE: SpecInput["node"] = {
  cgroupVersion: 1,
  seccomp: true,
  apparmor: false,
  architecture: "amd64",
  kernel: { release: "6.1.0", major: 6, minor: 1 },
  capLastCap: 40,
  capabilities: "000001ffffffffff",
  swapLimit: false,
  ipv6: true,
  possibleCPUs: 0,
};

function inputFor(spec: Partial<ContainerSpec> = {}, more: Partial<SpecInput> = {}): SpecInput {
  return {
    container: { namespace: "shop", name: "web", uid: "u-1", spec: { nodeName: "node-1", image: "busybox", ...spec } },
    image: { Cmd: ["sh"] },
    user: { uid: 0, gid: 0, additionalGids: [0] },
    env: [],
    mounts: [],
    hostname: "web",
    netns: "/run/berth/netns/u-1-1",
    addresses: ["10.89.0.2"],
    cgroupsPath: "/berth/u-1-1",
    node: NODE,
    ...more,
  };
}

const built = (spec: Partial<ContainerSpec> = {}, more: Partial<SpecInput> = {}) => buildSpec(inputFor(spec, more));

/** As the runtime reads it, without the filter's long list, which has tests of its own. */
function asRead(spec: OciSpec): unknown {
  const read = JSON.parse(JSON.stringify(spec)) as { linux: { seccomp?: { syscalls: unknown } } };
  if (read.linux.seccomp !== undefined) read.linux.seccomp.syscalls = "…";
  return read;
}

const golden = (name: string): unknown =>
  JSON.parse(readFileSync(new URL(`testdata/${name}.json`, import.meta.url), "utf8"));

/** A container that wishes for something of everything. */
const FULL: Partial<ContainerSpec> = {
  command: ["/bin/$(NAME)"],
  args: ["-c", "$$(NAME)"],
  workingDir: "/srv/../app",
  tty: true,
  domainname: "example.com",
  shmSize: "1Mi",
  oomScoreAdj: 300,
  pidsLimit: 64,
  ulimits: [{ name: "nofile", soft: 1024, hard: 2048 }],
  resources: { limits: { cpu: "1500m", memory: "128Mi" }, requests: { cpu: "250m", memory: "64Mi" } },
  securityContext: {
    capabilities: { add: ["NET_ADMIN"], drop: ["ALL"] },
    readOnlyRootFilesystem: true,
    allowPrivilegeEscalation: false,
    sysctls: [{ name: "net.core.somaxconn", value: "1024" }],
  },
};
const FULL_INPUT: Partial<SpecInput> = {
  image: { Cmd: ["sh"], Entrypoint: ["/entry"], Env: ["PATH=/bin", "NAME=image"], WorkingDir: "/home" },
  user: { uid: 1000, gid: 1001, additionalGids: [1001, 33], name: "web", home: "/home/web" },
  env: ["NAME=tool"],
  mounts: [
    { destination: "/data/deep", type: "bind", source: "/b", options: ["rbind", "ro", "rslave"] },
    { destination: "/data", type: "bind", source: "/a", options: ["rbind", "rprivate"] },
  ],
  devices: [{ path: "/dev/fs", device: DEVICE, permissions: "rw" }],
};

/** A container that shares what it can with the node. */
const SHARING: Partial<ContainerSpec> = {
  network: { mode: "Host" },
  hostPID: true,
  hostIPC: true,
  oomScoreAdj: -500,
  cgroupParent: "batch",
  pidsLimit: -1,
  resources: { limits: { memory: "64Mi" } },
  securityContext: {
    procMount: "Unmasked",
    seccompProfile: { type: "Localhost", localhostProfile: "log.json" },
    capabilities: { drop: ["ALL"], add: ["SYS_PTRACE"] },
  },
};
const DISKS: SpecInput["devices"] = [0, 1].map((minor) => ({
  path: `/disks/${minor}`,
  device: { path: `/dev/disks/${minor}`, type: "b", major: 8, minor, fileMode: 0o660, uid: 0, gid: 6 },
  permissions: "r",
}));

describe("buildSpec writes", () => {
  it("a container without wishes as Docker does, on cgroup v1", () => {
    expect(asRead(built())).toEqual(golden("default-v1"));
  });

  it("a container with all wishes, on cgroup v2", () => {
    const node = { ...NODE, cgroupVersion: 2, swapLimit: true, possibleCPUs: 2 } as const;
    expect(asRead(built(FULL, { ...FULL_INPUT, node }))).toEqual(golden("full-v2"));
  });

  it("a container that shares what can be shared with the node, on cgroup v2", () => {
    const node = {
      ...NODE,
      cgroupVersion: 2,
      swapLimit: true,
      apparmor: true,
      apparmorProfile: "berth-default",
    } as const;
    const localhostSeccomp = { defaultAction: "SCMP_ACT_LOG", architectures: [], syscalls: [] };
    const input = { netns: undefined, cgroupsPath: "/berth/batch/u-1-1", localhostSeccomp, devices: DISKS, node };
    expect(asRead(built(SHARING, input))).toEqual(golden("sharing-v2"));
  });

  it("a privileged container", () => {
    const hostDevices = [DEVICE, { ...DEVICE, path: "/dev/kvm", minor: 232 }];
    const devices = [
      { path: "/dev/fuse", device: DEVICE, permissions: "r" },
      { path: "/dev/other", device: DEVICE, permissions: "r" },
    ];
    const { linux, process } = built({ securityContext: { privileged: true } }, { hostDevices, devices });
    expect(process.capabilities.effective).toHaveLength(41);
    expect(linux).toMatchObject({ maskedPaths: [], readonlyPaths: [] });
    expect(linux).not.toHaveProperty("seccomp");
    expect(linux.resources.devices).toEqual([{ allow: true, access: "rwm" }]);
    expect(linux.devices.map(({ path }) => path)).toEqual(["/dev/fuse", "/dev/kvm", "/dev/other"]);
  });

  it("no device of the node for one that is not privileged", () => {
    expect(built({}, { hostDevices: [DEVICE] }).linux.devices).toEqual([]);
  });

  it("limits that JavaScript's numbers do not reach", () => {
    const { process } = built({ ulimits: [{ name: "core", soft: 0, hard: -1 }] });
    expect(JSON.stringify(process.rlimits)).toBe('[{"type":"RLIMIT_CORE","soft":0,"hard":18446744073709551615}]');
  });
});

describe("namespaces", () => {
  const types = (spec: Partial<ContainerSpec>, more: Partial<SpecInput> = {}) =>
    built(spec, more)
      .linux.namespaces.map(({ type }) => type)
      .sort();

  it("are shared with the node where the spec says so", () => {
    expect(types({})).toEqual(["ipc", "mount", "network", "pid", "uts"]);
    expect(types({ hostPID: true, hostIPC: true })).toEqual(["mount", "network", "uts"]);
    expect(types({ network: { mode: "Host" } }, { netns: undefined })).toEqual(["ipc", "mount", "pid", "uts"]);
  });

  it("include one for cgroups on v2", () => {
    expect(types({}, { node: { ...NODE, cgroupVersion: 2 } })).toContain("cgroup");
  });
});

describe("confinement", () => {
  const localhostSeccomp = { defaultAction: "SCMP_ACT_LOG", architectures: [], syscalls: [] };
  const profile = (
    securityContext: NonNullable<ContainerSpec["securityContext"]>,
    node: Partial<SpecInput["node"]> = {},
  ) => built({ securityContext }, { node: { ...NODE, ...node }, localhostSeccomp });

  it("has a filter for the container's own capabilities", () => {
    const calls = (add: string[]) =>
      profile({ capabilities: { add } }).linux.seccomp?.syscalls.flatMap(({ names }) => names);
    expect(calls([])).not.toContain("mount");
    expect(calls(["SYS_ADMIN"])).toContain("mount");
  });

  it("follows seccompProfile, and what the kernel can", () => {
    expect(profile({ seccompProfile: { type: "RuntimeDefault" } }).linux.seccomp?.defaultAction).toBe("SCMP_ACT_ERRNO");
    expect(profile({ seccompProfile: { type: "Unconfined" } }).linux).not.toHaveProperty("seccomp");
    expect(profile({}, { seccomp: false }).linux).not.toHaveProperty("seccomp");
    expect(profile({ seccompProfile: { type: "Localhost", localhostProfile: "p" } }).linux.seccomp).toBe(
      localhostSeccomp,
    );
    const localhost = { seccompProfile: { type: "Localhost", localhostProfile: "p" }, privileged: true } as const;
    expect(profile(localhost).linux.seccomp).toBe(localhostSeccomp);
    expect(() => profile(localhost, { seccomp: false })).toThrow(
      "spec.securityContext.seccompProfile.type: this node's kernel has no seccomp",
    );
  });

  it("follows appArmorProfile where the node has AppArmor", () => {
    const on = { apparmor: true, apparmorProfile: "berth-default" };
    const localhost = { appArmorProfile: { type: "Localhost", localhostProfile: "mine" } } as const;
    expect(profile({}, on).process.apparmorProfile).toBe("berth-default");
    expect(profile({ privileged: true }, on).process.apparmorProfile).toBe("unconfined");
    expect(profile({ appArmorProfile: { type: "Unconfined" } }, on).process.apparmorProfile).toBe("unconfined");
    expect(profile(localhost, on).process.apparmorProfile).toBe("mine");
    expect(profile({}).process).not.toHaveProperty("apparmorProfile");
    expect(() => profile(localhost)).toThrow("spec.securityContext.appArmorProfile.type: this node has no AppArmor");
  });

  it("shows all of /proc with procMount Unmasked", () => {
    expect(profile({ procMount: "Unmasked" }).linux).toMatchObject({ maskedPaths: [], readonlyPaths: [] });
    expect(profile({ procMount: "Default" }).linux.maskedPaths).toContain("/proc/kcore");
  });
});

describe("refusals name the field", () => {
  it.each<[Partial<ContainerSpec>, string]>([
    [{ workingDir: "app" }, 'spec.workingDir: "app" is not an absolute path'],
    [{ shmSize: "0" }, "spec.shmSize: 0 is too small"],
    [
      { ulimits: [{ name: "nofile", soft: -1, hard: 5 }] },
      "spec.ulimits[0].soft: unlimited is above the hard limit (5)",
    ],
    [{ securityContext: { capabilities: { add: ["FLY"] } } }, "spec.securityContext.capabilities.add[0]"],
    [{ resources: { limits: { memory: "1Mi" } } }, "spec.resources.limits.memory"],
  ])("%j", (spec, message) => {
    expect(() => built(spec)).toThrow(message);
  });

  it("an image with nothing to run", () => {
    expect(() => built({}, { image: {} })).toThrow("no command specified");
  });
});
