/** The check that a container has: the spec's, the image's, and Docker's defaults, in this order, field by field. */
import { type ContainerSpec, parseDuration } from "../api/index.ts";
import type { ImageHealthcheck } from "../containerd/index.ts";
import { SpecError } from "./errors.ts";

/** Docker's defaults. */
const DEFAULT_INTERVAL_MS = 30_000;
const DEFAULT_TIMEOUT_MS = 30_000;
const DEFAULT_START_INTERVAL_MS = 5000;
const DEFAULT_RETRIES = 3;
const DEFAULT_SHELL = ["/bin/sh", "-c"];

const NANOSECONDS_A_MILLISECOND = 1e6;

/** What a check does. Without `host` it asks the container itself. */
export type Probe =
  | { readonly kind: "exec"; readonly args: readonly string[] }
  | {
      readonly kind: "http";
      readonly scheme: "HTTP" | "HTTPS";
      readonly host?: string;
      readonly port: number;
      readonly path: string;
      readonly headers: readonly { readonly name: string; readonly value: string }[];
    }
  | { readonly kind: "tcp"; readonly host?: string; readonly port: number };

/** A check with its rules; times in milliseconds. */
export interface Healthcheck {
  readonly probe: Probe;
  readonly intervalMs: number;
  readonly timeoutMs: number;
  readonly startPeriodMs: number;
  /** Takes the place of the interval in the start period, until the first success. */
  readonly startIntervalMs: number;
  readonly retries: number;
  readonly onUnhealthy: "None" | "Restart";
}

/** What of an image its check follows from. */
export interface ImageCheck {
  readonly healthcheck?: ImageHealthcheck | undefined;
  /** Docker's SHELL, for the check's CMD-SHELL form. */
  readonly shell?: readonly string[] | undefined;
}

/**
 * The check of a container; undefined when neither spec nor image have one, or it is turned off.
 * @throws SpecError when the spec's can't be made
 */
export function healthcheckOf(spec: ContainerSpec, image: ImageCheck): Healthcheck | undefined {
  const wished = spec.healthcheck;
  const probe = specProbe(spec) ?? imageProbe(image);
  if (probe === "none" || probe === undefined) {
    if (probe === undefined && asksForMore(spec)) {
      throw new SpecError(
        "spec.healthcheck",
        "says nothing to check, and the image has no HEALTHCHECK: give exec, httpGet or tcpSocket",
      );
    }
    return undefined;
  }
  const given = image.healthcheck ?? {};
  return {
    probe,
    intervalMs: positive(milliseconds(wished?.interval), nanoseconds(given.Interval)) ?? DEFAULT_INTERVAL_MS,
    timeoutMs: positive(milliseconds(wished?.timeout), nanoseconds(given.Timeout)) ?? DEFAULT_TIMEOUT_MS,
    startPeriodMs: milliseconds(wished?.startPeriod) ?? positive(nanoseconds(given.StartPeriod)) ?? 0,
    startIntervalMs:
      positive(milliseconds(wished?.startInterval), nanoseconds(given.StartInterval)) ?? DEFAULT_START_INTERVAL_MS,
    retries: positive(wished?.retries, given.Retries) ?? DEFAULT_RETRIES,
    onUnhealthy: wished?.onUnhealthy ?? "None",
  };
}

function specProbe(spec: ContainerSpec): Probe | "none" | undefined {
  const { exec, httpGet, tcpSocket } = spec.healthcheck ?? {};
  if (exec !== undefined) {
    const { command } = exec;
    return command.length === 1 && command[0] === "NONE" ? "none" : { kind: "exec", args: command };
  }
  if (httpGet !== undefined) {
    const { scheme = "HTTP", path = "/", httpHeaders: headers = [] } = httpGet;
    return { kind: "http", ...target(spec, "httpGet", httpGet), scheme, path, headers };
  }
  return tcpSocket === undefined ? undefined : { kind: "tcp", ...target(spec, "tcpSocket", tcpSocket) };
}

function target(
  spec: ContainerSpec,
  kind: "httpGet" | "tcpSocket",
  { host, port }: { host?: string; port: number | string },
): { host?: string; port: number } {
  const field = `spec.healthcheck.${kind}`;
  if (host === undefined && spec.network?.mode === "None") {
    throw new SpecError(field, "the container has no address with network.mode None: use exec, or give a host");
  }
  return { port: portNumber(spec, `${field}.port`, port), ...(host === undefined ? {} : { host }) };
}

function portNumber({ ports = [] }: ContainerSpec, field: string, port: number | string): number {
  if (typeof port === "number" || /^\d+$/.test(port)) return Number(port);
  const named = ports.find(({ name }) => name === port);
  if (named === undefined) throw new SpecError(field, `"${port}" is the name of none of spec.ports`);
  return named.containerPort;
}

/** The image's check, by the forms that Docker knows; one of another form counts as none, as there. */
function imageProbe({ healthcheck, shell = DEFAULT_SHELL }: ImageCheck): Probe | "none" | undefined {
  const [form, ...words] = healthcheck?.Test ?? [];
  if (form === "NONE") return "none";
  if (words.length === 0) return undefined;
  if (form === "CMD") return { kind: "exec", args: words };
  return form === "CMD-SHELL" ? { kind: "exec", args: [...shell, ...words] } : undefined;
}

/** Whether a spec says how to check, or what is to follow from it, which makes no sense without a check. */
function asksForMore({ healthcheck }: ContainerSpec): boolean {
  const { interval, timeout, retries, startPeriod, startInterval, onUnhealthy } = healthcheck ?? {};
  return (
    onUnhealthy === "Restart" || [interval, timeout, retries, startPeriod, startInterval].some((x) => x !== undefined)
  );
}

function milliseconds(duration: string | undefined): number | undefined {
  return duration === undefined ? undefined : parseDuration(duration);
}

function nanoseconds(count: number | undefined): number | undefined {
  return count === undefined ? undefined : count / NANOSECONDS_A_MILLISECOND;
}

/** The first that is more than 0, which stands for "not given", as in Docker. */
function positive(...values: readonly (number | undefined)[]): number | undefined {
  return values.find((value) => value !== undefined && value > 0);
}
