/** The flags of `berth controller` and `berth uninstall`, each also an environment variable `BERTH_<FLAG>`. */
import { hostname } from "node:os";
import { type Command, InvalidArgumentError, Option } from "commander";
import { parseDuration } from "../api/index.ts";
import type { ElectionTiming } from "../kube/index.ts";
import { LOG_FORMATS, LOG_LEVELS, type LogFormat, type LogLevel } from "../telemetry/index.ts";
import type { Patience } from "./standing.ts";

/** What both commands are told. */
export interface ClientConfig {
  readonly kubeconfig?: string;
  readonly logLevel: LogLevel;
  readonly logFormat?: LogFormat;
}

/** The controller's configuration, complete. */
export interface ControllerConfig extends ClientConfig {
  /** Where the agents' Leases are, and its own; the credentials' if absent. */
  readonly namespace?: string;
  /** The pod's name, or the host's. */
  readonly podName: string;
  readonly patience: Patience;
  readonly election: ElectionTiming;
  readonly metricsAddress: string;
}

/** How `berth uninstall` goes about it. */
export interface UninstallConfig extends ClientConfig {
  readonly delete: boolean;
  readonly timeoutMs: number;
}

interface Parsed {
  readonly kubeconfig?: string;
  readonly namespace?: string;
  readonly gracePeriod: number;
  readonly agentlessAfter: number;
  readonly leaseDuration: number;
  readonly renewDeadline: number;
  readonly retryPeriod: number;
  readonly metricsAddress: string;
  readonly logLevel: LogLevel;
  readonly logFormat?: LogFormat;
}

/** Adds the controller's flags to a command. */
export function addControllerFlags(command: Command): Command {
  addClientFlags(command);
  option(command, "namespace", "where the agents' Leases are (default: the credentials')");
  option(command, "grace-period", "how long a node must have no agent, or no Node any more, until it is given up", {
    fallback: "90s",
    parse: duration,
  });
  option(command, "agentless-after", "how long a node must have no agent until its Containers say so", {
    fallback: "30s",
    parse: duration,
  });
  option(command, "lease-duration", "who was not seen to renew for so long may be followed as the leader", {
    fallback: "15s",
    parse: duration,
  });
  option(command, "renew-deadline", "a leader that can't renew for so long ends", { fallback: "10s", parse: duration });
  option(command, "retry-period", "time between two tries to lead", { fallback: "2s", parse: duration });
  return option(command, "metrics-address", "address of /metrics, /healthz and /readyz; empty: none", {
    fallback: ":9470",
  });
}

/** Adds the flags of `berth uninstall` to a command. */
export function addUninstallFlags(command: Command): Command {
  addClientFlags(command);
  command.addOption(
    new Option("--delete", "delete all Containers and checkpoints, and wait until the agents have cleaned up")
      .env(envName("delete"))
      .default(false),
  );
  return option(command, "timeout", "how long to wait", { fallback: "5m", parse: duration });
}

/**
 * The controller's configuration from a command that {@link addControllerFlags} was applied to, once it is parsed.
 * @throws InvalidArgumentError naming the flags that don't go together
 */
export function readControllerConfig(command: Command, env: NodeJS.ProcessEnv): ControllerConfig {
  const parsed = command.opts<Parsed>();
  const namespace = parsed.namespace ?? env["POD_NAMESPACE"];
  const { leaseDuration, renewDeadline, retryPeriod } = parsed;
  if (renewDeadline >= leaseDuration)
    throw new InvalidArgumentError("renew-deadline: must be less than lease-duration, or two could lead at once");
  if (retryPeriod >= renewDeadline)
    throw new InvalidArgumentError("retry-period: must be less than renew-deadline, or nobody could renew in time");
  return {
    ...clientConfig(parsed, env),
    ...(namespace === undefined || namespace === "" ? {} : { namespace }),
    podName: env["POD_NAME"] ?? hostname(),
    patience: { noAgentMs: parsed.agentlessAfter, graceMs: parsed.gracePeriod },
    election: { leaseMs: leaseDuration, renewDeadlineMs: renewDeadline, retryMs: retryPeriod },
    metricsAddress: parsed.metricsAddress,
  };
}

/** The configuration of `berth uninstall`, as {@link readControllerConfig}. */
export function readUninstallConfig(command: Command, env: NodeJS.ProcessEnv): UninstallConfig {
  const parsed = command.opts<Parsed & { delete: boolean; timeout: number }>();
  return { ...clientConfig(parsed, env), delete: parsed.delete, timeoutMs: parsed.timeout };
}

function clientConfig({ kubeconfig, logLevel, logFormat }: Parsed, env: NodeJS.ProcessEnv): ClientConfig {
  const file = kubeconfig ?? env["KUBECONFIG"];
  return {
    ...(file === undefined || file === "" ? {} : { kubeconfig: file }),
    logLevel,
    ...(logFormat === undefined ? {} : { logFormat }),
  };
}

function addClientFlags(command: Command): void {
  option(command, "kubeconfig", "how to reach the API server (default: in-cluster)");
  command.addOption(
    new Option("--log-level <level>", "how much to log").env(envName("log-level")).choices(LOG_LEVELS).default("info"),
  );
  command.addOption(
    new Option("--log-format <format>", "default: pretty on a terminal")
      .env(envName("log-format"))
      .choices(LOG_FORMATS),
  );
}

function option(
  command: Command,
  name: string,
  description: string,
  { fallback, parse }: { fallback?: string; parse?: (value: string) => unknown } = {},
): Command {
  const made = new Option(`--${name} <value>`, description).env(envName(name));
  if (parse !== undefined) made.argParser(parse);
  if (fallback !== undefined) made.default(parse === undefined ? fallback : parse(fallback), fallback);
  return command.addOption(made);
}

function envName(flag: string): string {
  return `BERTH_${flag.replaceAll("-", "_").toUpperCase()}`;
}

/** Milliseconds of a duration such as `90s`. */
function duration(value: string): number {
  try {
    const ms = parseDuration(value);
    if (ms > 0) return ms;
  } catch {
    // Said below.
  }
  throw new InvalidArgumentError("must be a duration of more than nothing, such as 90s or 1m30s");
}
