/** Devices of a container and what its processes may do with them. */
import type { HostDevice } from "../node/index.ts";
import type { OciDevice, OciDeviceRule } from "./types.ts";

/** A device of the node that a container gets. */
export interface ContainerDevice {
  /** Where the container finds it. */
  readonly path: string;
  readonly device: HostDevice;
  /** Of `r`, `w` and `m` (mknod). */
  readonly permissions: string;
}

/** Docker's rules: nothing but the harmless character devices that every container has, and no fuse. */
const DEFAULT_RULES: readonly OciDeviceRule[] = [
  { allow: false, access: "rwm" },
  ...[
    [1, 5], // zero
    [1, 3], // null
    [1, 9], // urandom
    [1, 8], // random
    [5, 0], // tty
    [5, 1], // console
  ].map(([major = 0, minor = 0]): OciDeviceRule => ({ allow: true, type: "c", major, minor, access: "rwm" })),
  { allow: false, type: "c", major: 10, minor: 229, access: "rwm" },
];

export interface DeviceWish {
  readonly devices: readonly ContainerDevice[];
  /** All devices of the node, for a privileged container; undefined for another. */
  readonly hostDevices: readonly HostDevice[] | undefined;
}

/**
 * The device files to make and the cgroup's rules. A privileged container has all of the node's and may do anything with
 * them; devices it names are of interest only under another path (Docker's rules).
 */
export function deviceList({ devices, hostDevices }: DeviceWish): { devices: OciDevice[]; rules: OciDeviceRule[] } {
  if (hostDevices === undefined) {
    return {
      devices: devices.map(({ device, path }) => ociDevice(device, path)),
      rules: [...DEFAULT_RULES, ...devices.map(ruleFor)],
    };
  }
  const renamed = devices.filter(({ device, path }) => device.path !== path);
  return {
    devices: [
      ...hostDevices.map((device) => ociDevice(device, device.path)),
      ...renamed.map(({ device, path }) => ociDevice(device, path)),
    ],
    rules: [{ allow: true, access: "rwm" }],
  };
}

function ociDevice({ type, major, minor, fileMode, uid, gid }: HostDevice, path: string): OciDevice {
  return { path, type, major, minor, fileMode, uid, gid };
}

function ruleFor({ device: { type, major, minor }, permissions }: ContainerDevice): OciDeviceRule {
  return { allow: true, type, major, minor, access: permissions };
}
