import { isDeepStrictEqual } from "node:util";

type Json = null | boolean | number | string | Json[] | { [key: string]: Json };
type JsonObject = { [key: string]: Json };

function isObject(value: Json | undefined): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** The value as it goes over the wire: without undefined, and without null, which a merge patch can't set. */
function onTheWire(value: object | undefined): JsonObject {
  const text = JSON.stringify(value ?? {}, (_key, entry: unknown) => (entry === null ? undefined : entry));
  return JSON.parse(text) as JsonObject;
}

function difference(before: JsonObject, after: JsonObject): JsonObject | undefined {
  const patch: JsonObject = {};
  for (const key of Object.keys(before)) if (!(key in after)) patch[key] = null;
  for (const [key, value] of Object.entries(after)) {
    const old = before[key];
    if (isObject(old) && isObject(value)) {
      const nested = difference(old, value);
      if (nested !== undefined) patch[key] = nested;
    } else if (!isDeepStrictEqual(old, value)) patch[key] = value;
  }
  return Object.keys(patch).length === 0 ? undefined : patch;
}

/**
 * The smallest JSON merge patch (RFC 7386) that makes `before` into `after`: null for what went, arrays whole, undefined
 * when there is nothing to do. A property that is undefined or null counts as absent.
 */
export function patchFor(before: object | undefined, after: object): object | undefined {
  return difference(onTheWire(before), onTheWire(after));
}
