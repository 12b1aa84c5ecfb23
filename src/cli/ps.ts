/** `berth ps`: the node's containers. */
import type { Command } from "commander";
import { addFlags } from "../config.ts";
import { taskState } from "../containerd/index.ts";
import type { Instance } from "../lifecycle/decide.ts";
import { keyOf } from "../lifecycle/record.ts";
import { onNode, type ThisNode } from "./node.ts";
import { networkOf, statusOnNode } from "./status.ts";
import { age, table } from "./table.ts";

const HEADING = ["NAMESPACE/NAME", "STATE", "EXIT", "RESTARTS", "IMAGE", "IP", "AGE", "ID"];

/** States that `docker ps` shows without `-a`. */
const ALIVE = new Set<string | undefined>(["Running", "Paused", "Restarting"]);

/** Adds the command. */
export function addPs(program: Command): void {
  const command = program
    .command("ps")
    .description("list this node's containers that run")
    .option("-a, --all", "those that don't, too");
  addFlags(command, "node").action(async ({ all = false }: { all?: boolean }) => {
    await onNode(command, async (node) => {
      const rows = await Promise.all((await instances(node)).map((instance) => rowOf(node, instance)));
      const shown = rows.filter(({ state }) => all || ALIVE.has(state));
      process.stdout.write(
        table(
          HEADING,
          shown.map(({ cells }) => cells),
        ),
      );
      return 0;
    });
  });
}

async function instances({ containerd, records }: ThisNode): Promise<Instance[]> {
  const [all, { tasks }] = await Promise.all([records.list(), containerd.tasks.list({})]);
  const states = new Map(tasks.map(taskState).map((task) => [task.containerId, task]));
  const found = all.map((record) => {
    const task = states.get(record.id);
    return task === undefined ? { record } : { record, task };
  });
  return found.sort((a, b) => (keyOf(a.record.applied) < keyOf(b.record.applied) ? -1 : 1));
}

async function rowOf(node: ThisNode, instance: Instance): Promise<{ state: string | undefined; cells: string[] }> {
  const { id, applied, createdAt } = instance.record;
  const now = new Date();
  const { state, exitCode, restartCount, network } = statusOnNode(instance, await networkOf(node, instance), now);
  const cells = [
    keyOf(applied),
    state ?? "",
    String(exitCode ?? ""),
    String(restartCount ?? 0),
    applied.spec.image,
    network?.ipAddresses?.[0] ?? "",
    createdAt === undefined ? "" : age(now.getTime() - createdAt.getTime()),
    id,
  ];
  return { state, cells };
}
