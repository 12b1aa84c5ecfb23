// What only one agent of a node may work with at a time. The claim is a flock(2) on a directory: the kernel keeps it for as
// long as the process lives, whatever namespaces it lives in, and frees it with the process, however that ends.
import { openSync } from "node:fs";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { CommandError, run } from "./run.ts";

/** Seconds until somebody is told that a claim has to wait: a process that was just killed may not be gone yet. */
const PATIENCE_SECONDS = 2;
/** Seconds that one wait may take at most: should this process die, the helper that waits for it outlives it by this. */
const WAIT_SECONDS = 10;
/** flock(1)'s exit code for a wait that was in vain. */
const IN_VAIN = 75;
/** Who has the claim, for a person. */
const HOLDER = "holder";

export type ClaimOptions = {
  /** Who this is, in words. */
  holder: string;
  /** Told, once a directory, that somebody else has the claim, and who that says to be. */
  onWaiting: (directory: string, holder: string) => void;
  signal: AbortSignal;
};

/**
 * Claims directories, one after the other, for as long as this process lives; makes those that are not there. Waits for
 * whoever has one of them.
 *
 * @throws the signal's reason when it was aborted; Error when a directory can't be made, CommandError when there is no flock(1)
 */
export async function claimDirectories(directories: readonly string[], options: ClaimOptions): Promise<void> {
  for (const directory of directories) {
    await mkdir(directory, { recursive: true, mode: 0o711 });
    await claim(directory, options);
    // The claim holds without it, also on a disk that is full.
    await writeFile(join(directory, HOLDER), `${options.holder}\n`, { mode: 0o644 }).catch(() => undefined);
  }
}

async function claim(directory: string, { onWaiting, signal }: ClaimOptions): Promise<void> {
  // Never closed: flock(1) locks this very opening of the directory, which is then this process's alone.
  const fd = openSync(directory, "r");
  if (await lock(fd, PATIENCE_SECONDS, signal)) return;
  onWaiting(directory, await holderOf(directory));
  while (!(await lock(fd, WAIT_SECONDS, signal)));
}

async function lock(fd: number, seconds: number, signal: AbortSignal): Promise<boolean> {
  try {
    const args = ["--exclusive", "--timeout", String(seconds), "--conflict-exit-code", String(IN_VAIN), "3"];
    await run("flock", args, { fds: [fd], signal });
    return true;
  } catch (error) {
    signal.throwIfAborted();
    if (error instanceof CommandError && error.exitCode === IN_VAIN) return false;
    throw error;
  }
}

/** Who has claimed a directory, as far as that can be told. */
async function holderOf(directory: string): Promise<string> {
  const words = await readFile(join(directory, HOLDER), "utf8").catch(() => "");
  return words.trim() || "another agent";
}
