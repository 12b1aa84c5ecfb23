/** A container's streams, as `Tasks.Create` is told of them: none of them depends on the agent being there. */
import { rm } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { makeFifos } from "../node/index.ts";
import type { Parts } from "./parts.ts";
import type { Record } from "./record.ts";
import type { Undo } from "./undo.ts";

/** What a shim connects a container's first process to. */
export interface Stdio {
  readonly terminal: boolean;
  /** Empty for none: what reads it is at the end at once. */
  readonly stdin: string;
  readonly stdout: string;
  readonly stderr: string;
}

/** The FIFO that a container with `stdin` reads. The shim holds it open, so that a writer's end is not the input's. */
export function stdinFifo(stateDir: string, id: string): string {
  return join(stateDir, "stdin", id);
}

/** The streams of a container about to be started: output goes to a file, which is there already. */
export async function prepareStdio(parts: Parts, { id, applied }: Record, output: string, undo: Undo): Promise<Stdio> {
  const { tty = false, stdin = false } = applied.spec;
  const outputs = tty ? { stdout: terminalLog(output), stderr: "" } : fileLog(output);
  return { terminal: tty, stdin: stdin ? await makeStdin(parts, id, undo) : "", ...outputs };
}

/** Removes the FIFO of a container's input. */
export async function removeStdin(parts: Parts, id: string): Promise<void> {
  await rm(stdinFifo(parts.stateDir, id), { force: true });
}

/** Anew for each run: what was written to an earlier one and not read is not for this one. */
async function makeStdin(parts: Parts, id: string, undo: Undo): Promise<string> {
  const path = stdinFifo(parts.stateDir, id);
  await removeStdin(parts, id);
  undo.defer(() => removeStdin(parts, id));
  await makeFifos(dirname(path), [basename(path)]);
  return path;
}

/**
 * The same file by another spelling for stderr: with one name for both streams, the shim opens it once and closes it when
 * the first of them ends, and what is left of the other (a dying process's last words) is lost.
 */
function fileLog(output: string): Pick<Stdio, "stdout" | "stderr"> {
  return { stdout: output, stderr: `${dirname(output)}/./${basename(output)}` };
}

/**
 * A shim can't have a terminal's output in a file itself, but passes it on to a program of the node (containerd's logging
 * URI `binary://`): its descriptor 3 is the output, 4 is of no use with a terminal, and closing 5 says that it is ready.
 * It is a child of the shim, and ends with the output. Appends, so that the file may be truncated; should the disk be
 * full, it goes on when there is room, rather than leaving the terminal to nobody.
 */
function terminalLog(output: string): string {
  const script = `exec >>${quoted(output)} 4<&- 5>&- && cd / && until cat <&3; do sleep 1; done`;
  return `binary:///bin/sh?-c=${encodeURIComponent(script)}`;
}

/** As one word of a shell's. */
function quoted(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}
