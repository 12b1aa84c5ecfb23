// The runtime's side of the Container Network Interface, spec 1.0.0: plugins are programs that get their parameters in
// CNI_* variables and their configuration on stdin, and answer JSON.
import { access, constants } from "node:fs/promises";
import { join } from "node:path";
import { CommandError, run } from "../node/index.ts";
import { executionConfig } from "./config.ts";
import type { NetworkConfigList, PluginConfig, RuntimeConfig } from "./config.ts";
import { CniError, PluginMissingError } from "./errors.ts";

const PLUGIN_TIMEOUT_MS = 60_000;
// Where iptables is, in case the agent's own PATH was cut down.
const SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

export type CniResult = {
  cniVersion: string;
  interfaces?: { name: string; mac?: string; sandbox?: string }[];
  /** `address` with its prefix length; `interface` counts in `interfaces`. */
  ips?: { address: string; gateway?: string; interface?: number }[];
  routes?: { dst: string; gw?: string }[];
  dns?: { nameservers?: string[]; domain?: string; search?: string[]; options?: string[] };
};

/** What identifies one attachment of a container to a network. The same values go to ADD, CHECK and DEL. */
export type CniAttachment = {
  containerId: string;
  /** Path of the network namespace; empty when it is gone (only DEL works then). */
  netns: string;
  ifName: string;
  list: NetworkConfigList;
  runtimeConfig: RuntimeConfig;
  /** `CNI_ARGS`, for plugins that know an argument by no capability: `NAME=value` separated by semicolons. */
  args?: string;
};

type Command = "ADD" | "DEL" | "CHECK" | "VERSION";

/** Runs the plugins found in a list of directories. It remembers nothing: what DEL needs is kept by the caller. */
export class Cni {
  readonly #binDirs: readonly string[];

  constructor(binDirs: readonly string[]) {
    this.#binDirs = binDirs;
  }

  /**
   * The program of a plugin type, from the first directory that has it.
   *
   * @throws PluginMissingError
   */
  async find(type: string): Promise<string> {
    for (const directory of this.#binDirs) {
      const path = join(directory, type);
      try {
        await access(path, constants.X_OK);
        return path;
      } catch {
        // Not here; the next directory may have it.
      }
    }
    throw new PluginMissingError(type, this.#binDirs);
  }

  /**
   * Looks for every plugin of a list, with its IPAM plugin.
   *
   * @throws PluginMissingError
   */
  async require(list: NetworkConfigList): Promise<void> {
    const types = list.plugins.flatMap(({ type, ipam }) => (ipam?.type === undefined ? [type] : [type, ipam.type]));
    await Promise.all(types.map((type) => this.find(type)));
  }

  /**
   * Attaches: each plugin in turn, each with the result of the one before. What plugins before the failing one have set
   * up is left for {@link del} to take down.
   *
   * @throws CniError, PluginMissingError
   */
  async add(attachment: CniAttachment): Promise<CniResult> {
    let result: CniResult | undefined;
    for (const plugin of attachment.list.plugins) {
      result = (await this.#exec("ADD", attachment, plugin, result)) as CniResult;
    }
    return result ?? { cniVersion: attachment.list.cniVersion };
  }

  /**
   * Detaches: every plugin in reverse order with the result of ADD (if it got that far), the others also when one
   * fails. Safe to repeat.
   *
   * @throws the failing plugin's CniError or PluginMissingError, or an AggregateError of several
   */
  async del(attachment: CniAttachment, result: CniResult | undefined): Promise<void> {
    const errors: unknown[] = [];
    // Before 0.4.0 DEL had no prevResult.
    const prevResult = attachment.list.cniVersion.startsWith("0.3.") ? undefined : result;
    for (const plugin of attachment.list.plugins.toReversed()) {
      try {
        await this.#exec("DEL", attachment, plugin, prevResult);
      } catch (error) {
        errors.push(error);
      }
    }
    if (errors.length === 1) throw errors[0];
    if (errors.length > 1) throw new AggregateError(errors, errors.map(String).join("; "));
  }

  /**
   * Asks each plugin whether the attachment is as ADD left it.
   *
   * @throws the CniError of the first plugin that says no
   */
  async check(attachment: CniAttachment, result: CniResult): Promise<void> {
    for (const plugin of attachment.list.plugins) await this.#exec("CHECK", attachment, plugin, result);
  }

  /**
   * The versions of the spec a plugin speaks.
   *
   * @throws CniError, PluginMissingError
   */
  async versions(type: string): Promise<string[]> {
    const answer = await this.#run(type, "VERSION", {}, { cniVersion: "1.0.0" });
    return (answer as { supportedVersions?: string[] }).supportedVersions ?? [];
  }

  #exec(command: Command, attachment: CniAttachment, plugin: PluginConfig, prevResult: object | undefined) {
    const env = {
      CNI_CONTAINERID: attachment.containerId,
      CNI_NETNS: attachment.netns,
      CNI_IFNAME: attachment.ifName,
      ...(attachment.args === undefined ? {} : { CNI_ARGS: attachment.args }),
    };
    return this.#run(
      plugin.type,
      command,
      env,
      executionConfig(attachment.list, plugin, attachment.runtimeConfig, prevResult),
    );
  }

  async #run(type: string, command: Command, env: Record<string, string>, config: object): Promise<unknown> {
    const program = await this.find(type);
    try {
      const { stdout } = await run(program, [], {
        input: JSON.stringify(config),
        // Only what the protocol names, so that a plugin behaves the same whoever started the agent.
        env: {
          PATH: process.env["PATH"] === undefined ? SYSTEM_PATH : `${process.env["PATH"]}:${SYSTEM_PATH}`,
          CNI_COMMAND: command,
          CNI_PATH: this.#binDirs.join(":"),
          ...env,
        },
        timeoutMs: PLUGIN_TIMEOUT_MS,
      });
      return stdout.trim() === "" ? {} : JSON.parse(stdout);
    } catch (error) {
      throw pluginError(type, error);
    }
  }
}

/** The error a plugin answered on stdout, or its last words when it died without one. */
export function pluginError(type: string, error: unknown): CniError {
  if (!(error instanceof CommandError)) return new CniError(type, { msg: `answered no JSON: ${String(error)}` });
  try {
    const answer = JSON.parse(error.stdout) as { code?: number; msg?: string; details?: string } | null;
    if (typeof answer?.msg === "string") return new CniError(type, { ...answer, msg: answer.msg });
  } catch {
    // No answer by the protocol: a crash, a signal, a missing library.
  }
  return new CniError(type, { msg: error.message });
}
