/** `berth inspect`: all that the node knows of a container, but for what may come from a Secret. */
import type { Command } from "commander";
import type { ContainerSpec } from "../api/index.ts";
import { addFlags } from "../config.ts";
import { logFile } from "../lifecycle/task.ts";
import { envSources, type OciSpec } from "../oci/index.ts";
import { findContainer, onNode } from "./node.ts";
import { networkOf, statusOnNode } from "./status.ts";

/** Stands for a value that is not shown. */
const HIDDEN = "(not shown: it may come from a Secret)";

/** Adds the command. */
export function addInspect(program: Command): void {
  const command = program
    .command("inspect")
    .description("show all that the node knows of a container, as JSON")
    .argument("<name>", "NAME, NAMESPACE/NAME, or the beginning of an id")
    .option("-n, --namespace <namespace>", "of the container (default: default)");
  addFlags(command, "node").action(async (name: string, { namespace }: { namespace?: string }) => {
    await onNode(command, async (node) => {
      const instance = await findContainer(node, { name, namespace });
      const { id, applied, state, createdAt } = instance.record;
      const network = await networkOf(node, instance);
      const shown = {
        id,
        namespace: applied.namespace,
        name: applied.name,
        createdAt,
        status: statusOnNode(instance, network, new Date()),
        applied,
        state,
        task: instance.task ?? null,
        network: network ?? null,
        output: logFile(node.config.logDir, applied),
        spec: withoutSecrets(await node.records.spec(id), applied.spec),
      };
      process.stdout.write(`${JSON.stringify(shown, null, 2)}\n`);
      return 0;
    });
  });
}

/**
 * A runtime spec without what a Secret may have put into it: when the container refers to one, the values of all
 * variables (each may hold another's), and the command line where it refers to variables.
 */
export function withoutSecrets(spec: OciSpec, wish: ContainerSpec): OciSpec {
  if (!envSources(wish).some(({ kind }) => kind === "Secret")) return spec;
  const { env, args } = spec.process;
  const expands = [...(wish.command ?? []), ...(wish.args ?? [])].some((word) => word.includes("$("));
  return {
    ...spec,
    process: {
      ...spec.process,
      env: env.map((entry) => entry.replace(/=.*$/s, `=${HIDDEN}`)),
      args: expands ? args.map(() => HIDDEN) : args,
    },
  };
}
