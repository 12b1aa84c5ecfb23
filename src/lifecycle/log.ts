/** Keeps the rotation of a container's output in step with its runs. */
import { parseQuantity } from "../api/index.ts";
import type { Desired, Instance } from "./decide.ts";
import type { Parts } from "./parts.ts";
import { logFile } from "./task.ts";

const DEFAULT_MAX_SIZE = "10Mi";
const DEFAULT_MAX_FILES = 3;

/** Watches the output of a container that runs, by the limits of its spec; ends that for one that doesn't. */
export function followLog(
  parts: Pick<Parts, "logs" | "logDir">,
  key: string,
  instance: Instance | undefined,
  desired: Desired,
): void {
  if (instance?.task === undefined || desired.kind !== "present") {
    if (instance === undefined || desired.kind !== "present") parts.logs.unwatch(key);
    return;
  }
  const { maxSize = DEFAULT_MAX_SIZE, maxFiles = DEFAULT_MAX_FILES } = desired.spec.logging ?? {};
  parts.logs.watch(key, logFile(parts.logDir, instance.record.applied), { maxSize: parseQuantity(maxSize), maxFiles });
}
