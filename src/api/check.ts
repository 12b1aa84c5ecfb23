/** Whether a value has the structure its schema asks for, said as the API server says it. */
import { OPEN, PATTERN_SAYS } from "./schema/fields.ts";
import { below, isFields, type Fields, type SchemaNode } from "./schema/node.ts";
import type { FieldError } from "./types.ts";

/** All places where `value` does not fit `schema`; `path` is the field that holds it. */
export function check(schema: SchemaNode, value: unknown, path: string): FieldError[] {
  if (schema["x-kubernetes-int-or-string"]) return checkIntOrString(schema, value, path);
  switch (schema.type) {
    case "object":
      return isFields(value) ? checkFields(schema, value, path) : wrongType(path, value, "an object");
    case "array":
      return Array.isArray(value) ? checkList(schema, value, path) : wrongType(path, value, "a list");
    case "string":
      return typeof value === "string" ? checkString(schema, value, path) : wrongType(path, value, "a string");
    case "integer":
      return Number.isInteger(value)
        ? checkNumber(schema, value as number, path)
        : wrongType(path, value, "an integer");
    case "boolean":
      return typeof value === "boolean" ? [] : wrongType(path, value, "true or false");
    default:
      return [];
  }
}

/** An error in the API server's words: `Invalid value: 70000: must be …`. */
export function invalid(field: string, value: unknown, must: string): FieldError {
  return { field, message: `Invalid value: ${shown(value)}: ${must}` };
}

export const required = (field: string): FieldError => ({ field, message: "Required value" });

export function unknownValue(field: string, value: unknown, known: readonly string[]): FieldError {
  const values = known.map((word) => JSON.stringify(word)).join(", ");
  return { field, message: `Unsupported value: ${shown(value)}: supported values: ${values}` };
}

const wrongType = (path: string, value: unknown, what: string) => [invalid(path, value, `must be ${what}`)];

/** A value as an error shows it: objects by their kind, long texts cut, since a person reads it in one line. */
function shown(value: unknown): string {
  if (isFields(value)) return '"object"';
  if (Array.isArray(value)) return '"array"';
  const json = JSON.stringify(value);
  return json.length > 100 ? `${json.slice(0, 97)}..."` : json;
}

function checkFields(schema: SchemaNode, value: Fields, path: string): FieldError[] {
  const properties = schema.properties ?? {};
  const missing = (schema.required ?? []).filter((name) => value[name] === undefined || value[name] === null);
  const errors = missing.map((name) => required(below(path, name)));
  for (const [name, field] of Object.entries(value)) {
    const known = Object.hasOwn(properties, name) ? properties[name] : undefined;
    if (known) {
      // The API server drops a null where there is a default, and finds it missing where the field is required.
      const absent = field === undefined || (field === null && (known.default !== undefined || missing.includes(name)));
      if (!absent) errors.push(...check(known, field, below(path, name)));
    } else if (!schema[OPEN]) {
      errors.push({ field: below(path, name), message: "unknown field" });
    }
  }
  return errors;
}

function checkList(schema: SchemaNode, value: readonly unknown[], path: string): FieldError[] {
  const errors: FieldError[] = [];
  const { items, minItems = 0, maxItems = Infinity } = schema;
  if (value.length > maxItems)
    errors.push({ field: path, message: `Too many: ${value.length}: must have at most ${maxItems} items` });
  if (value.length < minItems) errors.push(invalid(path, value, `must have at least ${minItems} items`));
  if (items) errors.push(...value.flatMap((item, index) => check(items, item, `${path}[${index}]`)));
  return [...errors, ...duplicates(schema, value, path)];
}

/** Items that a list-type set or map has already. */
function duplicates(schema: SchemaNode, value: readonly unknown[], path: string): FieldError[] {
  const kind = schema["x-kubernetes-list-type"];
  if (kind !== "set" && kind !== "map") return [];
  const keys = schema["x-kubernetes-list-map-keys"] ?? [];
  const identity = (item: unknown) =>
    JSON.stringify(isFields(item) ? Object.fromEntries(keys.map((key) => [key, item[key]])) : item);
  const seen = new Set<string>();
  return value.flatMap((item, index) => {
    const id = identity(item);
    const error = seen.has(id) ? [{ field: `${path}[${index}]`, message: `Duplicate value: ${id}` }] : [];
    seen.add(id);
    return error;
  });
}

function checkString(schema: SchemaNode, value: string, path: string): FieldError[] {
  const { minLength = 0, maxLength = Infinity, pattern } = schema;
  if (schema.enum && !schema.enum.includes(value)) return [unknownValue(path, value, schema.enum)];
  // Characters, not UTF-16 units, as the API server counts them.
  const length = value.length > maxLength ? Array.from(value).length : value.length;
  if (length > maxLength) return [{ field: path, message: `Too long: may not be longer than ${maxLength} characters` }];
  if (length < minLength) return [invalid(path, value, "must not be empty")];
  if (schema.format === "date-time" && Number.isNaN(Date.parse(value)))
    return [invalid(path, value, "must be an RFC 3339 time")];
  if (pattern === undefined || new RegExp(pattern, "u").test(value)) return [];
  return [invalid(path, value, schema[PATTERN_SAYS] ?? `must match ${pattern}`)];
}

function checkNumber(schema: SchemaNode, value: number, path: string): FieldError[] {
  const { minimum = -Infinity, maximum = Infinity } = schema;
  if (value >= minimum && value <= maximum) return [];
  const bounds = maximum === Infinity ? `greater than or equal to ${minimum}` : `between ${minimum} and ${maximum}`;
  return [invalid(path, value, `must be ${bounds}`)];
}

function checkIntOrString(schema: SchemaNode, value: unknown, path: string): FieldError[] {
  if (typeof value === "string") return checkString(schema, value, path);
  if (Number.isInteger(value)) return checkNumber(schema, value as number, path);
  const quoted = typeof value === "number" ? `; write it as "${value}"` : "";
  return wrongType(path, value, `an integer or a string${quoted}`);
}
