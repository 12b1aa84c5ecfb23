/**
 * The environment: core/v1's `env` and `envFrom`, resolved from values that the caller has read, and the list that the
 * process gets, in Docker's order.
 */
import type { ContainerSpec } from "../api/index.ts";
import { expandEnv } from "./command.ts";
import { SpecError } from "./errors.ts";

/** Docker's PATH where the image has none. */
const DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/** What a process with a terminal has. */
export const TERM = "TERM=xterm";

export type EnvSourceKind = "Secret" | "ConfigMap";

/** A Secret or ConfigMap that an environment refers to. */
export interface EnvSource {
  readonly kind: EnvSourceKind;
  readonly name: string;
}

/** What a variable needs and what is not there: the object, or a key of it. */
export interface MissingEnvSource extends EnvSource {
  readonly key?: string;
}

/** Values for references, as text; undefined where the object does not exist. */
export interface EnvLookups {
  readonly secret: (name: string) => Readonly<Record<string, string>> | undefined;
  readonly configMap: (name: string) => Readonly<Record<string, string>> | undefined;
  /** For `fieldRef`. */
  readonly fields: {
    readonly name: string;
    readonly namespace: string;
    readonly uid: string;
    readonly nodeName: string;
  };
}

export interface ResolvedEnv {
  /** In the order of their first mention; a later value of the same name counts. */
  readonly variables: ReadonlyMap<string, string>;
  /** Names of those whose value comes from a Secret, be it by another variable in it. */
  readonly secrets: ReadonlySet<string>;
  /** What is not there and not optional: the start waits for it. */
  readonly missing: readonly MissingEnvSource[];
  /** Keys of `envFrom` sources that make no variable name; core/v1 skips them and tells so in an event. */
  readonly skipped: readonly (EnvSource & { readonly keys: readonly string[] })[];
}

type EnvSpec = Pick<ContainerSpec, "env" | "envFrom">;
type EnvFrom = NonNullable<ContainerSpec["envFrom"]>[number];
type EnvVar = NonNullable<ContainerSpec["env"]>[number];

interface Resolution {
  readonly lookups: EnvLookups;
  readonly variables: Map<string, string>;
  readonly secrets: Set<string>;
  readonly missing: MissingEnvSource[];
  readonly skipped: (EnvSource & { keys: string[] })[];
}

/** The Secrets and ConfigMaps to read before {@link resolveEnv} can be called, each once. */
export function envSources(spec: EnvSpec): EnvSource[] {
  const sources = new Map<string, EnvSource>();
  const add = (kind: EnvSourceKind, name: string | undefined): void => {
    if (name !== undefined) sources.set(`${kind}/${name}`, { kind, name });
  };
  for (const from of spec.envFrom ?? []) {
    add("Secret", from.secretRef?.name);
    add("ConfigMap", from.configMapRef?.name);
  }
  for (const { valueFrom } of spec.env ?? []) {
    add("Secret", valueFrom?.secretKeyRef?.name);
    add("ConfigMap", valueFrom?.configMapKeyRef?.name);
  }
  return [...sources.values()];
}

/**
 * The variables of `envFrom` and `env`, in core/v1's order: `envFrom` first, `env` over it; `$(VAR)` in a value sees the
 * variables before it.
 *
 * @throws SpecError when a fieldRef names a field there is none of
 */
export function resolveEnv(spec: EnvSpec, lookups: EnvLookups): ResolvedEnv {
  const resolution: Resolution = { lookups, variables: new Map(), secrets: new Set(), missing: [], skipped: [] };
  for (const from of spec.envFrom ?? []) addAll(resolution, from);
  for (const [index, variable] of (spec.env ?? []).entries()) addOne(resolution, variable, `spec.env[${index}]`);
  return resolution;
}

function addAll(resolution: Resolution, from: EnvFrom): void {
  const prefix = from.prefix ?? "";
  for (const [kind, ref] of [["ConfigMap", from.configMapRef] as const, ["Secret", from.secretRef] as const]) {
    if (ref === undefined) continue;
    const values = lookUp(resolution, { kind, name: ref.name });
    if (values === undefined) {
      if (ref.optional !== true) resolution.missing.push({ kind, name: ref.name });
      continue;
    }
    // Sorted, so that the same object gives the same spec whatever order the API server answers in.
    const keys = Object.keys(values).sort();
    for (const key of keys.filter((name) => isVariableName(prefix + name))) {
      set(resolution, prefix + key, values[key] ?? "", kind === "Secret");
    }
    const skipped = keys.filter((key) => !isVariableName(prefix + key));
    if (skipped.length > 0) resolution.skipped.push({ kind, name: ref.name, keys: skipped });
  }
}

function addOne(resolution: Resolution, variable: EnvVar, field: string): void {
  const { name, value, valueFrom } = variable;
  if (valueFrom === undefined) {
    const secret = resolution.secrets.values().some((other) => value?.includes(`$(${other})`));
    set(resolution, name, expandEnv(value ?? "", resolution.variables), secret);
    return;
  }
  if (valueFrom.fieldRef !== undefined) {
    set(resolution, name, fieldValue(resolution.lookups.fields, valueFrom.fieldRef.fieldPath, field), false);
    return;
  }
  const found =
    keyValue(resolution, "Secret", valueFrom.secretKeyRef) ??
    keyValue(resolution, "ConfigMap", valueFrom.configMapKeyRef);
  if (found !== undefined) set(resolution, name, found, valueFrom.secretKeyRef !== undefined);
}

function set({ variables, secrets }: Resolution, name: string, value: string, secret: boolean): void {
  variables.set(name, value);
  if (secret) secrets.add(name);
  else secrets.delete(name);
}

/** The value of one key; undefined, and noted as missing unless optional, when it is not there. */
function keyValue(
  resolution: Resolution,
  kind: EnvSourceKind,
  ref: { name: string; key: string; optional?: boolean } | undefined,
): string | undefined {
  if (ref === undefined) return undefined;
  const values = lookUp(resolution, { kind, name: ref.name });
  const value = values !== undefined && Object.hasOwn(values, ref.key) ? values[ref.key] : undefined;
  if (value === undefined && ref.optional !== true) {
    resolution.missing.push({ kind, name: ref.name, ...(values === undefined ? {} : { key: ref.key }) });
  }
  return value;
}

function lookUp({ lookups }: Resolution, { kind, name }: EnvSource): Readonly<Record<string, string>> | undefined {
  return kind === "Secret" ? lookups.secret(name) : lookups.configMap(name);
}

function fieldValue(fields: EnvLookups["fields"], fieldPath: string, field: string): string {
  const values = new Map([
    ["metadata.name", fields.name],
    ["metadata.namespace", fields.namespace],
    ["metadata.uid", fields.uid],
    ["spec.nodeName", fields.nodeName],
  ]);
  const value = values.get(fieldPath);
  if (value !== undefined) return value;
  const known = [...values.keys()].join(", ");
  throw new SpecError(
    `${field}.valueFrom.fieldRef.fieldPath`,
    `"${fieldPath}" can't be referred to: use one of ${known}`,
  );
}

/** core/v1's rule for the name of a variable (`IsEnvVarName`). */
function isVariableName(name: string): boolean {
  return /^[-._a-zA-Z][-._a-zA-Z0-9]*$/.test(name) && name !== "." && !name.startsWith("..");
}

export interface EnvInput {
  readonly hostname: string;
  readonly tty: boolean;
  /** `NAME=value`, as the spec's. */
  readonly image: readonly string[];
  readonly spec: readonly string[];
}

/**
 * The environment of the process: PATH, HOSTNAME, TERM with a terminal, the image's, the spec's; a later value of
 * the same name takes the earlier one's place, and a name without `=` removes it (Docker's rules). HOME is the runtime's
 * to set, from the passwd file, where nobody has set it.
 */
export function processEnv({ hostname, tty, image, spec }: EnvInput): string[] {
  const defaults = [`PATH=${DEFAULT_PATH}`, `HOSTNAME=${hostname}`, ...(tty ? [TERM] : [])];
  return mergeEnv([...defaults, ...image, ...spec]);
}

/** The list with the last value of each name, at the place of the first; a name without `=` removes it (Docker's rule). */
export function mergeEnv(list: readonly string[]): string[] {
  const entries = new Map<string, string>();
  for (const entry of list) {
    const end = entry.indexOf("=");
    if (end === -1) entries.delete(entry);
    else entries.set(entry.slice(0, end), entry);
  }
  return [...entries.values()];
}

/** Variables as a process gets them. */
export function envList(variables: ReadonlyMap<string, string>): string[] {
  return [...variables].map(([name, value]) => `${name}=${value}`);
}

/** The inverse of {@link envList}. */
export function variablesOf(env: readonly string[]): Map<string, string> {
  return new Map(
    env.map((entry) => {
      const end = entry.indexOf("=");
      return end === -1 ? [entry, ""] : [entry.slice(0, end), entry.slice(end + 1)];
    }),
  );
}
