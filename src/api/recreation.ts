/** Which changes of the spec a running container can take. */
import { isDeepStrictEqual } from "node:util";
import { withDefaults } from "./defaults.ts";
import { isFields } from "./schema/node.ts";
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
  return !isDeepStrictEqual(fixed(applied), fixed(desired));
}

function fixed(spec: ContainerSpec): unknown {
  const changeable: readonly string[] = IN_PLACE_FIELDS;
  return prune(Object.fromEntries(Object.entries(withDefaults(spec)).filter(([name]) => !changeable.includes(name))));
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
