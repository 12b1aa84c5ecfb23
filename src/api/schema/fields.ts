/**
 * The vocabulary the resource's schema is written in: TypeBox types that are at the same time structural schemas of
 * apiextensions.k8s.io/v1. Every string, list and map is bounded, because the API server estimates the cost of a CEL
 * rule from these bounds and refuses a CRD whose rules could be expensive.
 */
import { Type, type TSchema } from "typebox";

/** A cross-field rule: CEL as Kubernetes 1.25 knows it, and the sentence a person reads when it does not hold. */
export type Rule = {
  /** CEL over `self`; a rule that names `oldSelf` is checked on an update only. */
  rule: string;
  message: string;
  /** The field at fault below the one the rule stands at, for the agent's errors; Kubernetes 1.25 cannot say it. */
  at?: string;
};

/** The form of a string: a pattern that RE2 and JavaScript read alike, and its meaning in words. */
export type Form = { pattern: string; says: string };

type Common = { rules?: Rule[] };

/** Keyword of the agent's own, left out of the CRD: a pattern's meaning in words. */
export const PATTERN_SAYS = "x-berth-pattern-says";
/** Keyword of the agent's own, left out of the CRD: an object that has other fields, too, which the API server checks. */
export const OPEN = "x-berth-open";

const validations = (rules: Rule[] | undefined) => (rules ? { "x-kubernetes-validations": rules } : {});
const formOf = (form: Form | undefined) => (form ? { pattern: form.pattern, [PATTERN_SAYS]: form.says } : {});

export const optional = Type.Optional;

/** A string of at most `max` characters (253 unless told, the longest name Kubernetes has). */
export function text(
  description: string,
  { max = 253, min, form, default: value, rules }: Common & TextOptions = {},
): ReturnType<typeof Type.String> {
  return Type.String({
    description,
    ...(min === undefined ? {} : { minLength: min }),
    maxLength: max,
    ...formOf(form),
    ...(value === undefined ? {} : { default: value }),
    ...validations(rules),
  });
}
type TextOptions = { max?: number; min?: number; form?: Form; default?: string };

/** One of the given words. */
export function word<const T extends string>(description: string, values: readonly T[], value?: NoInfer<T>) {
  return Type.Unsafe<T>({
    type: "string",
    enum: values,
    description,
    ...(value === undefined ? {} : { default: value }),
  });
}

export function flag(description: string, value?: boolean) {
  return Type.Boolean({ description, ...(value === undefined ? {} : { default: value }) });
}

/** An integer between the bounds, both included. */
export function whole(
  description: string,
  { min, max, default: value, format = "int32" }: { min: number; max: number; default?: number; format?: string },
) {
  const preset = value === undefined ? {} : { default: value };
  return Type.Integer({ description, format, minimum: min, maximum: max, ...preset });
}

/** A moment as the API server writes it (RFC 3339); Berth writes at least milliseconds. */
export const moment = (description: string) => Type.String({ description, format: "date-time", maxLength: 64 });

/** Number or string; the bounds hold for the number, the form and length for the string. */
export function intOrString(
  description: string,
  { form, value, ...bounds }: { form: Form; value?: string; minimum: number; maximum?: number; maxLength: number },
) {
  return Type.Unsafe<string | number>({
    "x-kubernetes-int-or-string": true,
    description,
    ...bounds,
    ...formOf(form),
    ...(value === undefined ? {} : { default: value }),
  });
}

/** An amount in Kubernetes' notation: "0.5", 500m, 64Mi, 2Gi. */
export const quantity = (description: string, value?: string) =>
  intOrString(description, { form: QUANTITY, minimum: 0, maxLength: 64, ...(value === undefined ? {} : { value }) });

/** A length of time as metav1.Duration writes it: 30s, 1m30s, 500ms. */
export const duration = (description: string) => text(description, { max: 32, form: DURATION });

/** A list that is replaced as a whole; `keys` makes it a map by those fields, `set` a set of scalars. */
export function list<T extends TSchema>(
  description: string,
  items: T,
  { max, min, keys, set = false, rules }: Common & { max: number; min?: number; keys?: string[]; set?: boolean },
) {
  const kind = keys
    ? { "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": keys }
    : { "x-kubernetes-list-type": set ? "set" : "atomic" };
  return Type.Array(items, {
    description,
    ...(min === undefined ? {} : { minItems: min }),
    maxItems: max,
    ...kind,
    ...validations(rules),
  });
}

/** An object with named fields; `preset` is what it is when it is left out, besides its fields' defaults. */
export function object<T extends Record<string, TSchema>>(
  description: string,
  properties: T,
  { rules, preset, atomic = false }: Common & { preset?: object; atomic?: boolean } = {},
) {
  return Type.Object(properties, {
    description,
    ...(preset ? { default: preset } : {}),
    ...(atomic ? { "x-kubernetes-map-type": "atomic" } : {}),
    ...validations(rules),
  });
}

/** The name of an object in the same namespace. */
export const objectName = (description: string) => text(description, { min: 1, form: DNS_SUBDOMAIN });
/** The name of something inside an object: a volume, another Container. */
export const labelName = (description: string) => text(description, { min: 1, max: 63, form: DNS_LABEL });

// A path's segment that is not "..": empty, ".", or anything else; RE2 has no lookahead to say it shorter.
const segment = (not: string) => `(\\.|[^/.${not}][^/${not}]*|\\.[^/.${not}][^/${not}]*|\\.\\.[^/${not}]+)`;

export const DNS_LABEL: Form = {
  pattern: "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$",
  says: "must be a DNS label: lower case letters, digits and '-', beginning and ending with a letter or digit",
};
export const DNS_SUBDOMAIN: Form = {
  pattern: "^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$",
  says: "must be a DNS name: lower case letters, digits, '-' and '.', each part beginning and ending with a letter or digit",
};
export const HOST_NAME: Form = {
  pattern: "^[a-zA-Z0-9]([-a-zA-Z0-9]*[a-zA-Z0-9])?(\\.[a-zA-Z0-9]([-a-zA-Z0-9]*[a-zA-Z0-9])?)*$",
  says: "must be a host name: letters, digits, '-' and '.', each part beginning and ending with a letter or digit",
};
export const QUANTITY: Form = {
  pattern: "^\\+?([0-9]+(\\.[0-9]*)?|\\.[0-9]+)([KMGTPE]i|[numkMGTPE]|[eE][-+]?[0-9]{1,3})?$",
  says: "must be a quantity such as 500m, 0.5, 64Mi or 2Gi",
};
export const DURATION: Form = {
  pattern: "^(0|([0-9]+(\\.[0-9]+)?(ms|s|m|h))+)$",
  says: "must be a duration such as 500ms, 30s or 1m30s",
};
export const ABSOLUTE_PATH: Form = {
  pattern: `^(/${segment("")}?)+$`,
  says: "must be an absolute path without '..'",
};
export const MOUNT_PATH: Form = {
  pattern: `^(/${segment(":")}?)+$`,
  says: "must be an absolute path without '..' and ':'",
};
export const RELATIVE_PATH: Form = {
  pattern: `^${segment("")}(/${segment("")}?)*$`,
  says: "must be a relative path without '..'",
};
/** As core/v1 for the files of a volume: names that begin so are the volume's own. */
export const FILE_PATH: Form = {
  pattern: `^(\\.|[^/.][^/]*|\\.[^/.][^/]*)(/${segment("")}?)*$`,
  says: "must be a relative path that does not begin with '..' and has no '..' in it",
};
export const ENV_NAME: Form = {
  pattern: "^[ -<>-~]+$",
  says: "must be a name of printable ASCII characters other than '='",
};
export const IP_ADDRESS: Form = {
  pattern:
    "^(((25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])\\.){3}(25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])|[0-9a-fA-F:]*:[0-9a-fA-F:.]*)$",
  says: "must be an IP address such as 10.0.0.1 or fd00::1",
};
