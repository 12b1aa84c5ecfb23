// The files that tell a container who it is and where names come from: /etc/hosts, /etc/hostname and /etc/resolv.conf.
import { constants } from "node:fs";
import { open } from "node:fs/promises";
import { join, posix } from "node:path";
import type { NameFiles } from "../network/index.ts";
import { makeDirectories } from "../node/index.ts";
import { bindMount, dataDirectory } from "./volume.ts";
import type { BindMount, VolumeContext } from "./volume.ts";

const DESTINATIONS: Record<keyof NameFiles, string> = {
  hosts: "/etc/hosts",
  hostname: "/etc/hostname",
  resolvConf: "/etc/resolv.conf",
};

/**
 * Writes a file's whole content without making a new file: a bind mount of it in a running container shows the new
 * content. A reader sees the old or the new content, or for a moment the new one with the rest of a longer old one.
 */
export async function writeInPlace(path: string, content: string): Promise<void> {
  const { O_WRONLY, O_CREAT, O_NOFOLLOW } = constants;
  const file = await open(path, O_WRONLY | O_CREAT | O_NOFOLLOW, 0o644);
  try {
    const bytes = Buffer.from(content);
    await file.write(bytes, 0, bytes.length, 0);
    await file.truncate(bytes.length);
  } finally {
    await file.close();
  }
}

/**
 * Writes a container's files and answers their bind mounts, without those that the user has mounted something over.
 *
 * @param readOnly as the root filesystem is (Docker's rule)
 */
export async function writeNameFiles(
  context: Pick<VolumeContext, "dataDir" | "id">,
  files: NameFiles,
  options: { readOnly: boolean; covered: ReadonlySet<string> },
): Promise<BindMount[]> {
  const directory = dataDirectory(context);
  await makeDirectories(directory);
  const names = Object.keys(DESTINATIONS) as (keyof NameFiles)[];
  const mounts = await Promise.all(
    names.map(async (name) => {
      const destination = DESTINATIONS[name];
      const path = join(directory, posix.basename(destination));
      await writeInPlace(path, files[name]);
      return bindMount(path, destination, { readOnly: options.readOnly });
    }),
  );
  return mounts.filter(({ destination }) => !options.covered.has(destination));
}
