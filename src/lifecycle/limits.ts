/** What the node's limits (full disks, open files) mean for a start that failed, and for a container that runs. */
import type { Container } from "../api/index.ts";
import { ContainerdError } from "../containerd/index.ts";
import { hasTooManyFiles, isDiskFull } from "../node/index.ts";
import { StartError } from "../oci/index.ts";
import type { Instance } from "./decide.ts";
import type { Parts } from "./parts.ts";

/** The condition of a container that a full disk concerns, named as the Node's is. */
export const DISK_PRESSURE = "DiskPressure";

/** Why a condition holds. */
export interface Pressure {
  readonly reason: string;
  readonly message: string;
}

/**
 * What a full disk means for a container: while that of the logs is full, the output of those that run is not kept. An Event
 * says so when the status does not yet.
 */
export function pressureOf(
  parts: Pick<Parts, "disks" | "announce">,
  { metadata, status }: Container,
  instance: Instance | undefined,
): Pressure | undefined {
  const log = parts.disks.full.find(({ roles }) => roles.has("log"));
  if (log === undefined || instance?.task === undefined) return undefined;
  const message = `The disk of the logs is full: ${log.words}. What the container writes to its output is lost or waits. Make room there, and it goes on by itself.`;
  const isTold = status?.conditions?.some(({ type }) => type === DISK_PRESSURE) ?? false;
  if (!isTold) parts.announce(metadata, "Warning", "LogDiskFull", message);
  return { reason: "LogDiskFull", message };
}

/** A failed start, with what can be done about a limit of the node that it has met. */
export interface Explained {
  readonly error: StartError;
  /** Room was made: another try need not wait. */
  readonly again: boolean;
}

/** Has room made, if that was why a start failed, and says in its verdict which disk is full and what to do. */
export async function explainLimits(parts: Pick<Parts, "disks" | "images">, error: StartError): Promise<Explained> {
  if (isDiskFull(error)) {
    const advice = await fullDisks(parts);
    return { error: withAdvice(error, advice), again: await parts.images.look(isContainerds(error)) };
  }
  const advice = "raise the agent's limit of open files (LimitNOFILE, ulimit -n)";
  return { error: hasTooManyFiles(error) ? withAdvice(error, advice) : error, again: false };
}

function withAdvice(error: StartError, advice: string): StartError {
  const { failure } = error;
  if (advice === "") return error;
  return new StartError({ ...failure, message: `${failure.message}: ${advice}` }, { cause: error });
}

/** Whether it was containerd that had no room. */
function isContainerds(error: unknown): boolean {
  return error instanceof ContainerdError || (error instanceof Error && isContainerds(error.cause));
}

async function fullDisks({ disks }: Pick<Parts, "disks">): Promise<string> {
  await disks.look();
  const words = disks.full.map((disk) => disk.words);
  return words.length === 0 ? "" : `${words.join("; ")}. Make room there; it is tried again`;
}
