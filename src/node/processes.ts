// Processes of the node, by their number.
import { readdir, readFile } from "node:fs/promises";
import { errorCode, orMissing } from "./errno.ts";

/** All processes of the node. */
export async function processes(): Promise<number[]> {
  return (await readdir("/proc")).map(Number).filter((pid) => pid > 0);
}

/** A process's program with its arguments; empty when it has ended. */
export async function programOf(pid: number): Promise<string[]> {
  const text = (await orMissing(readFile(`/proc/${pid}/cmdline`, "utf8"))) ?? "";
  return text.split("\0").slice(0, -1);
}

/** Ends a process with SIGKILL; one that has ended is as good. */
export function killProcess(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch (error) {
    if (errorCode(error) !== "ESRCH") throw error;
  }
}
