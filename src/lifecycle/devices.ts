/** The node's devices that a container gets, as they are at the moment: they come and go, and change their numbers. */
import { isDeepStrictEqual } from "node:util";
import type { ContainerSpec } from "../api/index.ts";
import { devicesAt, type HostDevice, hostDevices } from "../node/index.ts";
import {
  type ContainerDevice,
  deviceList,
  type DeviceWish,
  SpecError,
  StartError,
  startFailure,
} from "../oci/index.ts";
import type { Parts } from "./parts.ts";
import type { Record } from "./record.ts";

type DeviceSpec = Pick<ContainerSpec, "devices" | "securityContext">;

/**
 * The devices that a spec asks for.
 * @throws StartError (VolumeSetupFailed) for one that the node does not have now; SpecError for two on one path
 */
export async function wishedDevices(spec: DeviceSpec): Promise<DeviceWish> {
  const { devices = [] } = spec;
  checkPaths(devices);
  const [found, all] = await Promise.all([
    Promise.all(devices.map(lookUp)),
    spec.securityContext?.privileged === true ? hostDevices() : undefined,
  ]);
  return { devices: found.flat(), hostDevices: all };
}

/**
 * Sees to it that a container which is started again finds the devices as they are now: Docker looks them up at each start.
 * @throws as {@link wishedDevices}
 */
export async function renewDevices(parts: Parts, { id, applied }: Record): Promise<void> {
  const { devices = [], securityContext } = applied.spec;
  if (devices.length === 0 && securityContext?.privileged !== true) return;
  const now = deviceList(await wishedDevices(applied.spec));
  const spec = await parts.records.spec(id);
  const { linux } = spec;
  if (isDeepStrictEqual(now, { devices: linux.devices, rules: linux.resources.devices })) return;
  const resources = { ...linux.resources, devices: now.rules };
  await parts.records.saveApplied(id, applied, { ...spec, linux: { ...linux, devices: now.devices, resources } });
}

/** A directory stands for all devices below it, which keep their paths relative to it (Docker's rule). */
async function lookUp(
  { hostPath, containerPath = hostPath, permissions = "rwm" }: NonNullable<DeviceSpec["devices"]>[number],
  index: number,
): Promise<ContainerDevice[]> {
  const field = `spec.devices[${index}].hostPath`;
  const found = await devicesAt(hostPath).catch((error: unknown) => {
    throw missing(`${field}: ${error instanceof Error ? error.message : String(error)}`);
  });
  if (found.length === 0)
    throw missing(`${field}: ${hostPath} on this node is neither a device nor a directory of some`);
  return found.map((device) => ({ path: below(containerPath, hostPath, device), device, permissions }));
}

function below(containerPath: string, hostPath: string, { path }: HostDevice): string {
  return `${containerPath}${path.slice(hostPath.length)}`;
}

function missing(message: string): StartError {
  return new StartError(startFailure("VolumeSetupFailed", message));
}

function checkPaths(devices: NonNullable<DeviceSpec["devices"]>): void {
  const paths = devices.map(({ hostPath, containerPath = hostPath }) => containerPath);
  const again = paths.findIndex((path, index) => paths.indexOf(path) < index);
  if (again < 0) return;
  const path = paths[again] ?? "";
  const field = `spec.devices[${again}].containerPath`;
  throw new SpecError(
    field,
    `"${path}" is taken by spec.devices[${paths.indexOf(path)}]: give each device a path of its own`,
  );
}
