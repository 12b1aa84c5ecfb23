/** Whether a start that is under way is still wished: it may take long, and what is wished may change under it. */
import { type Container, recreationNeeded, withDefaults } from "../api/index.ts";
import type { Applied } from "./record.ts";
import { refusalOf } from "./refusal.ts";

/** A start was called off; what it had acquired is given back. No verdict on anything. */
export class NoLongerWanted extends Error {
  override readonly name = "NoLongerWanted";

  constructor(id: string) {
    super(`the start of container ${id} is not wanted any more`);
  }
}

/**
 * Whether a container made from `applied` is still to be started, by the object as it is now: not when that is gone or
 * going, wishes for `Stopped`, or for another container. A spec that can't be applied changes nothing.
 */
export function isWanted(
  now: Container | undefined,
  applied: Pick<Applied, "uid" | "spec" | "generation">,
  nodeName: string,
): boolean {
  if (now === undefined || now.metadata.uid !== applied.uid || now.metadata.deletionTimestamp !== undefined)
    return false;
  // The spec that it is made from, still.
  if (now.metadata.generation === applied.generation) return now.spec.desiredState !== "Stopped";
  if (refusalOf(now, nodeName) !== undefined) return true;
  const spec = withDefaults(now.spec);
  return spec.desiredState !== "Stopped" && !recreationNeeded(applied.spec, spec);
}
