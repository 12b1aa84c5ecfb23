/** What is wished for of both, in the words of either. */
import { constants } from "node:os";
import type { ContainerSpec } from "../../../src/api/index.ts";

/** A wish. Without a network wish there is none (`--network none`), so that only those about it deal with one. */
export interface Wish {
  readonly name: string;
  /** Fields of the Engine API's container. */
  readonly docker?: Readonly<Record<string, unknown>>;
  /** Of its HostConfig. */
  readonly host?: Readonly<Record<string, unknown>>;
  readonly berth?: Partial<ContainerSpec>;
  /** A test image by its tag, instead of busybox. */
  readonly image?: string;
  /** Instead of the look around: only how it ends (and what it writes) is compared. */
  readonly command?: readonly string[];
  /** Neither side is given a command: the image's own runs. */
  readonly imageCommand?: boolean;
  /** It is stopped, this many seconds being its grace, once it has written `ready`. */
  readonly stop?: number;
}

/** What on the node the wishes refer to: see the test. */
export interface Node {
  readonly dir: string;
  /** A container that runs all the time. */
  readonly peer: string;
  readonly index: number;
  readonly seccomp: object;
  /** Docker's cgroup, which stands for Berth's own. */
  readonly cgroupParent: string;
}

type Security = NonNullable<ContainerSpec["securityContext"]>;
const secure = (securityContext: Security): Pick<Wish, "berth"> => ({ berth: { securityContext } });
const memoryVolume = (mountPath: string, sizeLimit?: string): Partial<ContainerSpec> => ({
  volumes: [{ name: "m", emptyDir: { medium: "Memory", ...(sizeLimit === undefined ? {} : { sizeLimit }) } }],
  volumeMounts: [{ name: "m", mountPath }],
});
const sh = (script: string): Pick<Wish, "command"> => ({ command: ["sh", "-c", script] });
const BRIDGE = { host: { NetworkMode: "bridge" }, berth: { network: { mode: "Bridge" } } } as const;
const device = (PathOnHost: string, PathInContainer: string, CgroupPermissions: string) => ({
  host: { Devices: [{ PathOnHost, PathInContainer, CgroupPermissions }] },
  berth: { devices: [{ hostPath: PathOnHost, containerPath: PathInContainer, permissions: CgroupPermissions }] },
});

const USERS: readonly Wish[] = [
  { name: "user by name", docker: { User: "app" }, berth: { user: "app" } },
  { name: "user by uid", docker: { User: "1000" }, berth: { user: "1000" } },
  { name: "user:group", docker: { User: "app:extra" }, berth: { user: "app:extra" } },
  { name: "user:gid", docker: { User: "app:4000" }, berth: { user: "app:4000" } },
  { name: "unknown uid", docker: { User: "1234" }, berth: { user: "1234" } },
  { name: "uid:gid", docker: { User: "1234:5678" }, berth: { user: "1234:5678" } },
  {
    name: "more groups",
    docker: { User: "app" },
    host: { GroupAdd: ["3000", "4000"] },
    berth: { user: "app", securityContext: { supplementalGroups: [3000, 4000] } },
  },
  { name: "user, directory, environment and volume of the image", image: "config" },
];

const PRIVILEGES: readonly Wish[] = [
  { name: "cap-add NET_ADMIN", host: { CapAdd: ["NET_ADMIN"] }, ...secure({ capabilities: { add: ["NET_ADMIN"] } }) },
  { name: "cap-add ALL", host: { CapAdd: ["ALL"] }, ...secure({ capabilities: { add: ["ALL"] } }) },
  { name: "cap-drop CHOWN", host: { CapDrop: ["CHOWN"] }, ...secure({ capabilities: { drop: ["CHOWN"] } }) },
  { name: "cap-drop ALL", host: { CapDrop: ["ALL"] }, ...secure({ capabilities: { drop: ["ALL"] } }) },
  {
    name: "cap-drop ALL, cap-add CHOWN",
    host: { CapDrop: ["ALL"], CapAdd: ["CHOWN"] },
    ...secure({ capabilities: { drop: ["ALL"], add: ["CHOWN"] } }),
  },
  {
    name: "cap-add SYS_ADMIN for a user",
    docker: { User: "app" },
    host: { CapAdd: ["SYS_ADMIN"] },
    berth: { user: "app", securityContext: { capabilities: { add: ["SYS_ADMIN"] } } },
  },
  { name: "privileged", host: { Privileged: true }, ...secure({ privileged: true }) },
  {
    name: "privileged, read-only",
    host: { Privileged: true, ReadonlyRootfs: true },
    ...secure({ privileged: true, readOnlyRootFilesystem: true }),
  },
  {
    name: "no-new-privileges",
    host: { SecurityOpt: ["no-new-privileges"] },
    ...secure({ allowPrivilegeEscalation: false }),
  },
  {
    name: "seccomp unconfined",
    host: { SecurityOpt: ["seccomp=unconfined"] },
    ...secure({ seccompProfile: { type: "Unconfined" } }),
  },
  { name: "proc unmasked", host: { MaskedPaths: [], ReadonlyPaths: [] }, ...secure({ procMount: "Unmasked" }) },
];

const FILES: readonly Wish[] = [
  { name: "read-only", host: { ReadonlyRootfs: true }, ...secure({ readOnlyRootFilesystem: true }) },
  {
    name: "tmpfs",
    host: { Tmpfs: { "/scratch": "rw,exec,suid,dev,size=1m" } },
    berth: memoryVolume("/scratch", "1Mi"),
  },
  {
    name: "named volume, filled from the image",
    image: "files",
    host: { Binds: ["named:/data"] },
    berth: {
      volumes: [{ name: "v", volume: { name: "named" } }],
      volumeMounts: [{ name: "v", mountPath: "/data" }],
    },
  },
  { name: "shm-size", host: { ShmSize: 1024 * 1024 }, berth: { shmSize: "1Mi" } },
  { name: "workdir", docker: { WorkingDir: "/tmp" }, berth: { workingDir: "/tmp" } },
  { name: "workdir that is missing", docker: { WorkingDir: "/made/for/it" }, berth: { workingDir: "/made/for/it" } },
];

const LIMITS: readonly Wish[] = [
  {
    name: "ulimits",
    host: {
      Ulimits: [
        { Name: "nofile", Soft: 512, Hard: 1024 },
        { Name: "core", Soft: 0, Hard: 0 },
        { Name: "nproc", Soft: 100, Hard: 200 },
      ],
    },
    berth: {
      ulimits: [
        { name: "nofile", soft: 512, hard: 1024 },
        { name: "core", soft: 0, hard: 0 },
        { name: "nproc", soft: 100, hard: 200 },
      ],
    },
  },
  { name: "memory", host: { Memory: 64 * 1024 * 1024 }, berth: { resources: { limits: { memory: "64Mi" } } } },
  {
    name: "memory-reservation",
    host: { Memory: 64 * 1024 * 1024, MemoryReservation: 32 * 1024 * 1024 },
    berth: { resources: { limits: { memory: "64Mi" }, requests: { memory: "32Mi" } } },
  },
  {
    name: "cpus, cpu-shares",
    host: { NanoCpus: 1_500_000_000, CpuShares: 512 },
    berth: { resources: { limits: { cpu: "1500m" }, requests: { cpu: "500m" } } },
  },
  { name: "cpus", host: { NanoCpus: 500_000_000 }, berth: { resources: { limits: { cpu: "500m" } } } },
  { name: "pids-limit", host: { PidsLimit: 64 }, berth: { pidsLimit: 64 } },
  { name: "oom-score-adj", host: { OomScoreAdj: 321 }, berth: { oomScoreAdj: 321 } },
  {
    name: "sysctls",
    host: { Sysctls: { "net.core.somaxconn": "1234", "kernel.shmmni": "222", "fs.mqueue.msg_max": "33" } },
    ...secure({
      sysctls: [
        { name: "net.core.somaxconn", value: "1234" },
        { name: "kernel.shmmni", value: "222" },
        { name: "fs.mqueue.msg_max", value: "33" },
      ],
    }),
  },
  { name: "device", ...device("/dev/loop-control", "/dev/loop-control", "rwm") },
  { name: "device under another path, to be read", ...device("/dev/loop-control", "/elsewhere", "r") },
  { name: "pid host", host: { PidMode: "host" }, berth: { hostPID: true } },
  { name: "ipc host", host: { IpcMode: "host" }, berth: { hostIPC: true } },
];

const NAMES: readonly Wish[] = [
  { name: "hostname", docker: { Hostname: "web-1" }, berth: { hostname: "web-1" } },
  {
    name: "hostname, domainname",
    docker: { Hostname: "web-1", Domainname: "example.com" },
    berth: { hostname: "web-1", domainname: "example.com" },
  },
  {
    name: "env",
    docker: { Env: ["A=1", "EMPTY=", "WITH=a b = c"] },
    berth: {
      env: [
        { name: "A", value: "1" },
        { name: "EMPTY", value: "" },
        { name: "WITH", value: "a b = c" },
      ],
    },
  },
  {
    name: "env instead of PATH, HOME and HOSTNAME",
    docker: { Env: ["PATH=/bin", "HOME=/elsewhere", "HOSTNAME=mine"] },
    berth: {
      env: [
        { name: "PATH", value: "/bin" },
        { name: "HOME", value: "/elsewhere" },
        { name: "HOSTNAME", value: "mine" },
      ],
    },
  },
];

const NETWORKS: readonly Wish[] = [
  { name: "nothing", ...BRIDGE },
  { name: "network host", host: { NetworkMode: "host" }, berth: { network: { mode: "Host" } } },
  {
    name: "dns",
    host: { ...BRIDGE.host, Dns: ["192.0.2.53", "192.0.2.54"], DnsSearch: ["example.com"], DnsOptions: ["ndots:2"] },
    berth: {
      network: {
        mode: "Bridge",
        dns: {
          nameservers: ["192.0.2.53", "192.0.2.54"],
          searches: ["example.com"],
          options: [{ name: "ndots", value: "2" }],
        },
      },
    },
  },
  {
    name: "add-host",
    host: { ...BRIDGE.host, ExtraHosts: ["db:192.0.2.7", "cache:192.0.2.8"] },
    berth: {
      network: {
        mode: "Bridge",
        hostAliases: [
          { ip: "192.0.2.7", hostnames: ["db"] },
          { ip: "192.0.2.8", hostnames: ["cache"] },
        ],
      },
    },
  },
];

const COMMANDS: readonly Wish[] = [
  { name: "entrypoint and cmd of the image", image: "entrypoint", imageCommand: true },
  {
    name: "other words for the image's entrypoint",
    image: "entrypoint",
    imageCommand: true,
    docker: { Cmd: ["given"] },
    berth: { args: ["given"] },
  },
  { name: "exit code", ...sh("exit 3") },
  { name: "a child that is killed", ...sh("sh -c 'kill -9 $$'; exit $?") },
  { name: "no command", command: ["/no/such/command"] },
  { name: "no command in PATH", command: ["no-such-command"] },
  { name: "command that can't be executed", image: "files", command: ["/noexec"] },
  { name: "command that is a directory", image: "files", command: ["/directory"] },
  { name: "command without interpreter", image: "files", command: ["/no-interpreter"] },
  {
    name: "workdir that is a file",
    image: "files",
    command: ["true"],
    docker: { WorkingDir: "/file" },
    berth: { workingDir: "/file" },
  },
  { name: "user that is unknown", command: ["true"], docker: { User: "ghost" }, berth: { user: "ghost" } },
  {
    name: "out of memory",
    host: { Memory: 16 * 1024 * 1024, Tmpfs: { "/m": "rw" } },
    berth: { resources: { limits: { memory: "16Mi" } }, ...memoryVolume("/m") },
    ...sh("exec dd if=/dev/zero of=/m/x bs=1M count=64 2>/dev/null"),
  },
  { name: "stop, obeyed", stop: 10, ...sh("trap 'echo got it; exit 7' TERM; echo ready; sleep 60 & wait") },
  { name: "stop, not heard", stop: 1, ...sh("echo ready; exec sleep 60") },
  {
    name: "stop with another signal",
    stop: 10,
    docker: { StopSignal: "SIGUSR2" },
    berth: { stopSignal: "SIGUSR2" },
    ...sh(`trap 'exit ${constants.signals.SIGUSR2}' USR2; echo ready; sleep 60 & wait`),
  },
];

/** All of them. */
export function wishesOn({ dir, index, peer, seccomp, cgroupParent }: Node): readonly Wish[] {
  const bind = (readOnly: boolean, propagation: "rprivate" | "rslave"): Wish => ({
    name: `bind mount, ${readOnly ? "read-only, " : ""}${propagation}`,
    host: { Binds: [`${dir}/shared:/shared:${readOnly ? "ro" : "rw"},${propagation}`] },
    berth: {
      volumes: [{ name: "v", hostPath: { path: `${dir}/shared` } }],
      volumeMounts: [{ name: "v", mountPath: "/shared", readOnly }],
    },
  });
  const port = 21_000 + index;
  return [
    ...NETWORKS,
    {
      name: "published port",
      docker: { ExposedPorts: { "80/tcp": {} } },
      host: { ...BRIDGE.host, PortBindings: { "80/tcp": [{ HostPort: String(port) }] } },
      berth: { ...BRIDGE.berth, ports: [{ containerPort: 80, hostPort: port }] },
    },
    {
      name: "link",
      host: { ...BRIDGE.host, Links: [`${peer}:data-base`] },
      berth: { network: { mode: "Bridge", links: [{ container: peer, alias: "data-base" }] } },
    },
    ...USERS,
    ...PRIVILEGES,
    {
      name: "seccomp of one's own",
      host: { SecurityOpt: [`seccomp=${JSON.stringify(seccomp)}`] },
      ...secure({ seccompProfile: { type: "Localhost", localhostProfile: "own.json" } }),
    },
    ...FILES,
    bind(false, "rprivate"),
    bind(true, "rprivate"),
    ...LIMITS,
    { name: "cgroup-parent", host: { CgroupParent: `${cgroupParent}/a/b` }, berth: { cgroupParent: "a/b" } },
    { name: "directory of devices", ...device(`${dir}/devices`, "/many", "rw") },
    ...NAMES,
    ...COMMANDS,
  ];
}
