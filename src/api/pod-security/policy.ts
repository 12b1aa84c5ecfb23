/** Which of the Pod Security Standards holds in a namespace, and what it forbids of a Container. */
import { isDeepStrictEqual } from "node:util";
import { parse, type ParseResult } from "@marcbachmann/cel-js";
import { withDefaults } from "../defaults.ts";
import { IN_PLACE_FIELDS, recreationNeeded } from "../recreation.ts";
import { celValue } from "../rules.ts";
import { asNode } from "../schema/node.ts";
import { containerSpec } from "../schema/spec.ts";
import type { Container, ContainerSpec } from "../types.ts";
import { violations } from "./checks.ts";

export const LEVELS = ["privileged", "baseline", "restricted"] as const;
/** A level of the standards. */
export type Level = (typeof LEVELS)[number];

/** A level at one of its versions. */
export interface PodSecurityPolicy {
  readonly level: Level;
  /** `latest` (all that Berth knows), or `v1.<minor>`. */
  readonly version: string;
}

/** A namespace's labels that choose the level and its version. */
export const ENFORCE = "pod-security.kubernetes.io/enforce";
export const ENFORCE_VERSION = "pod-security.kubernetes.io/enforce-version";

/** A version that is not `latest`; RE2 and JavaScript read it alike. */
export const VERSION_FORM = "^v1[.](0|[1-9][0-9]{0,8})$";
/** The minor version that stands for `latest`: later than all that a label can name. */
export const LATEST_MINOR = 1_000_000_000;

/**
 * What a namespace's labels ask for, by Pod Security admission's rules: `fallback` where no level is given, `restricted` for
 * a level there is none of, `latest` for a version that is none.
 */
export function policyOf(labels: Readonly<Record<string, string>> | undefined, fallback: Level): PodSecurityPolicy {
  const { [ENFORCE]: given = fallback, [ENFORCE_VERSION]: version = "latest" } = labels ?? {};
  const level = LEVELS.find((known) => known === given) ?? "restricted";
  return { level, version: new RegExp(VERSION_FORM).test(version) ? version : "latest" };
}

/** Why a policy forbids a Container, in Pod Security admission's words; undefined when it allows it. */
export function violationOf({ metadata, spec }: Container, policy: PodSecurityPolicy): string | undefined {
  const { level, version } = policy;
  if (level === "privileged") return undefined;
  const object = { metadata: { name: metadata.name }, spec: celValue(asNode(containerSpec), withDefaults(spec)) };
  const minor = version === "latest" ? LATEST_MINOR : Number(version.slice("v1.".length));
  const found = expression(level)({ object, variables: { minor: BigInt(minor) } }) as string[];
  return found.length === 0 ? undefined : `violates PodSecurity "${level}:${version}": ${found.join(", ")}`;
}

const parsed = new Map<Level, ParseResult>();

function expression(level: Exclude<Level, "privileged">): ParseResult {
  const known = parsed.get(level) ?? parse(violations(level));
  parsed.set(level, known);
  return known;
}

/**
 * The fields whose change needs no admission: they leave the container the one it is. The healthcheck is not among them,
 * for it can ask other hosts.
 */
export const ADMITTED_FIELDS = IN_PLACE_FIELDS.filter((field) => field !== "healthcheck");

/** Whether a spec has to be admitted although an earlier one of the same object was: it differs in more than {@link ADMITTED_FIELDS}. */
export function admissionNeeded(admitted: ContainerSpec, wished: ContainerSpec): boolean {
  const healthcheck = (spec: ContainerSpec) => withDefaults(spec).healthcheck;
  return recreationNeeded(admitted, wished) || !isDeepStrictEqual(healthcheck(admitted), healthcheck(wished));
}
