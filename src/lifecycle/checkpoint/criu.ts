/** CRIU's words: its own log tells what the error that comes through runtime and containerd only points to. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { ContainerdError } from "../../containerd/index.ts";
import { orMissing } from "../../node/index.ts";

/** CRIU's errors follow from one another, the cause first. */
const MAX_ERRORS = 4;

const MISSING =
  "CRIU is not on this node, or not in containerd's PATH: install the package criu (4.2 or later for Linux 6.16 and later)";

/** What CRIU goes on after, and what only says that something else went wrong. */
const SAYS_NOTHING = /^rlimit: |^cg: cgroupd: |^(Dumping|Restoring) FAILED|failed with -1$/;

/** Which of CRIU's logs is to be read. */
export type CriuLog = "dump.log" | "restore.log";

/** Why a checkpoint or a restore failed, for a person. */
export async function criuWords(error: unknown, folder: string, log: CriuLog): Promise<string> {
  const words = wordsOf(error);
  if (/"?criu"?: executable file not found|criu.*no such file/i.test(words)) return MISSING;
  const text = (await orMissing(readFile(join(folder, log), "utf8"))) ?? "";
  const errors = errorsIn(text);
  return errors.length === 0 ? words : `CRIU: ${errors.join("; ")}`;
}

/** The messages of the errors in a log of CRIU's: `(00.012345)  1: Error (criu/file.c:12): message`. */
export function errorsIn(log: string): string[] {
  const errors = [...log.matchAll(/^.*?\bError \([^)]*\): (.*)$/gm)].map(([, message]) => inFields(message ?? ""));
  const telling = errors.filter((message) => !SAYS_NOTHING.test(message));
  return [...new Set(telling)].slice(0, MAX_ERRORS);
}

/** CRIU advises its own options, which are fields here. */
function inFields(message: string): string {
  return message
    .trim()
    .replace(/--tcp-established(?: option)?/, "spec.tcpEstablished of the ContainerCheckpoint")
    .replace(/(?:the )?--file-locks(?: option)?/, "spec.fileLocks of the ContainerCheckpoint");
}

function wordsOf(error: unknown): string {
  if (error instanceof ContainerdError) return error.details;
  return error instanceof Error ? error.message : String(error);
}
