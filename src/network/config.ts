// CNI network configurations: the administrator's, read from files, and what of them goes to each plugin
// (CNI spec 1.0.0, sections 1 and 3).
import { readFile, readdir } from "node:fs/promises";
import { extname, join } from "node:path";
import { orMissing } from "../node/index.ts";
import { NetworkError } from "./errors.ts";

/** One plugin's entry in a configuration list. What is not named here is the plugin's own business. */
export type PluginConfig = {
  type: string;
  capabilities?: Record<string, boolean>;
  ipam?: { type?: string; [key: string]: unknown };
  [key: string]: unknown;
};

export type NetworkConfigList = { cniVersion: string; name: string; plugins: PluginConfig[] };

/** A port on the node that leads into the container, as the `portMappings` capability wants it. */
export type PortMapping = {
  hostPort: number;
  containerPort: number;
  protocol: "tcp" | "udp" | "sctp";
  hostIP?: string;
};

/** Arguments of one attachment, by capability; each plugin gets those it declares. */
export type RuntimeConfig = { portMappings?: PortMapping[]; ips?: string[]; mac?: string };

/** Whether a plugin of the list takes arguments of this capability. */
export function hasCapability({ plugins }: NetworkConfigList, capability: keyof RuntimeConfig): boolean {
  return plugins.some(({ capabilities }) => capabilities?.[capability] === true);
}

/**
 * Reads the network called `name` from a directory of `.conflist`, `.conf` and `.json` files (a single plugin's file
 * counts as a list of one). The first file in the order of names wins, as with other CNI runtimes.
 *
 * @throws NetworkError when no file has it, or a file that should is broken
 */
export async function loadNetwork(directory: string, name: string): Promise<NetworkConfigList> {
  const files = (await orMissing(readdir(directory))) ?? [];
  const broken: string[] = [];
  for (const file of files.sort().filter((entry) => [".conflist", ".conf", ".json"].includes(extname(entry)))) {
    try {
      const list = parseNetwork(await readFile(join(directory, file), "utf8"));
      if (list.name === name) return list;
    } catch (error) {
      broken.push(`${file}: ${error instanceof Error ? error.message : String(error)}`);
    }
  }
  const hint = broken.length === 0 ? "" : ` (could not be read: ${broken.join("; ")})`;
  throw new NetworkError(`network ${name}: no CNI configuration with this name in ${directory}${hint}`);
}

/**
 * Parses a configuration list, or the configuration of a single plugin.
 *
 * @throws Error naming the field that is wrong
 */
export function parseNetwork(text: string): NetworkConfigList {
  const parsed: unknown = JSON.parse(text);
  if (!isObject(parsed)) throw new Error("not a JSON object");
  const { cniVersion, name } = parsed;
  if (typeof name !== "string" || name === "") throw new Error("name is missing");
  if (typeof cniVersion !== "string") throw new Error("cniVersion is missing");
  // Lists, and results that can be read as today's, exist since 0.3.0.
  if (/^0\.[0-2]\./.test(cniVersion)) throw new Error(`cniVersion ${cniVersion} is too old, 0.3.0 is needed`);
  const plugins: unknown = parsed["plugins"] ?? [parsed];
  if (!Array.isArray(plugins) || !plugins.every(isPlugin))
    throw new Error("plugins is not a list of objects with a type");
  return { cniVersion, name, plugins };
}

/** What one plugin reads on its standard input (section 3, "Deriving execution configuration from plugin configuration"). */
export function executionConfig(
  list: Pick<NetworkConfigList, "cniVersion" | "name">,
  plugin: PluginConfig,
  runtimeConfig: RuntimeConfig,
  prevResult: object | undefined,
): object {
  const { capabilities, ...config } = plugin;
  const wanted = Object.entries(runtimeConfig).filter(([capability]) => capabilities?.[capability] === true);
  return {
    ...config,
    cniVersion: list.cniVersion,
    name: list.name,
    ...(wanted.length > 0 ? { runtimeConfig: Object.fromEntries(wanted) } : {}),
    ...(prevResult === undefined ? {} : { prevResult }),
  };
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isPlugin(value: unknown): value is PluginConfig {
  return isObject(value) && typeof value["type"] === "string";
}
