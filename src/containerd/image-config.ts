import { createHash } from "node:crypto";

/** An image's healthcheck (Docker's addition to the OCI image specification); durations are in nanoseconds. */
export interface ImageHealthcheck {
  Test?: string[];
  Interval?: number;
  Timeout?: number;
  StartPeriod?: number;
  StartInterval?: number;
  Retries?: number;
}

/** How an image wants to be run: `config` in the OCI image specification. What the image leaves empty is absent. */
export interface OciImageConfig {
  User?: string;
  ExposedPorts?: Record<string, unknown>;
  Env?: string[];
  Entrypoint?: string[];
  Cmd?: string[];
  Volumes?: Record<string, unknown>;
  WorkingDir?: string;
  Labels?: Record<string, string>;
  StopSignal?: string;
  Healthcheck?: ImageHealthcheck;
  /** What a healthcheck of the form CMD-SHELL is run by (Docker's addition, too). */
  Shell?: string[];
}

/** What Berth reads of an image's configuration blob. */
export interface ImageConfiguration {
  readonly os: string | undefined;
  readonly architecture: string | undefined;
  readonly diffIDs: readonly string[];
  readonly config: OciImageConfig;
}

type Json = Record<string, unknown>;

const isRecord = (value: unknown): value is Json =>
  typeof value === "object" && value !== null && !Array.isArray(value);
const isString = (value: unknown): value is string => typeof value === "string";
const isStrings = (value: unknown): value is string[] => Array.isArray(value) && value.every(isString);
const isNumber = (value: unknown): value is number => typeof value === "number";
const isStringMap = (value: unknown): value is Record<string, string> =>
  isRecord(value) && Object.values(value).every(isString);

/** Reads a configuration blob. Images are made by others: a field of another type than specified (null, mostly) counts as absent. */
export function parseImageConfiguration(json: unknown): ImageConfiguration {
  const blob = isRecord(json) ? json : {};
  const rootfs = isRecord(blob.rootfs) ? blob.rootfs : {};
  return {
    os: isString(blob.os) ? blob.os : undefined,
    architecture: isString(blob.architecture) ? blob.architecture : undefined,
    diffIDs: isStrings(rootfs.diff_ids) ? rootfs.diff_ids : [],
    config: isRecord(blob.config) ? parseConfig(blob.config) : {},
  };
}

function parseConfig(json: Json): OciImageConfig {
  return {
    ...field(json, "User", isString),
    ...field(json, "ExposedPorts", isRecord),
    ...field(json, "Env", isStrings),
    ...field(json, "Entrypoint", isStrings),
    ...field(json, "Cmd", isStrings),
    ...field(json, "Volumes", isRecord),
    ...field(json, "WorkingDir", isString),
    ...field(json, "Labels", isStringMap),
    ...field(json, "StopSignal", isString),
    ...field(json, "Shell", isStrings),
    ...(isRecord(json.Healthcheck) ? { Healthcheck: parseHealthcheck(json.Healthcheck) } : {}),
  };
}

function parseHealthcheck(json: Json): ImageHealthcheck {
  return {
    ...field(json, "Test", isStrings),
    ...field(json, "Interval", isNumber),
    ...field(json, "Timeout", isNumber),
    ...field(json, "StartPeriod", isNumber),
    ...field(json, "StartInterval", isNumber),
    ...field(json, "Retries", isNumber),
  };
}

function field<K extends string, T>(json: Json, key: K, is: (value: unknown) => value is T): Partial<Record<K, T>> {
  const value = json[key];
  // TypeScript widens a computed key to string.
  return is(value) ? ({ [key]: value } as Record<K, T>) : {};
}

/**
 * The chain id of an image's layers, by which its unpacked filesystem is found among the snapshots (OCI image
 * specification, "Layer ChainID"). Empty for an image without layers.
 */
export function chainID(diffIDs: readonly string[]): string {
  const [first = "", ...rest] = diffIDs;
  return rest.reduce(
    (chain, diffID) => `sha256:${createHash("sha256").update(`${chain} ${diffID}`).digest("hex")}`,
    first,
  );
}
