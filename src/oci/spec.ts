/** The runtime spec of a container: what the Docker daemon would write for the same wishes. */
import { posix } from "node:path";
import { type ContainerSpec, parseQuantity } from "../api/index.ts";
import type { OciImageConfig } from "../containerd/index.ts";
import type { NodeFacts } from "../node/index.ts";
import { capabilitySet } from "./capabilities.ts";
import { commandLine } from "./command.ts";
import { deviceList, type DeviceWish } from "./devices.ts";
import { processEnv, variablesOf } from "./env.ts";
import { SpecError } from "./errors.ts";
import { DEFAULT_SHM_BYTES, mountList, rootfsPropagation } from "./mounts.ts";
import { linuxResources } from "./resources.ts";
import { defaultSeccomp } from "./seccomp.ts";
import { sysctls } from "./sysctls.ts";
import type { OciLinux, OciMount, OciNamespace, OciProcess, OciSeccomp, OciSpec } from "./types.ts";
import { rlimits } from "./ulimits.ts";
import type { ResolvedUser } from "./user.ts";

/** All that is used is in it, and every runtime since runc 1.0 takes it. */
const OCI_VERSION = "1.0.2";

/** What a spec depends on of the node, beyond what {@link NodeFacts} tells. */
export type SpecFacts = NodeFacts & {
  /** The AppArmor profile, loaded on the node, for containers that name none. */
  readonly apparmorProfile?: string;
};

export interface SpecInput extends Partial<DeviceWish> {
  readonly container: {
    readonly namespace: string;
    readonly name: string;
    readonly uid: string;
    readonly spec: ContainerSpec;
  };
  readonly image: OciImageConfig;
  readonly user: ResolvedUser;
  /** The spec's `env` and `envFrom`, resolved: `NAME=value`. */
  readonly env: readonly string[];
  /** Volumes and the files of the network (`/etc/hosts` …). */
  readonly mounts: readonly OciMount[];
  readonly hostname: string;
  /** Path of the network namespace to join; the node's own when absent. */
  readonly netns?: string | undefined;
  /** Addresses of its interface. */
  readonly addresses?: readonly string[] | undefined;
  readonly cgroupsPath: string;
  /** The filter that `seccompProfile.type: Localhost` names; it holds for a privileged container, too (Docker's rule). */
  readonly localhostSeccomp?: OciSeccomp;
  readonly node: SpecFacts;
}

type SecurityContext = NonNullable<ContainerSpec["securityContext"]>;

/**
 * Builds the runtime spec.
 *
 * @throws SpecError when the wishes can't be met, here or anywhere
 */
export function buildSpec(input: SpecInput): OciSpec {
  const { container, hostname, mounts } = input;
  const { spec } = container;
  const security = spec.securityContext ?? {};
  const capabilities = capabilitySet({ ...security.capabilities, privileged: security.privileged }, input.node);
  return {
    ociVersion: OCI_VERSION,
    hostname,
    root: { path: "rootfs", readonly: security.readOnlyRootFilesystem === true },
    process: processOf(input, security, capabilities),
    mounts: mountList(
      {
        shmSize: spec.shmSize === undefined ? DEFAULT_SHM_BYTES : shmBytes(spec.shmSize),
        hostIPC: spec.hostIPC === true,
        privileged: security.privileged === true,
      },
      mounts,
    ),
    linux: linuxOf(input, security, capabilities),
    annotations: {
      "berth.dev/namespace": container.namespace,
      "berth.dev/name": container.name,
      "berth.dev/uid": container.uid,
    },
  };
}

function processOf(input: SpecInput, security: SecurityContext, capabilities: string[]): OciProcess {
  const { container, image, user, env, hostname } = input;
  const { spec } = container;
  const tty = spec.tty === true;
  const limits = rlimits(spec.ulimits ?? []);
  const profile = apparmorProfile(input.node, security);
  return {
    terminal: tty,
    user: { uid: user.uid, gid: user.gid, additionalGids: [...user.additionalGids] },
    args: commandLine(spec, image, variablesOf(env)),
    env: processEnv({ hostname, tty, image: image.Env ?? [], spec: env }),
    cwd: workingDirectory(spec, image),
    // Neither inheritable nor ambient: a process that is not root has none of them (Docker's rule).
    capabilities: { bounding: capabilities, effective: capabilities, permitted: capabilities },
    ...(limits.length > 0 ? { rlimits: limits } : {}),
    noNewPrivileges: security.allowPrivilegeEscalation === false,
    ...(profile === undefined ? {} : { apparmorProfile: profile }),
    // Also 0 is written, or the container would have containerd's own, mostly well protected score.
    oomScoreAdj: spec.oomScoreAdj ?? 0,
  };
}

function linuxOf(input: SpecInput, security: SecurityContext, capabilities: string[]): OciLinux {
  const { container, addresses, cgroupsPath, devices = [], hostDevices = [], mounts, netns, node } = input;
  const { spec } = container;
  const privileged = security.privileged === true;
  const { devices: files, rules } = deviceList({ devices, hostDevices: privileged ? hostDevices : undefined });
  const unmasked = privileged || security.procMount === "Unmasked";
  const seccomp = seccompOf(input, security, capabilities);
  const propagation = rootfsPropagation(mounts);
  return {
    namespaces: namespaces(spec, netns, node),
    cgroupsPath,
    resources: { devices: rules, ...linuxResources(spec, node) },
    devices: files,
    sysctl: sysctls(spec, { netns, addresses, ipv6: node.ipv6 }),
    ...(seccomp === undefined ? {} : { seccomp }),
    ...(propagation === undefined ? {} : { rootfsPropagation: propagation }),
    maskedPaths: unmasked ? [] : maskedPaths(node),
    readonlyPaths: unmasked ? [] : [...READONLY_PATHS],
  };
}

/** Docker's, the CPUs' thermal statistics apart: what leaks about the node or reaches its hardware. */
const MASKED_PATHS: readonly string[] = [
  "/proc/acpi",
  "/proc/asound",
  "/proc/interrupts",
  "/proc/kcore",
  "/proc/keys",
  "/proc/latency_stats",
  "/proc/sched_debug",
  "/proc/scsi",
  "/proc/timer_list",
  "/proc/timer_stats",
  "/sys/devices/virtual/powercap",
  "/sys/firmware",
];

/** Docker's. */
const READONLY_PATHS: readonly string[] = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

// A CPU's thermal statistics are hidden, too. Paths that a node does not have are left out by the runtime.
function maskedPaths({ possibleCPUs }: SpecFacts): string[] {
  const thermal = Array.from(
    { length: possibleCPUs },
    (_, cpu) => `/sys/devices/system/cpu/cpu${cpu}/thermal_throttle`,
  );
  return [...MASKED_PATHS, ...thermal];
}

/** Own namespaces, but for what the spec shares with the node; cgroups have one on v2 only (Docker's default). */
function namespaces(spec: ContainerSpec, netns: string | undefined, { cgroupVersion }: SpecFacts): OciNamespace[] {
  return [
    { type: "mount" },
    ...(netns === undefined ? [] : [{ type: "network", path: netns } as const]),
    { type: "uts" },
    ...(spec.hostPID === true ? [] : [{ type: "pid" } as const]),
    ...(spec.hostIPC === true ? [] : [{ type: "ipc" } as const]),
    ...(cgroupVersion === 2 ? [{ type: "cgroup" } as const] : []),
  ];
}

function workingDirectory({ workingDir }: ContainerSpec, image: OciImageConfig): string {
  if (workingDir === undefined || workingDir === "") return posix.resolve("/", image.WorkingDir ?? "");
  if (posix.isAbsolute(workingDir)) return posix.resolve(workingDir);
  throw new SpecError("spec.workingDir", `"${workingDir}" is not an absolute path: begin it with /`);
}

function shmBytes(quantity: string | number): number {
  const bytes = Math.ceil(parseQuantity(quantity));
  if (bytes > 0) return bytes;
  throw new SpecError("spec.shmSize", `${quantity} is too small: give more than 0`);
}

function seccompOf(input: SpecInput, security: SecurityContext, capabilities: string[]): OciSeccomp | undefined {
  const { node, localhostSeccomp } = input;
  const type = security.seccompProfile?.type ?? "RuntimeDefault";
  if (type === "Localhost") {
    if (node.seccomp) return localhostSeccomp;
    throw new SpecError(
      "spec.securityContext.seccompProfile.type",
      "this node's kernel has no seccomp: use RuntimeDefault or Unconfined",
    );
  }
  if (security.privileged === true || type === "Unconfined") return undefined;
  return node.seccomp
    ? defaultSeccomp({ capabilities, architecture: node.architecture, kernel: node.kernel })
    : undefined;
}

/** Without AppArmor in the kernel a profile that is named can't be kept to; the default one just is not there (Docker's rule). */
function apparmorProfile(node: SpecFacts, security: SecurityContext): string | undefined {
  const { type = "RuntimeDefault", localhostProfile } = security.appArmorProfile ?? {};
  if (type === "Localhost") {
    if (node.apparmor) return localhostProfile;
    throw new SpecError(
      "spec.securityContext.appArmorProfile.type",
      "this node has no AppArmor: use RuntimeDefault or Unconfined",
    );
  }
  if (!node.apparmor) return undefined;
  return type === "Unconfined" || security.privileged === true ? "unconfined" : node.apparmorProfile;
}
