import {
  closeSync,
  constants,
  fstatSync,
  ftruncateSync,
  openSync,
  readSync,
  rmSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { open, readdir, rename, unlink, type FileHandle } from "node:fs/promises";
import { basename, dirname } from "node:path";
import { isDiskFull } from "../node/index.ts";

const CHUNK = 1 << 20;
/** What may still be missing from the copy when the writer is made to wait for nothing: copied without yielding. */
const TAIL = 4 * CHUNK;
const MAX_ROUNDS = 16;
/** Nor does a writer that is quicker than we are hold up this process: of what it wrote, no more than the newest so much. */
const MAX_TAIL = 16 * TAIL;
/** A file that has become larger than twice its limit, and than this, is not kept whole. */
const MIN_KEPT = 4 * TAIL;
/** The least that is kept of the newest output, where no more fits. */
const MIN_NEWEST = 1024;

/** How large a container's log may become. */
export type LogLimits = {
  /** Bytes after which the file is rotated; it may exceed them by what is written until the next look. */
  maxSize: number;
  /** Files kept, the current one included. */
  maxFiles: number;
};

/** Why output is lost that the limits would have kept: it came too quickly, or the disk is full. The newest is kept. */
export type Loss = "flood" | "full";

/**
 * Rotates a log file by copy-and-truncate: `output.log` → `output.log.1` → `output.log.2` …, `maxFiles` in all. The writer
 * (containerd's shim) holds the file open with O_APPEND and can't be told of another, so the inode must stay.
 *
 * The copy is followed up to the file's end; the last of it and the truncation then happen in one go, without giving way
 * to anything in this process. What a writer appends between that last read and the truncation (microseconds) is lost.
 *
 * On a full disk the oldest files give way to the copy, one after the other; when none is left, the newest output is held
 * in memory while the file is truncated. So the log is bounded whatever the disk.
 * @returns what is lost beyond that
 * @throws ErrnoException; the log itself is then as it was
 */
export async function rotate(path: string, { maxSize, maxFiles }: LogLimits): Promise<Loss | undefined> {
  if (maxFiles <= 1) {
    truncateNow(path);
    return undefined;
  }
  let loss: Loss | undefined;
  for (;;) {
    try {
      const isWhole = await copyAndTruncate(path, Math.max(2 * maxSize, MIN_KEPT), maxFiles);
      return isWhole ? loss : (loss ?? "flood");
    } catch (error) {
      if (!isDiskFull(error)) throw error;
      loss = "full";
      const [oldest] = await rotatedNumbers(path);
      if (oldest === undefined) {
        keepNewest(path);
        return loss;
      }
      await unlink(`${path}.${oldest}`);
    }
  }
}

/** Answers whether all of the file was copied. */
async function copyAndTruncate(path: string, kept: number, maxFiles: number): Promise<boolean> {
  const fresh = `${path}.new`;
  let copy = fresh;
  const source = await open(path, "r");
  try {
    const target = await open(fresh, "w", 0o640);
    try {
      const start = Math.max(0, (await source.stat()).size - kept);
      const copied = await copyMost(source, target, start, kept);
      await shift(path, maxFiles);
      await rename(fresh, `${path}.1`);
      copy = `${path}.1`;
      return finish(path, target.fd, { from: start + copied, to: copied }) && start === 0;
    } finally {
      await target.close();
    }
  } catch (error) {
    // What the log still holds is not to be there twice.
    await unlink(copy).catch(() => undefined);
    throw error;
  } finally {
    await source.close();
  }
}

/** Copies from a place on until hardly anything is missing; a writer that is quicker than the copy is cut off. Answers how much. */
async function copyMost(source: FileHandle, target: FileHandle, start: number, kept: number): Promise<number> {
  const buffer = Buffer.allocUnsafe(CHUNK);
  let copied = 0;
  for (let round = 0; round < MAX_ROUNDS && copied < 2 * kept; round++) {
    const size = (await source.stat()).size - start;
    if (round > 0 && size - copied <= TAIL) return copied;
    while (copied < size) {
      const { bytesRead } = await source.read(buffer, 0, CHUNK, start + copied);
      if (bytesRead === 0) return copied;
      // A disk that fills up takes a part first and says so at the next write.
      for (let done = 0; done < bytesRead;)
        done += (await target.write(buffer, done, bytesRead - done, copied + done)).bytesWritten;
      copied += bytesRead;
    }
  }
  return copied;
}

/** Copies what came since, and truncates at once. Answers whether nothing was left out. */
function finish(path: string, target: number, at: { from: number; to: number }): boolean {
  const source = openSync(path, constants.O_RDWR);
  try {
    const buffer = Buffer.allocUnsafe(CHUNK);
    const start = Math.max(at.from, fstatSync(source).size - MAX_TAIL);
    let copied = 0;
    while (copied < MAX_TAIL) {
      const read = readSync(source, buffer, 0, CHUNK, start + copied);
      for (let done = 0; done < read;) done += writeSync(target, buffer, done, read - done, at.to + copied + done);
      copied += read;
      if (read < CHUNK && fstatSync(source).size <= start + copied) break;
    }
    const isWhole = start === at.from && copied < MAX_TAIL;
    ftruncateSync(source, 0);
    return isWhole;
  } finally {
    closeSync(source);
  }
}

/** Where there is no room for a copy: takes the newest output, truncates, and puts it where the copy would be, as far as it fits. */
function keepNewest(path: string): void {
  const source = openSync(path, constants.O_RDWR);
  try {
    const { size } = fstatSync(source);
    let newest = Buffer.alloc(Math.min(size, TAIL));
    newest = newest.subarray(0, readSync(source, newest, 0, newest.length, size - newest.length));
    ftruncateSync(source, 0);
    while (!hasWritten(`${path}.1`, newest) && newest.length > MIN_NEWEST)
      newest = newest.subarray(Math.ceil(newest.length / 2));
  } finally {
    closeSync(source);
  }
}

function hasWritten(path: string, content: Buffer): boolean {
  try {
    writeFileSync(path, content, { mode: 0o640 });
    return true;
  } catch (error) {
    rmSync(path, { force: true });
    if (!isDiskFull(error)) throw error;
    return false;
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
