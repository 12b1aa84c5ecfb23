/** Which changes of the spec a running container can take. */
import { isDeepStrictEqual } from "node:util";
import { withDefaults } from "./defaults.ts";
import { isFields, type Fields } from "./schema/node.ts";
import type { ContainerSpec } from "./types.ts";

/** The fields of the spec that change in place. */
export const IN_PLACE_FIELDS = [
  "desiredState",
  "restartPolicy",
  "maxRestarts",
  "resources",
  "pidsLimit",
  "terminationGracePeriodSeconds",
  "stopSignal",
  "healthcheck",
  "logging",
] as const satisfies readonly (keyof ContainerSpec)[];

/**
 * Whether the container has to be recreated for `desired`, because it differs from what was applied in more than the fields
 * that change in place. Defaults count as if they were given, an empty list, object or text as if it were not.
 */
export function recreationNeeded(applied: ContainerSpec, desired: ContainerSpec): boolean {
  // Nearly always nothing at all differs.
  if (isDeepStrictEqual(withDefaults(applied), withDefaults(desired))) return false;
  return !isDeepStrictEqual(fixed(applied), fixed(desired));
}

/**
 * The fields in which a Container may differ from the one whose checkpoint it is restored from: those that are not the
 * restored process's own. Of `network` the mode counts, of `image` the digest, which a spec does not tell.
 */
const RESTORABLE_FIELDS: readonly string[] = [
  ...IN_PLACE_FIELDS,
  "nodeName",
  "image",
  "imagePullPolicy",
  "imagePullSecrets",
  "autoRemove",
  "restoreFrom",
  "ports",
  "cgroupParent",
  "network",
  "volumes",
] satisfies (keyof ContainerSpec)[];

/** The fields of `wished` that a restored process could not follow, because it was started from `taken`. */
export function restoreHindrances(taken: ContainerSpec, wished: ContainerSpec): string[] {
  const [before, after] = [without(RESTORABLE_FIELDS, taken), without(RESTORABLE_FIELDS, wished)];
  const names = new Set([...Object.keys(before), ...Object.keys(after)]);
  const differing = [...names].filter((name) => !isDeepStrictEqual(before[name], after[name])).sort();
  return isDeepStrictEqual(networkOf(taken), networkOf(wished)) ? differing : [...differing, "network.mode"];
}

/** Whose network the process has: its own, with addresses or none, the node's, or another container's. */
function networkOf({ network }: ContainerSpec): unknown {
  const mode = network?.mode ?? "Bridge";
  return mode === "Host" || mode === "Container" ? mode : "its own";
}

function fixed(spec: ContainerSpec): unknown {
  return without(IN_PLACE_FIELDS, spec);
}

function without(fields: readonly string[], spec: ContainerSpec): Fields {
  const entries = Object.entries(withDefaults(spec)).filter(([name]) => !fields.includes(name));
  const pruned = prune(Object.fromEntries(entries));
  return isFields(pruned) ? pruned : {};
}

/** The value without fields that are empty; the order of a list is kept, that of fields does not count. */
function prune(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(prune);
  if (!isFields(value)) return value;
  const fields = Object.entries(value).map(([name, field]) => [name, prune(field)] as const);
  return Object.fromEntries(fields.filter(([, field]) => !isEmpty(field)));
}

function isEmpty(value: unknown): boolean {
  if (Array.isArray(value) || typeof value === "string") return value.length === 0;
  return isFields(value) && Object.keys(value).length === 0;
}
