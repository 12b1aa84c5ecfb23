/** The schema's cross-field rules, evaluated as the API server evaluates its copy of them. */
import { parse, type ParseResult } from "@marcbachmann/cel-js";
import { invalid } from "./check.ts";
import type { Rule } from "./schema/fields.ts";
import { below, isFields, type SchemaNode } from "./schema/node.ts";
import type { FieldError } from "./types.ts";

/** All rules in `schema` that `value` breaks; it must have the schema's structure and defaults. */
export function broken(schema: SchemaNode, value: unknown, path: string): FieldError[] {
  return walk(schema, value, path, (rule, self) => isTransition(rule) || holds(rule, { self }));
}

/** All transition rules (those that name `oldSelf`) that the change from `old` to `value` breaks. */
export function brokenByChange(schema: SchemaNode, old: unknown, value: unknown, path: string): FieldError[] {
  const kept = (rule: Rule, self: unknown, oldSelf: unknown) =>
    !isTransition(rule) || oldSelf === undefined || holds(rule, { self, oldSelf });
  return walk(schema, value, path, kept, old);
}

/** Every rule of a schema. */
export function rulesOf({ items, properties = {}, ...schema }: SchemaNode): Rule[] {
  const below = [...Object.values(properties), ...(items ? [items] : [])];
  return [...(schema["x-kubernetes-validations"] ?? []), ...below.flatMap(rulesOf)];
}

const isTransition = ({ rule }: Rule): boolean => /\boldSelf\b/.test(rule);

type Test = (rule: Rule, self: unknown, oldSelf: unknown) => boolean;

function walk(schema: SchemaNode, value: unknown, path: string, test: Test, old?: unknown): FieldError[] {
  const errors: FieldError[] = [];
  const rules = schema["x-kubernetes-validations"] ?? [];
  const self = rules.length === 0 ? undefined : celValue(schema, value);
  const oldSelf = rules.length === 0 || old === undefined ? undefined : celValue(schema, old);
  for (const rule of rules) {
    if (test(rule, self, oldSelf)) continue;
    errors.push(invalid(rule.at === undefined ? path : below(path, rule.at), atFault(value, rule.at), rule.message));
  }
  const { items, properties = {} } = schema;
  if (Array.isArray(value) && items) {
    // Items have no old self: the API server pairs them in lists of type map only, where Berth has no transition rule.
    errors.push(...value.flatMap((item, index) => walk(items, item, `${path}[${index}]`, test)));
  }
  if (!isFields(value)) return errors;
  for (const [name, field] of Object.entries(properties)) {
    const before = isFields(old) ? old[name] : undefined;
    if (value[name] !== undefined) errors.push(...walk(field, value[name], below(path, name), test, before));
  }
  return errors;
}

/** The value of the field at fault, for the error to show. */
function atFault(value: unknown, at: string | undefined): unknown {
  if (at === undefined) return value;
  return at.split(".").reduce<unknown>((holder, name) => (isFields(holder) ? holder[name] : undefined), value) ?? value;
}

const parsed = new Map<string, ParseResult>();

/** A rule that can't be evaluated does not hold, as on the API server. */
function holds({ rule }: Rule, variables: Record<string, unknown>): boolean {
  let evaluate = parsed.get(rule);
  if (!evaluate) parsed.set(rule, (evaluate = parse(rule)));
  return evaluate(variables) === true;
}

/** The value as CEL sees it: integers as such, which JavaScript has as BigInt only, and no field that the schema lacks. */
export function celValue(schema: SchemaNode, value: unknown): unknown {
  const { items, properties } = schema;
  if (Array.isArray(value)) return items ? value.map((item) => celValue(items, item)) : value;
  if (isFields(value)) {
    const known = Object.entries(properties ?? {}).filter(
      ([name]) => value[name] !== undefined && value[name] !== null,
    );
    return Object.fromEntries(known.map(([name, field]) => [name, celValue(field, value[name])]));
  }
  return Number.isInteger(value) ? BigInt(value as number) : value;
}
