/** Keeps the rotation of a container's output in step with its runs. */
import { parseQuantity } from "../api/index.ts";
import type { Desired, Instance } from "./decide.ts";
import type { OutputRun } from "./output-rescue.ts";
import type { Parts } from "./parts.ts";
import { logFile } from "./task.ts";

const DEFAULT_MAX_SIZE = "10Mi";
const DEFAULT_MAX_FILES = 3;

const RESCUED =
  "The output could not be written, for the disk of the logs was full, and some of it is lost. It is written again.";

/** Watches the output of a container that runs, by the limits of its spec; ends that for one that doesn't. */
export function followLog(
  parts: Pick<Parts, "logs" | "outputs" | "logDir" | "announce">,
  key: string,
  instance: Instance | undefined,
  desired: Desired,
): void {
  parts.outputs.follow(key, outputRun(parts, instance));
  if (instance?.task === undefined || desired.kind !== "present") {
    if (instance === undefined || desired.kind !== "present") parts.logs.unwatch(key);
    return;
  }
  const { maxSize = DEFAULT_MAX_SIZE, maxFiles = DEFAULT_MAX_FILES } = desired.spec.logging ?? {};
  const { applied } = instance.record;
  parts.logs.watch(key, logFile(parts.logDir, applied), { maxSize: parseQuantity(maxSize), maxFiles }, (words) => {
    parts.announce(applied, "Warning", "OutputLost", words);
    // There is room again, but the shim may have met the disk while it was full.
    parts.outputs.look(key);
  });
}

/** A terminal's output has a shell of its own, which no full disk ends. */
function outputRun(parts: Pick<Parts, "logDir" | "announce">, instance: Instance | undefined): OutputRun | undefined {
  if (instance?.task === undefined || instance.record.applied.spec.tty === true) return undefined;
  const { applied } = instance.record;
  const onRescue = (): void => {
    parts.announce(applied, "Warning", "OutputLost", RESCUED);
  };
  return { pid: instance.task.pid, log: logFile(parts.logDir, applied), onRescue };
}
