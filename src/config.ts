/**
 * The agent's configuration: one table of flags, each also an environment variable `BERTH_<FLAG>` and a key of the YAML
 * file that `--config` names. A flag wins over the environment, the environment over the file, the file over the default.
 */
import { readFileSync } from "node:fs";
import { availableParallelism, hostname } from "node:os";
import { basename, isAbsolute, join } from "node:path";
import type { Command } from "commander";
import { InvalidArgumentError, Option } from "commander";
import { parse } from "yaml";
import { LEVELS, type Level, parseQuantity } from "./api/index.ts";
import { type CgroupLimits, isSlice, podRoot, slicePath } from "./node/index.ts";
import { LOG_FORMATS, LOG_LEVELS, type LogFormat, type LogLevel } from "./telemetry/index.ts";

/** A runtime handler: containerd's name of the runtime, and the options it is given. */
export interface RuntimeHandler {
  /** For example `io.containerd.runc.v2`. */
  readonly type: string;
  /** Options of `containerd.runc.v1.Options`, by their names in containerd's own configuration: `BinaryName`, `Root`, `SystemdCgroup`. */
  readonly options: Readonly<{ BinaryName?: string; Root?: string; SystemdCgroup?: boolean }>;
}

/** The agent's configuration, complete. */
export interface Config {
  readonly nodeName: string;
  readonly kubeconfig?: string;
  readonly containerdAddress: string;
  readonly containerdNamespace: string;
  readonly snapshotter: string;
  readonly stateDir: string;
  readonly dataDir: string;
  readonly logDir: string;
  readonly cniBinDirs: readonly string[];
  readonly cniConfDir: string;
  readonly registryHostsDir?: string;
  readonly bridgeName: string;
  readonly bridgeSubnet: string;
  /** How many networks on it are kept ready for Containers to come, at the most. */
  readonly spareNetworks: number;
  readonly cgroupRoot: string;
  /** What all Containers of the node may have together; what is left out is not bounded. */
  readonly budget: CgroupLimits;
  readonly podSecurityDefault: Level;
  /** Percent of the disk's use: above the first, unused images are deleted until the second is reached. */
  readonly imageGcHigh: number;
  readonly imageGcLow: number;
  readonly concurrency: number;
  readonly metricsAddress: string;
  readonly logLevel: LogLevel;
  readonly logFormat?: LogFormat;
  readonly runtimes: Readonly<Record<string, RuntimeHandler>>;
}

type Values = Record<string, string | undefined>;

/** Starts are bound by the runtime's own work on the CPU: a few more at once than cores keep them busy, many more only add waiting. */
const DEFAULT_CONCURRENCY = Math.max(4, 2 * availableParallelism());

interface Flag {
  readonly name: string;
  readonly description: string;
  readonly fallback?: string;
  /** A second environment variable that is honoured. */
  readonly alsoEnv?: string;
  readonly parse?: (value: string) => string;
}

const FLAGS: readonly Flag[] = [
  {
    name: "node-name",
    description: "the node whose Containers this agent runs",
    fallback: hostname(),
    alsoEnv: "NODE_NAME",
  },
  {
    name: "kubeconfig",
    description: "how to reach the API server (default: in-cluster)",
    alsoEnv: "KUBECONFIG",
    parse: absolute,
  },
  {
    name: "containerd-address",
    description: "containerd's socket",
    fallback: "/run/containerd/containerd.sock",
    parse: absolute,
  },
  { name: "containerd-namespace", description: "containerd's namespace for Berth's containers", fallback: "berth" },
  { name: "snapshotter", description: "containerd's snapshotter", fallback: "overlayfs" },
  { name: "state-dir", description: "what a reboot may lose", fallback: "/run/berth", parse: absolute },
  { name: "data-dir", description: "what a reboot must not lose", fallback: "/var/lib/berth", parse: absolute },
  { name: "log-dir", description: "the containers' output", fallback: "/var/log/berth", parse: absolute },
  {
    name: "cni-bin-dir",
    description: "where CNI plugins are looked for, separated by colons",
    fallback: "/opt/cni/bin:/usr/lib/cni",
    parse: absolutes,
  },
  {
    name: "cni-conf-dir",
    description: "where CNI networks are configured",
    fallback: "/etc/berth/cni",
    parse: absolute,
  },
  {
    name: "registry-hosts-dir",
    description: "folder of hosts.toml files for registries and mirrors (containerd 2.x)",
    parse: absolute,
  },
  { name: "bridge-name", description: "the bridge of the default network", fallback: "berth0", parse: bridgeName },
  { name: "bridge-subnet", description: "its IPv4 subnet", fallback: "10.89.0.0/16", parse: subnet },
  {
    name: "spare-networks",
    description: "how many networks on it, at the most, are kept ready for Containers to come; 0: none",
    fallback: "32",
    parse: spares,
  },
  {
    name: "cgroup-root",
    description: "the cgroup under which all Containers live",
    fallback: "/berth",
    parse: absolute,
  },
  {
    name: "cgroup-cpu",
    description: "CPUs that all Containers may ask for together; empty: as many as they like",
    fallback: "",
    parse: budget(0.001, "1m"),
  },
  {
    name: "cgroup-memory",
    description: "memory that all Containers may have together; empty: no limit",
    fallback: "",
    parse: budget(6 * 1024 * 1024, "6Mi"),
  },
  {
    name: "cgroup-pids",
    description: "processes and threads that all Containers may have together; empty: no limit",
    fallback: "",
    parse: pids,
  },
  {
    name: "pod-security-default",
    description: `the Pod Security level of namespaces without the label: ${LEVELS.join(", ")}`,
    fallback: "privileged",
    parse: oneOf(LEVELS),
  },
  {
    name: "image-gc-high",
    description: "percent of the disk's use from which unused images are deleted; 100: never",
    fallback: "85",
    parse: percent,
  },
  {
    name: "image-gc-low",
    description: "percent of the disk's use until which they are",
    fallback: "80",
    parse: percent,
  },
  {
    name: "concurrency",
    description: "how many Containers are worked on at once",
    fallback: String(DEFAULT_CONCURRENCY),
    parse: positive,
  },
  { name: "metrics-address", description: "address of /healthz and /readyz; empty: none", fallback: "127.0.0.1:9469" },
  { name: "log-level", description: LOG_LEVELS.join(", "), fallback: "info", parse: oneOf(LOG_LEVELS) },
  {
    name: "log-format",
    description: "json or pretty (default: pretty on a terminal)",
    parse: oneOf(LOG_FORMATS),
  },
];

/** The flags of what is done on the node beside the agent: where its things are. */
const NODE_FLAGS = ["containerd-address", "containerd-namespace", "state-dir", "data-dir", "log-dir"];

/** Adds the agent's flags to a command, or those for the commands on the node. */
export function addFlags(command: Command, whose: "agent" | "node" = "agent"): Command {
  for (const flag of FLAGS) {
    if (whose === "node" && !NODE_FLAGS.includes(flag.name)) continue;
    const option = new Option(`--${flag.name} <value>`, flag.description).env(envName(flag.name));
    if (flag.parse !== undefined) option.argParser(flag.parse);
    if (flag.fallback !== undefined) option.default(flag.fallback);
    command.addOption(option);
  }
  return command.addOption(
    new Option("--config <file>", "a YAML file with the same keys, and runtimes").env("BERTH_CONFIG"),
  );
}

/**
 * Reads the configuration from a command that {@link addFlags} was applied to and that has parsed its arguments; what the
 * command has no flag for has its default.
 * @throws InvalidArgumentError naming the key and what would be right
 */
export function readConfig(command: Command, env: NodeJS.ProcessEnv): Config {
  const file = fileValues(command.opts<{ config?: string }>().config);
  const values: Values = {};
  for (const flag of FLAGS) {
    const key = camel(flag.name);
    if (!command.options.some((option) => option.attributeName() === key)) {
      values[key] = flag.fallback;
      continue;
    }
    const source = command.getOptionValueSource(key);
    const given = command.getOptionValue(key) as string | undefined;
    const explicit = source === "cli" || source === "env" ? given : undefined;
    const lower = explicit ?? (flag.alsoEnv === undefined ? undefined : env[flag.alsoEnv]) ?? file.values[flag.name];
    values[key] = lower === undefined || lower === explicit ? (explicit ?? flag.fallback) : parsed(flag, lower);
  }
  return toConfig(values, file.runtimes);
}

function parsed(flag: Flag, value: string): string {
  try {
    return flag.parse === undefined ? value : flag.parse(value);
  } catch (error) {
    throw new InvalidArgumentError(`${flag.name}: "${value}": ${(error as Error).message}`);
  }
}

function toConfig(values: Values, runtimes: Record<string, RuntimeHandler>): Config {
  const { kubeconfig, registryHostsDir, logFormat, cniBinDir, concurrency, imageGcHigh, imageGcLow, ...others } =
    values;
  const { cgroupCpu, cgroupMemory, cgroupPids, spareNetworks, ...rest } = others;
  const gc = { imageGcHigh: Number(imageGcHigh), imageGcLow: Number(imageGcLow) };
  if (gc.imageGcLow >= gc.imageGcHigh)
    throw new InvalidArgumentError(
      `image-gc-low: ${gc.imageGcLow}: must be less than image-gc-high, which is ${gc.imageGcHigh}`,
    );
  checkSlice(rest["cgroupRoot"] ?? "", runtimes);
  return {
    ...(rest as unknown as Config),
    ...(kubeconfig === undefined ? {} : { kubeconfig }),
    ...(registryHostsDir === undefined ? {} : { registryHostsDir }),
    ...(logFormat === undefined ? {} : { logFormat: logFormat as LogFormat }),
    cniBinDirs: (cniBinDir ?? "").split(":").filter((dir) => dir !== ""),
    ...gc,
    budget: budgetOf({ cgroupCpu, cgroupMemory, cgroupPids, cgroupRoot: rest["cgroupRoot"] }),
    spareNetworks: Number(spareNetworks),
    concurrency: Number(concurrency),
    runtimes: { runc: { type: "io.containerd.runc.v2", options: {} }, ...runtimes },
  };
}

function budgetOf({ cgroupCpu, cgroupMemory, cgroupPids, cgroupRoot }: Values): CgroupLimits {
  const limits = {
    ...(isEmpty(cgroupCpu) ? {} : { milliCPU: Math.floor(Math.round(parseQuantity(cgroupCpu) * 1e6) / 1e3) }),
    ...(isEmpty(cgroupMemory) ? {} : { memoryBytes: Math.floor(parseQuantity(cgroupMemory)) }),
    ...(isEmpty(cgroupPids) ? {} : { pids: Number(cgroupPids) }),
  };
  if (cgroupRoot === "/" && Object.keys(limits).length > 0)
    throw new InvalidArgumentError(`cgroup-root: /: can't have a budget, for all processes of the node are in it`);
  return limits;
}

/** A runtime that leaves cgroups to systemd can make them in a slice alone. */
function checkSlice(root: string, runtimes: Record<string, RuntimeHandler>): void {
  if (isSlice(root) && slicePath(basename(root)) !== root)
    throw new InvalidArgumentError(`cgroup-root: ${root}: systemd has this slice at ${slicePath(basename(root))}`);
  const [name] = Object.entries(runtimes).find(([, { options }]) => options.SystemdCgroup === true) ?? [];
  if (name !== undefined && !isSlice(root))
    throw new InvalidArgumentError(
      `cgroup-root: ${root}: must be a slice, for example /berth.slice, for runtime ${name} has SystemdCgroup`,
    );
}

const isEmpty = (value: string | undefined): value is undefined | "" => value === undefined || value === "";

function fileValues(path: string | undefined): { values: Values; runtimes: Record<string, RuntimeHandler> } {
  if (path === undefined) return { values: {}, runtimes: {} };
  const content: unknown = parse(readFileSync(join(podRoot(), path), "utf8")) ?? {};
  if (typeof content !== "object" || Array.isArray(content))
    throw new InvalidArgumentError(`${path}: must be a YAML mapping`);
  const { runtimes, ...values } = content as Record<string, unknown>;
  const known = new Set(FLAGS.map(({ name }) => name));
  for (const [key, value] of Object.entries(values)) {
    if (!known.has(key))
      throw new InvalidArgumentError(`${path}: ${key}: unknown key; known are ${[...known].join(", ")}, runtimes`);
    if (typeof value !== "string" && typeof value !== "number")
      throw new InvalidArgumentError(`${path}: ${key}: must be a string or a number`);
    values[key] = String(value);
  }
  return { values: values as Values, runtimes: runtimeHandlers(path, runtimes ?? {}) };
}

const OPTION_TYPES: Record<string, string> = { BinaryName: "string", Root: "string", SystemdCgroup: "boolean" };

function runtimeHandlers(path: string, runtimes: unknown): Record<string, RuntimeHandler> {
  const handlers: Record<string, RuntimeHandler> = {};
  for (const [name, entry] of Object.entries(mapping(`${path}: runtimes`, runtimes))) {
    const where = `${path}: runtimes.${name}`;
    const { type, options, ...unknown } = mapping(where, entry);
    const stray = Object.keys(unknown)[0];
    if (stray !== undefined) throw new InvalidArgumentError(`${where}.${stray}: unknown key; known are type, options`);
    if (typeof type !== "string")
      throw new InvalidArgumentError(
        `${where}.type: must name a containerd runtime, for example io.containerd.runc.v2`,
      );
    const given = mapping(`${where}.options`, options ?? {});
    for (const [key, value] of Object.entries(given)) {
      const wanted = OPTION_TYPES[key];
      if (wanted === undefined)
        throw new InvalidArgumentError(
          `${where}.options.${key}: unknown key; known are ${Object.keys(OPTION_TYPES).join(", ")}`,
        );
      if (typeof value !== wanted) throw new InvalidArgumentError(`${where}.options.${key}: must be a ${wanted}`);
    }
    handlers[name] = { type, options: given };
  }
  return handlers;
}

function mapping(where: string, value: unknown): Record<string, unknown> {
  if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as Record<string, unknown>;
  throw new InvalidArgumentError(`${where}: must be a mapping`);
}

function envName(flag: string): string {
  return `BERTH_${flag.replaceAll("-", "_").toUpperCase()}`;
}

function camel(flag: string): string {
  return flag.replace(/-([a-z])/g, (_, letter: string) => letter.toUpperCase());
}

function absolute(value: string): string {
  if (!isAbsolute(value)) throw new InvalidArgumentError("must be an absolute path");
  return value;
}

function absolutes(value: string): string {
  value.split(":").forEach(absolute);
  return value;
}

function positive(value: string): string {
  if (!/^[1-9][0-9]{0,3}$/.test(value)) throw new InvalidArgumentError("must be a whole number from 1 to 9999");
  return value;
}

function spares(value: string): string {
  if (!/^[0-9]{1,2}$/.test(value)) throw new InvalidArgumentError("must be a whole number from 0 to 99");
  return value;
}

function percent(value: string): string {
  if (!/^(100|[1-9]?[0-9])$/.test(value)) throw new InvalidArgumentError("must be a whole number from 0 to 100");
  return value;
}

/** A quantity of at least `least`, which `words` names; or nothing, for no budget. */
function budget(least: number, words: string): (value: string) => string {
  return (value) => {
    if (value !== "" && quantityOr(value, 0) < least)
      throw new InvalidArgumentError(`must be a quantity of at least ${words}, or empty for no budget`);
    return value;
  };
}

function quantityOr(value: string, otherwise: number): number {
  try {
    return parseQuantity(value);
  } catch {
    return otherwise;
  }
}

function pids(value: string): string {
  if (!/^([1-9][0-9]{0,6})?$/.test(value))
    throw new InvalidArgumentError("must be a whole number from 1 to 9999999, or empty for no budget");
  return value;
}

function bridgeName(value: string): string {
  if (!/^[^\s/:]{1,15}$/.test(value))
    throw new InvalidArgumentError("must be an interface name of at most 15 characters");
  return value;
}

function subnet(value: string): string {
  const [address, prefix] = value.split("/");
  const octets = (address ?? "").split(".");
  const valid = octets.length === 4 && octets.every((octet) => /^\d{1,3}$/.test(octet) && Number(octet) < 256);
  if (!valid || !/^\d+$/.test(prefix ?? "") || Number(prefix) < 8 || Number(prefix) > 30) {
    throw new InvalidArgumentError("must be an IPv4 subnet with a prefix of 8 to 30, for example 10.89.0.0/16");
  }
  return value;
}

function oneOf(values: readonly string[]): (value: string) => string {
  return (value) => {
    if (!values.includes(value)) throw new InvalidArgumentError(`must be one of ${values.join(", ")}`);
    return value;
  };
}
