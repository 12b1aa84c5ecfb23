#!/usr/bin/env node
/** The command line: one subcommand a process. */
import { Command } from "commander";
import { addExec } from "./cli/exec.ts";
import { addInspect } from "./cli/inspect.ts";
import { addLogs } from "./cli/logs.ts";
import { configOf } from "./cli/node.ts";
import { addPs } from "./cli/ps.ts";
import { addVolume } from "./cli/volume.ts";
import { addFlags, type Config } from "./config.ts";
import { createLogger } from "./telemetry/index.ts";
import { VERSION } from "./version.ts";

const program = new Command("berth")
  .description("Docker's start, as a Kubernetes API: containers on this node's containerd, declared with kubectl.")
  .version(VERSION)
  // An option after the command's own arguments is none of ours: `berth exec web -- ls -l`.
  .enablePositionalOptions();

addFlags(program.command("agent").description("run this node's Containers")).action(async (_, command: Command) => {
  await runAgent(configOf(command));
});

for (const add of [addPs, addInspect, addLogs, addExec, addVolume]) add(program);

await program.parseAsync();

/** Runs an agent until SIGTERM or SIGINT; the containers it started run on. */
async function runAgent(config: Config): Promise<void> {
  const logger = createLogger({ level: config.logLevel, format: config.logFormat });
  const end = Promise.withResolvers<number>();
  const ending = new AbortController();
  for (const signal of ["SIGTERM", "SIGINT"] as const) {
    process.once(signal, () => {
      logger.info({ signal }, "ending; containers run on");
      ending.abort();
      end.resolve(0);
    });
  }
  const onFatal = (error: Error): void => {
    logger.fatal({ err: error }, error.message);
    end.resolve(1);
  };
  try {
    // The commands on the node do without all that it needs, and are quicker for it.
    const { Agent } = await import("./agent.ts");
    const agent = await Agent.start({ config, logger, onFatal, signal: ending.signal });
    logger.info({ node: config.nodeName, containerd: config.containerdAddress }, "agent started");
    process.exitCode = await end.promise;
    await agent.stop();
  } catch (error) {
    if (ending.signal.aborted) return;
    onFatal(error instanceof Error ? error : new Error(String(error)));
    process.exitCode = 1;
  }
}
