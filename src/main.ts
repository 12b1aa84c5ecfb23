#!/usr/bin/env node
/** The command line: one subcommand a process. */
import { Command, InvalidArgumentError } from "commander";
import { Agent } from "./agent.ts";
import { addFlags, type Config, readConfig } from "./config.ts";
import { createLogger } from "./telemetry/index.ts";

const program = new Command("berth").description(
  "Docker's start, as a Kubernetes API: containers on this node's containerd, declared with kubectl.",
);

addFlags(program.command("agent").description("run this node's Containers")).action(async (_, command: Command) => {
  await runAgent(configOf(command));
});

await program.parseAsync();

function configOf(command: Command): Config {
  try {
    return readConfig(command, process.env);
  } catch (error) {
    if (error instanceof InvalidArgumentError) command.error(`error: ${error.message}`);
    throw error;
  }
}

/** Runs an agent until SIGTERM or SIGINT; the containers it started run on. */
async function runAgent(config: Config): Promise<void> {
  const logger = createLogger({ level: config.logLevel, format: config.logFormat });
  const end = Promise.withResolvers<number>();
  for (const signal of ["SIGTERM", "SIGINT"] as const) {
    process.once(signal, () => {
      logger.info({ signal }, "ending; containers run on");
      end.resolve(0);
    });
  }
  const onFatal = (error: Error): void => {
    logger.fatal({ err: error }, error.message);
    end.resolve(1);
  };
  try {
    const agent = await Agent.start({ config, logger, onFatal });
    logger.info({ node: config.nodeName, containerd: config.containerdAddress }, "agent started");
    process.exitCode = await end.promise;
    await agent.stop();
  } catch (error) {
    onFatal(error instanceof Error ? error : new Error(String(error)));
    process.exitCode = 1;
  }
}
