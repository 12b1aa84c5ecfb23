#!/usr/bin/env -S node --max-semi-space-size=2 --optimize-for-size
/**
 * The command line: one subcommand a process. The flags above are the agent's wherever it runs (image/berth and the tests take
 * them from there): what it keeps is small, and each program that it starts costs the more the more memory it has. Measured
 * in docs/performance.
 */
import { randomUUID } from "node:crypto";
import { Command, InvalidArgumentError } from "commander";
import type { Logger } from "pino";
import { addExec } from "./cli/exec.ts";
import { addInspect } from "./cli/inspect.ts";
import { addLogs } from "./cli/logs.ts";
import { configOf } from "./cli/node.ts";
import { addPs } from "./cli/ps.ts";
import { addVolume } from "./cli/volume.ts";
import { addFlags, type Config } from "./config.ts";
import {
  addControllerFlags,
  addUninstallFlags,
  readControllerConfig,
  readUninstallConfig,
  type ClientConfig,
} from "./controller/config.ts";
import { createLogger } from "./telemetry/index.ts";
import { VERSION } from "./version.ts";

/** Milliseconds from the signal to the end of the process, whatever holds it up: less than the 5 s that are promised. */
const END_BOUND_MS = 4800;

const program = new Command("berth")
  .description("Docker's start, as a Kubernetes API: containers on this node's containerd, declared with kubectl.")
  .version(VERSION)
  // An option after the command's own arguments is none of ours: `berth exec web -- ls -l`.
  .enablePositionalOptions();

addFlags(program.command("agent").description("run this node's Containers")).action(async (_, command: Command) => {
  await runAgent(configOf(command));
});

for (const add of [addPs, addInspect, addLogs, addExec, addVolume]) add(program);

addControllerFlags(
  program.command("controller").description("answer for agents that can't, cluster-wide (leader-elected)"),
).action(async (_, command: Command) => {
  const config = settings(command, readControllerConfig);
  await runUntilTold(config, "ending", async ({ logger, onFatal }) => {
    const { Controller } = await import("./controller/controller.ts");
    const onLost = (why: string): void => {
      onFatal(new Error(`leading no more: ${why}`));
    };
    const identity = `${config.podName}_${randomUUID()}`;
    return Controller.start({ config, identity, logger, onLost });
  });
});

addUninstallFlags(
  program.command("uninstall").description("leave no object that only an agent could let go of"),
).action(async (_, command: Command) => {
  const config = settings(command, readUninstallConfig);
  const logger = createLogger({ level: config.logLevel, format: config.logFormat });
  try {
    const { uninstall } = await import("./controller/uninstall.ts");
    await uninstall(config, logger);
  } catch (error) {
    logger.fatal({ err: error }, error instanceof Error ? error.message : String(error));
    process.exitCode = 1;
  }
});

await program.parseAsync();

/** Runs an agent until SIGTERM or SIGINT; the containers it started run on. */
async function runAgent(config: Config): Promise<void> {
  await runUntilTold(config, "ending; containers run on", async ({ logger, onFatal, signal }) => {
    // The commands on the node do without all that it needs, and are quicker for it.
    const { Agent } = await import("./agent.ts");
    const agent = await Agent.start({ config, logger, onFatal, signal });
    logger.info({ node: config.nodeName, containerd: config.containerdAddress }, "agent started");
    return agent;
  });
}

/** What a process that goes on until it is told to end is started with. */
interface Running {
  readonly logger: Logger;
  /** Ends it with exit code 1. */
  readonly onFatal: (error: Error) => void;
  /** Ends the start. */
  readonly signal: AbortSignal;
}

/** Runs what `start` makes until SIGTERM or SIGINT. */
async function runUntilTold(
  { logLevel, logFormat }: Pick<ClientConfig, "logLevel" | "logFormat">,
  farewell: string,
  start: (running: Running) => Promise<{ stop(): Promise<void> }>,
): Promise<void> {
  const logger = createLogger({ level: logLevel, format: logFormat });
  const end = Promise.withResolvers<number>();
  const ending = new AbortController();
  for (const signal of ["SIGTERM", "SIGINT"] as const) {
    process.once(signal, () => {
      logger.info({ signal }, farewell);
      setTimeout(() => {
        logger.error("something holds up the end: it is not waited for");
        process.exit();
      }, END_BOUND_MS).unref();
      ending.abort();
      end.resolve(0);
    });
  }
  const onFatal = (error: Error): void => {
    logger.fatal({ err: error }, error.message);
    end.resolve(1);
  };
  try {
    const running = await start({ logger, onFatal, signal: ending.signal });
    process.exitCode = await end.promise;
    await running.stop();
  } catch (error) {
    if (ending.signal.aborted) return;
    onFatal(error instanceof Error ? error : new Error(String(error)));
    process.exitCode = 1;
  }
}

/** A command's configuration; ends the process when it can't be meant. */
function settings<T>(command: Command, read: (command: Command, env: NodeJS.ProcessEnv) => T): T {
  try {
    return read(command, process.env);
  } catch (error) {
    if (error instanceof InvalidArgumentError) command.error(`error: ${error.message}`);
    throw error;
  }
}
