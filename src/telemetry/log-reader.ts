/** Reads a container's output: its log file and those that rotation has made of it, and what is written from then on. */
import { watch } from "node:fs";
import { open, type FileHandle, stat } from "node:fs/promises";
import { dirname } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { isDeepStrictEqual } from "node:util";
import { orMissing } from "../node/index.ts";
import { rotatedNumbers } from "./log-file.ts";

/** What to read of a log. */
export interface ReadLogOptions {
  /** The last lines, so many; all when absent. */
  readonly tail?: number | undefined;
  /** Leaves out files that were last written before; there are no times within a file. */
  readonly since?: Date | undefined;
  /** Goes on with what is written, until the log is removed. */
  readonly follow?: boolean;
}

const CHUNK = 1 << 16;
/** How long a rotation may take from the copy's new name to the file's truncation; see `rotate`. */
const ROTATION = { tries: 20, ms: 10 };

/** A file of the log, held open: it can be read to its end whatever becomes of its name. */
interface LogFile {
  readonly handle: FileHandle;
  /** Tells it from all others, also from one that has got its inode. */
  readonly key: string;
  readonly mtimeMs: number;
}

/**
 * The output, in pieces as they were read.
 * @param path the current file's; older ones are `<path>.1`, `<path>.2` …
 * @throws ErrnoException, ENOENT when there is no log
 */
export async function* readLog(path: string, options: ReadLogOptions = {}): AsyncGenerator<Buffer, void, undefined> {
  const { tail, since, follow = false } = options;
  using changes = follow ? new Changes(path) : undefined;
  const files = await openFiles(path);
  const current = files.at(-1);
  try {
    if (current === undefined) return;
    const wanted = since === undefined ? files : files.filter(({ mtimeMs }) => mtimeMs >= since.getTime());
    let position = (await current.handle.stat()).size;
    const end = position;
    for (const { file, start } of tail === undefined ? all(wanted) : await lastLines(wanted, tail)) {
      if (file === current) position = start;
      else yield* readFrom(file.handle, start);
    }
    if (changes === undefined) yield* readFrom(current.handle, position, end);
    else yield* followFrom(path, await progressAt(current, position, files.at(-2)?.key), changes);
  } finally {
    for (const { handle } of files) await handle.close();
  }
}

/**
 * The time before which nothing that `since` lets through was written; undefined when nothing has been left out.
 */
export async function beginOf(path: string, since: Date): Promise<Date | undefined> {
  const files = await openFiles(path);
  for (const { handle } of files) await handle.close();
  const left = files.filter(({ mtimeMs }) => mtimeMs < since.getTime()).at(-1);
  return left === undefined ? undefined : new Date(left.mtimeMs);
}

const all = (files: readonly LogFile[]): { file: LogFile; start: number }[] =>
  files.map((file) => ({ file, start: 0 }));

/** Where the last lines begin: in which file, and where in it; whole files after that. */
async function lastLines(files: readonly LogFile[], lines: number): Promise<{ file: LogFile; start: number }[]> {
  const found: { file: LogFile; start: number }[] = [];
  const buffer = Buffer.allocUnsafe(CHUNK);
  // The line break at the very end ends the last line and begins none.
  let missing = lines;
  let atEnd = true;
  for (const file of files.toReversed()) {
    let position = (await file.handle.stat()).size;
    found.unshift({ file, start: 0 });
    while (position > 0) {
      const length = Math.min(CHUNK, position);
      position -= length;
      const { bytesRead } = await file.handle.read(buffer, 0, length, position);
      for (let i = bytesRead - 1; i >= 0; i--) {
        if (buffer[i] === 0x0a && !atEnd && --missing <= 0) return startAt(found, position + i + 1);
        if (atEnd && missing === 0) return startAt(found, position + i + 1);
        atEnd = false;
      }
    }
  }
  return found;
}

function startAt(found: { file: LogFile; start: number }[], start: number): { file: LogFile; start: number }[] {
  const [first, ...rest] = found;
  return first === undefined ? [] : [{ ...first, start }, ...rest];
}

/** Reads to the end, or to a position. */
async function* readFrom(handle: FileHandle, start: number, end = Infinity): AsyncGenerator<Buffer, void, undefined> {
  let position = start;
  while (position < end) {
    const length = Math.min(CHUNK, end - position);
    const { bytesRead, buffer } = await handle.read(Buffer.allocUnsafe(length), 0, length, position);
    if (bytesRead === 0) return;
    position += bytesRead;
    yield buffer.subarray(0, bytesRead);
  }
}

/** How far a follower has come. */
interface Progress {
  readonly current: LogFile;
  position: number;
  /** The last bytes before that. */
  recent: Buffer;
  /** The newest of the rotated files that were there. */
  last: string | undefined;
}

/** Bytes by which a follower knows where it was. */
const RECENT = 256;
const BEGIN = { position: 0, recent: Buffer.alloc(0) } as const;

async function progressAt(current: LogFile, position: number, last: string | undefined): Promise<Progress> {
  const length = Math.min(RECENT, position);
  const { buffer } = await current.handle.read(Buffer.alloc(length), 0, length, position - length);
  return { current, position, last, recent: buffer };
}

/** What is written from now on, through rotations, until the log is removed. */
async function* followFrom(
  path: string,
  progress: Progress,
  changes: Changes,
): AsyncGenerator<Buffer, void, undefined> {
  const { handle, key } = progress.current;
  for (;;) {
    yield* readRotated(path, progress);
    const { recent, position } = progress;
    const length = recent.length + CHUNK;
    const { bytesRead, buffer } = await handle.read(Buffer.allocUnsafe(length), 0, length, position - recent.length);
    if ((await keyOf(path)) !== key) {
      yield* readFrom(handle, position);
      return;
    }
    // A rotation that has come since may have truncated the file before it was read; it has all in its copy.
    if ((await newestRotated(path)) !== progress.last) continue;
    if (!buffer.subarray(0, Math.min(bytesRead, recent.length)).equals(recent)) {
      // Rotation that keeps a single file just truncates it.
      Object.assign(progress, BEGIN);
      continue;
    }
    if (bytesRead === recent.length) {
      await changes.next();
      continue;
    }
    progress.position += bytesRead - recent.length;
    progress.recent = Buffer.from(buffer.subarray(Math.max(0, bytesRead - RECENT), bytesRead));
    yield buffer.subarray(recent.length, bytesRead);
  }
}

/** What rotations have moved on before it could be read. */
async function* readRotated(path: string, progress: Progress): AsyncGenerator<Buffer, void, undefined> {
  const { last, position, recent } = progress;
  if ((await newestRotated(path)) === last) return;
  // The log's end is seen by its current file.
  const files = (await orMissing(openFiles(path))) ?? [];
  try {
    const known = files.findIndex(({ key }) => key === last);
    const rotated = files.slice(known + 1, -1);
    for (const [index, { handle }] of rotated.entries()) {
      // The oldest is the copy of what was being read, if that has not been rotated away; those after it are new.
      const isCopy = index === 0 && ((last !== undefined && known >= 0) || (await isAt(handle, position, recent)));
      yield* readFrom(handle, isCopy ? position : 0);
      Object.assign(progress, BEGIN);
    }
    if (files.length > 0) progress.last = files.at(-2)?.key;
  } finally {
    for (const { handle } of files) await handle.close();
  }
}

/** Whether a file holds these bytes just before a position. */
async function isAt(handle: FileHandle, position: number, bytes: Buffer): Promise<boolean> {
  const length = Math.min(bytes.length, position);
  const { bytesRead, buffer } = await handle.read(Buffer.alloc(length), 0, length, position - length);
  return bytesRead === length && buffer.equals(bytes.subarray(bytes.length - length));
}

/** All files of a log, the current one last, as they were at one moment. */
async function openFiles(path: string): Promise<LogFile[]> {
  for (;;) {
    await rotationDone(path);
    const before = await newestTwo(path);
    const files = [await openFile(path)];
    for (const number of await rotatedNumbers(path)) {
      const file = await openFile(`${path}.${number}`).catch(() => undefined);
      if (file !== undefined) files.splice(-1, 0, file);
    }
    // Else a rotation has come between them.
    if (isDeepStrictEqual(before, await newestTwo(path))) return files;
    for (const { handle } of files) await handle.close();
  }
}

/** Between the copy's new name and the file's truncation, the same is in both: waits that out. */
async function rotationDone(path: string): Promise<void> {
  for (let i = 0; i < ROTATION.tries; i++) {
    const [file, copy] = await Promise.all([path, `${path}.1`].map((each) => stat(each).catch(() => undefined)));
    if (file === undefined || copy === undefined || file.size < copy.size) return;
    // One that has grown beyond the copy since is no rotation under way.
    if (Date.now() - copy.mtimeMs > ROTATION.tries * ROTATION.ms) return;
    await delay(ROTATION.ms);
  }
}

async function openFile(path: string): Promise<LogFile> {
  const handle = await open(path, "r");
  const { ino, birthtimeMs, mtimeMs } = await handle.stat();
  return { handle, key: `${ino}:${birthtimeMs}`, mtimeMs };
}

/** A rotation under way, or one that was cut off, has moved `.1` to `.2` and has no new `.1` yet. */
async function newestRotated(path: string): Promise<string | undefined> {
  const [first, second] = await newestTwo(path);
  return first ?? second;
}

function newestTwo(path: string): Promise<(string | undefined)[]> {
  return Promise.all([keyOf(`${path}.1`), keyOf(`${path}.2`)]);
}

async function keyOf(path: string): Promise<string | undefined> {
  const found = await stat(path).catch(() => undefined);
  return found && `${found.ino}:${found.birthtimeMs}`;
}

/** Tells of changes of the log's directory, those that come while nobody waits, too. */
class Changes implements Disposable {
  readonly #watcher;
  #changed = Promise.withResolvers<undefined>();

  constructor(path: string) {
    const onChange = (): void => {
      this.#changed.resolve(undefined);
    };
    this.#watcher = watch(dirname(path), onChange);
    // The directory's end is a change, too.
    this.#watcher.on("error", onChange);
  }

  async next(): Promise<void> {
    await this.#changed.promise;
    this.#changed = Promise.withResolvers<undefined>();
  }

  [Symbol.dispose](): void {
    this.#watcher.close();
  }
}
