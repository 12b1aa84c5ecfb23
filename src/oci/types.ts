/**
 * The part of the OCI runtime spec (config.md, config-linux.md) that Berth writes. Field names are the spec's, since this
 * is the JSON that the runtime reads.
 */

export interface OciSpec {
  ociVersion: string;
  hostname?: string;
  root: { path: string; readonly: boolean };
  process: OciProcess;
  mounts: OciMount[];
  linux: OciLinux;
  annotations?: Record<string, string>;
}

export interface OciProcess {
  terminal: boolean;
  consoleSize?: { readonly width: number; readonly height: number };
  user: OciUser;
  args: string[];
  env: string[];
  cwd: string;
  capabilities: Record<"bounding" | "effective" | "permitted", string[]>;
  rlimits?: OciRlimit[];
  noNewPrivileges: boolean;
  apparmorProfile?: string;
  oomScoreAdj: number;
}

export interface OciUser {
  uid: number;
  gid: number;
  additionalGids: number[];
}

/** Limits are numbers of whatever the resource counts, or ulimits.ts's RLIM_INFINITY. */
export interface OciRlimit {
  type: string;
  soft: number | object;
  hard: number | object;
}

export interface OciMount {
  destination: string;
  type?: string;
  source?: string;
  options?: string[];
}

export interface OciLinux {
  namespaces: OciNamespace[];
  cgroupsPath: string;
  resources: OciLinuxResources;
  devices: OciDevice[];
  sysctl?: Record<string, string>;
  seccomp?: OciSeccomp;
  rootfsPropagation?: string;
  maskedPaths: string[];
  readonlyPaths: string[];
}

export interface OciNamespace {
  type: "cgroup" | "ipc" | "mount" | "network" | "pid" | "uts";
  /** The namespace to join; a new one without. */
  path?: string;
}

export interface OciDevice {
  path: string;
  type: "b" | "c";
  major: number;
  minor: number;
  fileMode?: number;
  uid?: number;
  gid?: number;
}

export interface OciDeviceRule {
  allow: boolean;
  type?: "a" | "b" | "c";
  major?: number;
  minor?: number;
  access: string;
}

/** Also what `Tasks.Update` takes. Memory in bytes, CPU times in microseconds; -1 means no limit. */
export interface OciLinuxResources {
  devices?: OciDeviceRule[];
  memory?: { limit?: number; reservation?: number; swap?: number };
  cpu?: { shares?: number; quota?: number; period?: number };
  pids?: { limit: number };
  /** cgroup v2 files, by name. */
  unified?: Record<string, string>;
}

export interface OciSeccomp {
  defaultAction: string;
  defaultErrnoRet?: number;
  architectures: string[];
  flags?: string[];
  syscalls: OciSyscall[];
}

export interface OciSyscall {
  names: string[];
  action: string;
  errnoRet?: number;
  args?: OciSyscallArg[];
}

export interface OciSyscallArg {
  index: number;
  value: number;
  valueTwo?: number;
  op: string;
}
