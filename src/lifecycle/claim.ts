/** One agent at a time: what an agent must have for itself before it touches anything of the node. */
import { mkdir, realpath } from "node:fs/promises";
import { hostname } from "node:os";
import { basename, dirname, join } from "node:path";
import type { Logger } from "pino";
import type { Config } from "../config.ts";
import { claimDirectories } from "../node/index.ts";

/** What a claim is made with. */
export interface ClaimSettings {
  readonly config: Pick<Config, "nodeName" | "dataDir" | "stateDir" | "containerdAddress" | "containerdNamespace">;
  /** Told when another agent has the node, and who. */
  readonly onHeld: (why: string) => void;
  readonly signal: AbortSignal;
  readonly logger: Logger;
}

/**
 * Claims data directory, state directory and containerd's namespace for this process, waiting for another agent that has
 * one of them. They are free again as soon as that process is gone, however it ends. Answers whether it had to wait.
 *
 * @throws the signal's reason when it was aborted; Error when a directory can't be made
 */
export async function claimNode({ config, onHeld, signal, logger }: ClaimSettings): Promise<boolean> {
  const { nodeName, dataDir, stateDir } = config;
  const directories = [dataDir, stateDir, await namespaceDirectory(config)];
  const held = new Set<string>();
  await claimDirectories(directories, {
    holder: `the agent of node ${nodeName}, process ${process.pid} on ${hostname()} since ${new Date().toISOString()}`,
    onWaiting: (directory, holder) => {
      held.add(directory);
      const why = `${directory} is in use by ${holder}`;
      logger.error(`another agent runs on this node, waiting for its end: ${why}`);
      onHeld(why);
    },
    signal,
  });
  return held.size > 0;
}

/** Beside containerd's socket, where all agents of this containerd come by, whatever else they are told. */
export async function namespaceDirectory({
  containerdAddress: address,
  containerdNamespace: namespace,
}: Pick<Config, "containerdAddress" | "containerdNamespace">): Promise<string> {
  // containerd makes it just so, should it not have been there yet.
  await mkdir(dirname(address), { recursive: true, mode: 0o711 });
  return join(await realpath(dirname(address)), `berth-${basename(namespace)}`);
}
