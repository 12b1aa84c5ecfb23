/** `spec.ulimits` as the process's resource limits. Without any it has those of the runtime, as in Docker. */
import type { ContainerSpec } from "../api/index.ts";
import { SpecError } from "./errors.ts";
import type { OciRlimit } from "./types.ts";

declare global {
  interface JSON {
    /** Writes a number as given (ES2026; TypeScript's library does not know it yet). */
    rawJSON(text: string): object;
  }
}

/** Docker's names, in setrlimit(2)'s order. */
const NAMES =
  "cpu fsize data stack core rss nproc nofile memlock as locks sigpending msgqueue nice rtprio rttime".split(" ");

/** Means "no limit" in a spec, as in Docker. */
const UNLIMITED = -1;

/** RLIM_INFINITY on the wire: more than a JavaScript number holds exactly, and the runtime takes nothing above it. */
export const RLIM_INFINITY = JSON.rawJSON("18446744073709551615");

/**
 * The limits to set.
 *
 * @throws SpecError for a name there is no limit of, or a soft limit above the hard one
 */
export function rlimits(ulimits: NonNullable<ContainerSpec["ulimits"]>): OciRlimit[] {
  return ulimits.map(({ name, soft, hard }, index) => {
    const field = `spec.ulimits[${index}]`;
    if (!NAMES.includes(name)) {
      throw new SpecError(`${field}.name`, `"${name}" is no resource limit: use one of ${NAMES.join(", ")}`);
    }
    if (hard !== UNLIMITED && (soft === UNLIMITED || soft > hard)) {
      const wanted = soft === UNLIMITED ? "unlimited" : soft;
      throw new SpecError(`${field}.soft`, `${wanted} is above the hard limit (${hard})`);
    }
    return { type: `RLIMIT_${name.toUpperCase()}`, soft: limit(soft), hard: limit(hard) };
  });
}

function limit(value: number): number | object {
  return value === UNLIMITED ? RLIM_INFINITY : value;
}
