// emptyDir: a directory of the container's own, on disk or in memory, that lives as long as the container.
import { chmod } from "node:fs/promises";
import { join } from "node:path";
import type { Quantity, Volume } from "../api/index.ts";
import { parseQuantity } from "../api/index.ts";
import { isMounted, makeDirectories, mount } from "../node/index.ts";
import { forVolume } from "./errors.ts";
import { dataDirectory, stateDirectory } from "./volume.ts";
import type { VolumeContext } from "./volume.ts";

// As the kubelet makes it: the container's user is not known to the volume.
const MODE = 0o777;

/**
 * Makes the directory, or finds it again with its content after a restart of the container.
 *
 * @throws VolumeError
 */
export function prepareEmptyDir(
  context: VolumeContext,
  volume: string,
  source: NonNullable<Volume["emptyDir"]>,
): Promise<string> {
  return source.medium === "Memory" ? inMemory(context, volume, source.sizeLimit) : onDisk(context, volume);
}

function onDisk(context: VolumeContext, volume: string): Promise<string> {
  const path = join(dataDirectory(context), "volumes", volume);
  return forVolume(volume, path, async () => {
    if (await makeDirectories(path)) await chmod(path, MODE);
    return path;
  });
}

function inMemory(context: VolumeContext, volume: string, sizeLimit: Quantity | undefined): Promise<string> {
  const path = join(stateDirectory(context), "volumes", volume);
  return forVolume(volume, path, async () => {
    await makeDirectories(path);
    if (await isMounted(path)) return path;
    // Without a limit the kernel's holds: half of the node's memory.
    const size = sizeLimit === undefined ? [] : [`size=${Math.ceil(parseQuantity(sizeLimit)).toString()}`];
    await mount({ type: "tmpfs", source: "tmpfs", target: path, options: [`mode=${MODE.toString(8)}`, ...size] });
    return path;
  });
}
