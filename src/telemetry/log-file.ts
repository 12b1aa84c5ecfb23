import { closeSync, constants, fstatSync, ftruncateSync, openSync, readSync, writeSync } from "node:fs";
import { open, readdir, rename, unlink, type FileHandle } from "node:fs/promises";
import { basename, dirname } from "node:path";

const CHUNK = 1 << 20;
/** What may still be missing from the copy when the writer is made to wait for nothing: copied without yielding. */
const TAIL = 4 * CHUNK;
const MAX_ROUNDS = 16;
/** Nor does a writer that is quicker than we are hold up this process: what it wrote beyond this is lost. */
const MAX_TAIL = 16 * TAIL;

/**
 * Rotates a log file by copy-and-truncate: `output.log` → `output.log.1` → `output.log.2` …, `maxFiles` in all. The writer
 * (containerd's shim) holds the file open with O_APPEND and can't be told of another, so the inode must stay.
 *
 * The copy is followed up to the file's end; the last of it and the truncation then happen in one go, without giving way
 * to anything in this process. What a writer appends between that last read and the truncation (microseconds) is lost.
 * @throws ErrnoException, ENOSPC above all; the log itself is then as it was.
 */
export async function rotate(path: string, maxFiles: number): Promise<void> {
  if (maxFiles <= 1) {
    truncateNow(path);
    return;
  }
  const fresh = `${path}.new`;
  const source = await open(path, "r");
  try {
    const target = await open(fresh, "w", 0o640);
    try {
      const copied = await copyMost(source, target);
      await shift(path, maxFiles);
      await rename(fresh, `${path}.1`);
      finish(path, target.fd, copied);
    } finally {
      await target.close();
    }
  } catch (error) {
    await unlink(fresh).catch(() => undefined);
    throw error;
  } finally {
    await source.close();
  }
}

/** Copies until hardly anything is missing; a writer that is quicker than the copy is cut off after some rounds. */
async function copyMost(source: FileHandle, target: FileHandle): Promise<number> {
  const buffer = Buffer.allocUnsafe(CHUNK);
  let position = 0;
  for (let round = 0; round < MAX_ROUNDS; round++) {
    const { size } = await source.stat();
    if (round > 0 && size - position <= TAIL) return position;
    while (position < size) {
      const { bytesRead } = await source.read(buffer, 0, CHUNK, position);
      if (bytesRead === 0) return position;
      // A disk that fills up takes a part first and says so at the next write.
      for (let done = 0; done < bytesRead;)
        done += (await target.write(buffer, done, bytesRead - done, position + done)).bytesWritten;
      position += bytesRead;
    }
  }
  return position;
}

/** Copies what came since, and truncates at once. */
function finish(path: string, target: number, copied: number): void {
  const source = openSync(path, constants.O_RDWR);
  try {
    const buffer = Buffer.allocUnsafe(CHUNK);
    let position = copied;
    while (position - copied < MAX_TAIL) {
      const read = readSync(source, buffer, 0, CHUNK, position);
      if (read > 0)
        for (let done = 0; done < read;) done += writeSync(target, buffer, done, read - done, position + done);
      position += read;
      if (read < CHUNK && fstatSync(source).size <= position) break;
    }
    ftruncateSync(source, 0);
  } finally {
    closeSync(source);
  }
}

function truncateNow(path: string): void {
  const file = openSync(path, constants.O_RDWR);
  try {
    ftruncateSync(file, 0);
  } finally {
    closeSync(file);
  }
}

/** Makes room for a new `.1`, and removes what is too many, also from before `maxFiles` was lowered. */
async function shift(path: string, maxFiles: number): Promise<void> {
  for (const number of await rotatedNumbers(path)) {
    if (number >= maxFiles - 1) await unlink(`${path}.${number}`);
    else await rename(`${path}.${number}`, `${path}.${number + 1}`);
  }
}

/** The numbers that rotations have given to files of a log, the oldest file's first; one that was cut off leaves gaps. */
export async function rotatedNumbers(path: string): Promise<number[]> {
  const prefix = `${basename(path)}.`;
  return (await readdir(dirname(path)))
    .filter((name) => name.startsWith(prefix) && /^[1-9]\d*$/.test(name.slice(prefix.length)))
    .map((name) => Number(name.slice(prefix.length)))
    .sort((a, b) => b - a);
}
