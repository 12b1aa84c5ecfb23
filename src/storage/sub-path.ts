// subPath: a part of a volume. What it leads to is opened without ever leaving the volume (node/beneath.ts) and bound, by
// the open handle, to a place of the agent's own, from where the runtime takes it: a container that has the volume can
// swap every name in it at any time.
import { mkdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { BeneathError, makeDirectories, mount, openBeneath, pathOf, unmountBelow } from "../node/index.ts";
import { forVolume, VolumeError } from "./errors.ts";
import { stateDirectory } from "./volume.ts";
import type { VolumeContext } from "./volume.ts";

/** A volumeMount with a subPath. */
export type SubPath = {
  /** The volume's name, and its directory. */
  volume: string;
  source: string;
  subPath: string;
  /** Which of spec.volumeMounts it is: the place is named by it. */
  index: number;
  /** What is mounted later on either side is to be seen: the place stays a peer of the source. */
  propagates: boolean;
};

/**
 * Binds what the subPath leads to now; what was bound for this container before is unbound first. A missing part becomes a
 * directory, as the kubelet makes it.
 *
 * @returns the place it is bound to
 * @throws VolumeError naming the field and the part of the path that is wrong
 */
export async function prepareSubPath(context: VolumeContext, wish: SubPath): Promise<string> {
  const { volume, source, subPath, index } = wish;
  const field = `spec.volumeMounts[${index}].subPath`;
  const target = join(stateDirectory(context), "sub-paths", String(index));
  return forVolume(volume, `${field} "${subPath}" below ${source}`, async () => {
    await unmountBelow(target);
    await rm(target, { recursive: true, force: true });
    await using part = await openPart(wish, field);
    await makeDirectories(join(target, ".."));
    if ((await part.stat()).isDirectory()) await mkdir(target);
    else await writeFile(target, "");
    const options = ["bind", ...(wish.propagates ? [] : ["private"])];
    await mount({ type: "none", source: pathOf(part), target, options });
    return target;
  });
}

async function openPart({ volume, source, subPath }: SubPath, field: string): ReturnType<typeof openBeneath> {
  try {
    return await openBeneath(source, subPath);
  } catch (error) {
    if (!(error instanceof BeneathError)) throw error;
    throw new VolumeError(volume, `${field} "${subPath}": ${error.message}`, { cause: error });
  }
}
