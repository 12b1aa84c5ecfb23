/** How a run ended, and the signals that end one. */
import { constants } from "node:os";
import { SpecError } from "./errors.ts";

/** containerd's, and Berth's, exit status where the real one can't be known. */
export const UNKNOWN_EXIT_STATUS = 255;

const SIGRTMIN = 34;
const SIGRTMAX = 64;
const DEFAULT_STOP_SIGNAL = "SIGTERM";

export interface EndReason {
  readonly reason: "Completed" | "Error" | "OOMKilled";
  readonly exitCode: number;
}

/**
 * The reason of an end. The exit status is the process's own, 128 + n when signal n killed it (the runtime's rule). As in
 * Docker, the kernel's killing of any process of the container counts, also of a child whose parent then ended with 0.
 */
export function endReason(exitStatus: number, oomKilled: boolean): EndReason {
  if (oomKilled) return { reason: "OOMKilled", exitCode: exitStatus };
  return { reason: exitStatus === 0 ? "Completed" : "Error", exitCode: exitStatus };
}

/**
 * A signal's number, from `SIGTERM`, `TERM`, `15` or, for real-time signals, `SIGRTMIN+3` and `SIGRTMAX-2` (Docker takes
 * the same forms, in any case); undefined for what is no signal.
 */
export function signalNumber(signal: string): number | undefined {
  const text = signal.trim().toUpperCase();
  if (/^\d+$/.test(text)) return inRange(Number(text), 1);
  const name = text.startsWith("SIG") ? text : `SIG${text}`;
  const known = Object.entries(constants.signals).find(([knownName]) => knownName === name);
  return known?.[1] ?? realtimeSignal(name);
}

function realtimeSignal(name: string): number | undefined {
  const match = /^SIGRT(?:MIN(?:\+(\d+))?|MAX(?:-(\d+))?)$/.exec(name);
  if (match === null) return undefined;
  const number = name.startsWith("SIGRTMIN") ? SIGRTMIN + Number(match[1] ?? 0) : SIGRTMAX - Number(match[2] ?? 0);
  return inRange(number, SIGRTMIN);
}

function inRange(number: number, lowest: number): number | undefined {
  return number >= lowest && number <= SIGRTMAX ? number : undefined;
}

/** A signal's name, for a message: `SIGKILL`, `SIGRTMIN+3`, or the bare number where it has none. */
export function signalName(number: number): string {
  const known = Object.entries(constants.signals).find(([, knownNumber]) => knownNumber === number);
  if (known !== undefined) return known[0];
  if (number === SIGRTMIN) return "SIGRTMIN";
  return number > SIGRTMIN && number <= SIGRTMAX ? `SIGRTMIN+${number - SIGRTMIN}` : String(number);
}

/**
 * The number of the signal that asks a container to stop: the spec's, else the image's, else SIGTERM. A signal of the
 * image's that can't be read counts as none, as in Docker.
 *
 * @throws SpecError when the spec's is no signal
 */
export function stopSignal(wished: string | undefined, image: string | undefined): number {
  if (wished !== undefined && wished !== "") {
    const number = signalNumber(wished);
    if (number !== undefined) return number;
    throw new SpecError(
      "spec.stopSignal",
      `"${wished}" is no signal: give a name (SIGTERM, SIGRTMIN+3) or a number from 1 to 64`,
    );
  }
  return signalNumber(image ?? "") ?? signalNumber(DEFAULT_STOP_SIGNAL) ?? constants.signals.SIGTERM;
}
