// The files that tell a container who it is and where names come from: /etc/hosts, /etc/hostname and /etc/resolv.conf.
import { constants } from "node:fs";
import { type FileHandle, link, open, rm } from "node:fs/promises";
import { join, posix } from "node:path";
import { type NameFiles, withBlock } from "../network/index.ts";
import { makeDirectories, orMissing } from "../node/index.ts";
import { bindMount, dataDirectory } from "./volume.ts";
import type { BindMount, VolumeContext } from "./volume.ts";

const DESTINATIONS: Record<keyof NameFiles, string> = {
  hosts: "/etc/hosts",
  hostname: "/etc/hostname",
  resolvConf: "/etc/resolv.conf",
};

/** A hosts file that its container has made larger than this is its own business: it is not read whole any more. */
const MAX_HOSTS_BYTES = 1024 * 1024;

/**
 * Writes a file's whole content without making a new file: a bind mount of it in a running container shows the new
 * content. A reader sees the old or the new content, or for a moment the new one followed by empty lines.
 */
export async function writeInPlace(path: string, content: string): Promise<void> {
  const { O_RDWR, O_CREAT, O_NOFOLLOW } = constants;
  await using file = await open(path, O_RDWR | O_CREAT | O_NOFOLLOW, 0o644);
  await replaceContent(file, content);
}

/**
 * In one write, with the rest of a longer old content covered by newlines, which are cut off after. A longer new one gets its
 * room first, as newlines, so that a full disk leaves the old content.
 */
async function replaceContent(file: FileHandle, content: string): Promise<void> {
  const { size } = await file.stat();
  const bytes = Buffer.from(content);
  try {
    await writeAll(file, Buffer.alloc(Math.max(0, bytes.length - size), "\n"), size);
  } catch (error) {
    await file.truncate(size);
    throw error;
  }
  const padding = Buffer.alloc(Math.max(0, size - bytes.length), "\n");
  await writeAll(file, Buffer.concat([bytes, padding]), 0);
  if (padding.length > 0) await file.truncate(bytes.length);
}

/** A disk that fills up takes a part first, and says so at the next write. */
async function writeAll(file: FileHandle, bytes: Buffer, position: number): Promise<void> {
  for (let done = 0; done < bytes.length;)
    done += (await file.write(bytes, done, bytes.length - done, position + done)).bytesWritten;
}

/**
 * Brings a hosts file's block ({@link withBlock}) up to date in place; what the container has written outside it is kept.
 * A file that is missing or too large is left alone.
 */
export async function updateHosts(context: Pick<VolumeContext, "dataDir" | "id">, block: string): Promise<void> {
  const path = pathOf(context, "hosts");
  const { O_RDWR, O_NOFOLLOW } = constants;
  await using file = await orMissing(open(path, O_RDWR | O_NOFOLLOW));
  if (file === undefined || (await file.stat()).size > MAX_HOSTS_BYTES) return;
  const before = await file.readFile("utf8");
  const after = withBlock(before, block);
  if (after !== before) await replaceContent(file, after);
}

/** `readOnly` as the root filesystem is (Docker's rule); `covered` are paths that the user has mounted something over. */
export type FileOptions = { readOnly: boolean; covered: ReadonlySet<string> };

/** Makes a container's files, empty where they are not there yet, and answers their bind mounts. */
export async function makeNameFiles(
  context: Pick<VolumeContext, "dataDir" | "id">,
  options: FileOptions,
): Promise<BindMount[]> {
  const { O_WRONLY, O_CREAT, O_NOFOLLOW } = constants;
  return eachFile(context, options, async (_, path) => {
    await (await open(path, O_WRONLY | O_CREAT | O_NOFOLLOW, 0o644)).close();
  });
}

/** Writes a container's files and answers their bind mounts. */
export async function writeNameFiles(
  context: Pick<VolumeContext, "dataDir" | "id">,
  files: NameFiles,
  options: FileOptions,
): Promise<BindMount[]> {
  return eachFile(context, options, (name, path) => writeInPlace(path, files[name]));
}

/**
 * Gives a container the files of another one, whose network it shares: the same inodes, so that both see what either of
 * them, or Berth, writes, and neither's removal takes them from the other. Answers their bind mounts.
 */
export async function shareNameFiles(
  context: Pick<VolumeContext, "dataDir" | "id">,
  peer: string,
  options: FileOptions,
): Promise<BindMount[]> {
  return eachFile(context, options, async (name, path) => {
    await rm(path, { force: true });
    await link(pathOf({ ...context, id: peer }, name), path);
  });
}

async function eachFile(
  context: Pick<VolumeContext, "dataDir" | "id">,
  options: FileOptions,
  make: (name: keyof NameFiles, path: string) => Promise<void>,
): Promise<BindMount[]> {
  await makeDirectories(dataDirectory(context));
  const names = Object.keys(DESTINATIONS) as (keyof NameFiles)[];
  await Promise.all(names.map((name) => make(name, pathOf(context, name))));
  return names
    .filter((name) => !options.covered.has(DESTINATIONS[name]))
    .map((name) => bindMount(pathOf(context, name), DESTINATIONS[name], { readOnly: options.readOnly }));
}

function pathOf(context: Pick<VolumeContext, "dataDir" | "id">, name: keyof NameFiles): string {
  return join(dataDirectory(context), posix.basename(DESTINATIONS[name]));
}
