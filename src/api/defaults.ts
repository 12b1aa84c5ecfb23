/** Defaults: those the schema states, and those that depend on other fields. */
import { asNode, isFields, type SchemaNode } from "./schema/node.ts";
import { containerSpec } from "./schema/spec.ts";
import type { ContainerSpec, ImagePullPolicy } from "./types.ts";

/** What has been filled in before: a spec is looked at many times, and never written to. */
const complete = new WeakMap<ContainerSpec, ContainerSpec>();

/**
 * A copy of the spec with the schema's defaults filled in, nested ones too, by the API server's rule: a default applies
 * where the field is absent (or null) and the object that holds it is present. Idempotent, and the same copy each time:
 * neither it nor the spec may be changed any more.
 */
export function withDefaults(spec: ContainerSpec): ContainerSpec {
  const known = complete.get(spec);
  if (known !== undefined) return known;
  const filled = fill(asNode(containerSpec), spec) as ContainerSpec;
  complete.set(spec, filled).set(filled, filled);
  return filled;
}

/** A deep copy of `value` with the defaults of `schema`; what does not fit the schema is copied as it is. */
export function fill(schema: SchemaNode, value: unknown): unknown {
  const { items, properties } = schema;
  if (Array.isArray(value)) return value.map((item: unknown) => (items ? fill(items, item) : structuredClone(item)));
  if (!isFields(value) || !properties) return structuredClone(value);
  const filled: Record<string, unknown> = {};
  for (const [name, field] of Object.entries(value)) {
    const known = Object.hasOwn(properties, name) ? properties[name] : undefined;
    if (field === undefined || (field === null && known?.default !== undefined)) continue;
    filled[name] = known ? fill(known, field) : structuredClone(field);
  }
  for (const [name, field] of Object.entries(properties)) {
    if (field.default !== undefined && !Object.hasOwn(filled, name)) filled[name] = fill(field, field.default);
  }
  return filled;
}

/**
 * When the registry is asked for the image: as given, else Always for the tag `latest` or none, IfNotPresent for any other
 * tag and for a digest, which can't come to mean another image (Kubernetes' rule).
 */
export function imagePullPolicy({ image, imagePullPolicy: given }: ContainerSpec): ImagePullPolicy {
  if (given !== undefined) return given;
  if (image.includes("@")) return "IfNotPresent";
  const name = image.slice(image.lastIndexOf("/") + 1);
  const tag = name.includes(":") ? name.slice(name.lastIndexOf(":") + 1) : "latest";
  return tag === "latest" ? "Always" : "IfNotPresent";
}

/** The host name in the container: as given, else the Container's name. */
export function hostname({ name, spec }: { name: string; spec: Pick<ContainerSpec, "hostname"> }): string {
  return spec.hostname ?? name;
}
