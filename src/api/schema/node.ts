/** The schema seen as plain JSON Schema, as the walkers (defaults, checks, rules, CRD) read it. */
import type { TSchema } from "typebox";
import type { OPEN, PATTERN_SAYS, Rule } from "./fields.ts";

/** One node of a structural schema. */
export type SchemaNode = {
  readonly type?: "object" | "array" | "string" | "integer" | "boolean";
  readonly description?: string;
  readonly default?: unknown;
  readonly enum?: readonly string[];
  readonly pattern?: string;
  readonly format?: string;
  readonly minLength?: number;
  readonly maxLength?: number;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly minItems?: number;
  readonly maxItems?: number;
  readonly items?: SchemaNode;
  readonly properties?: Readonly<Record<string, SchemaNode>>;
  readonly required?: readonly string[];
  readonly "x-kubernetes-int-or-string"?: boolean;
  readonly "x-kubernetes-list-type"?: "atomic" | "set" | "map";
  readonly "x-kubernetes-list-map-keys"?: readonly string[];
  readonly "x-kubernetes-validations"?: readonly Rule[];
  readonly [PATTERN_SAYS]?: string;
  readonly [OPEN]?: boolean;
};

/** A TypeBox schema as the JSON Schema it is. */
export const asNode = (schema: TSchema): SchemaNode => schema;

export type Fields = Readonly<Record<string, unknown>>;

/** Whether a value is an object with fields: neither null nor a list. */
export function isFields(value: unknown): value is Fields {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** The path of a field below another, as its user writes it. */
export const below = (path: string, field: string): string => (path === "" ? field : `${path}.${field}`);
