/** Whether an object may be acted on: the API server's checks, for servers that are too old to make them all. */
import { check, invalid, required, unknownValue } from "./check.ts";
import { fill } from "./defaults.ts";
import { parseQuantity } from "./notation.ts";
import { broken, brokenByChange } from "./rules.ts";
import { asNode, isFields, type SchemaNode } from "./schema/node.ts";
import { container, containerCheckpoint } from "./schema/objects.ts";
import { containerSpec } from "./schema/spec.ts";
import type { ContainerSpec, FieldError, Resources } from "./types.ts";
import { filePartPaths, filePaths, mountPaths } from "./volume-paths.ts";

const SCHEMAS: ReadonlyMap<string, SchemaNode> = new Map([
  ["Container", asNode(container)],
  ["ContainerCheckpoint", asNode(containerCheckpoint)],
]);

/**
 * All that is wrong with a Container or ContainerCheckpoint, in the API server's words. The rules over several fields are
 * checked once the structure is right, on the object with its defaults, as the server does. The status is the agent's own
 * and not looked at.
 */
export function validate(object: unknown): FieldError[] {
  if (!isFields(object)) return [invalid("", object, "must be an object")];
  const { kind } = object;
  const schema = typeof kind === "string" ? SCHEMAS.get(kind) : undefined;
  if (!schema) return [kind === undefined ? required("kind") : unknownValue("kind", kind, [...SCHEMAS.keys()])];
  const { status: _status, ...rest } = object;
  const structure = check(schema, rest, "");
  if (structure.length > 0) return structure;
  const complete = fill(schema, rest);
  const spec = isFields(complete) ? complete["spec"] : undefined;
  const { resources, volumes, volumeMounts } = spec as ContainerSpec;
  return [
    ...broken(schema, complete, ""),
    ...limitsBelowRequests(resources),
    ...mountPaths(volumeMounts),
    ...filePaths(volumes),
    ...filePartPaths(volumes, volumeMounts),
  ];
}

/**
 * What a change of the spec may not change: `nodeName`. For who sees both specs; the agent, which sees the
 * new one alone, goes by `status.nodeName`.
 */
export function validateUpdate(before: ContainerSpec, after: ContainerSpec): FieldError[] {
  return brokenByChange(asNode(containerSpec), before, after, "spec");
}

/** Limits must not be below requests (core/v1's rule); CEL can't compare quantities before Kubernetes 1.29. */
function limitsBelowRequests(resources: Resources = {}): FieldError[] {
  return (["cpu", "memory"] as const).flatMap((name) => {
    const [request, limit] = [resources.requests?.[name], resources.limits?.[name]];
    if (request === undefined || limit === undefined || parseQuantity(request) <= parseQuantity(limit)) return [];
    return [
      invalid(
        `spec.resources.requests.${name}`,
        request,
        `must be less than or equal to the ${name} limit of ${limit}`,
      ),
    ];
  });
}
