// Processes of the node, by their number.
import { readFile } from "node:fs/promises";
import { errorCode, orMissing } from "./errno.ts";

/** The parent of a process; undefined when that has ended. */
export async function parentOf(pid: number): Promise<number | undefined> {
  const status = await orMissing(readFile(`/proc/${pid}/status`, "utf8"));
  const parent = /^PPid:\t(\d+)$/m.exec(status ?? "")?.[1];
  return parent === undefined ? undefined : Number(parent);
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
