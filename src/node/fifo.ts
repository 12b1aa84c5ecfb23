// FIFOs, by which a shim passes on a process's streams. Opening one waits for the other side unless asked not to, and a
// wait in the kernel can't be aborted: hence the care.
import { closeSync, constants, open, openSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { Socket } from "node:net";
import { join } from "node:path";
import { promisify } from "node:util";
import { run } from "./run.ts";

const openFile = promisify(open);

/**
 * Makes FIFOs that only root may use, and their directory if need be.
 * @throws CommandError
 */
export async function makeFifos(directory: string, names: readonly string[]): Promise<void> {
  await mkdir(directory, { recursive: true, mode: 0o700 });
  await run("mkfifo", ["-m", "600", ...names.map((name) => join(directory, name))]);
}

/** Opens a FIFO for reading, at once. The stream ends when all who have opened it for writing have closed it, not before one has. */
export async function openFifoReader(path: string): Promise<Socket> {
  const fd = await openFile(path, constants.O_RDONLY | constants.O_NONBLOCK);
  return new Socket({ fd, readable: true, writable: false });
}

/**
 * Opens a FIFO for writing as soon as somebody reads it, so that nothing is written to nobody.
 * @throws the signal's reason when it was aborted
 */
export async function openFifoWriter(path: string, signal: AbortSignal): Promise<Socket> {
  signal.throwIfAborted();
  const opened = openFile(path, constants.O_WRONLY);
  let release: number | undefined;
  const onAbort = (): void => {
    // A reader of our own ends the wait. Not by the thread pool, all of which may be waiting so.
    try {
      release = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
    } catch {
      // The FIFO is gone, and with it whoever could have waited for it.
    }
  };
  signal.addEventListener("abort", onAbort, { once: true });
  try {
    const fd = await opened;
    if (signal.aborted) closeSync(fd);
    signal.throwIfAborted();
    return new Socket({ fd, readable: false, writable: true });
  } finally {
    signal.removeEventListener("abort", onAbort);
    if (release !== undefined) closeSync(release);
  }
}
