/** `berth volume`: the node's named volumes. */
import type { Command } from "commander";
import { addFlags } from "../config.ts";
import { NamedVolumeError, NamedVolumes, type VolumeUser } from "../storage/index.ts";
import { CommandFailure, onNode, parseName, type ThisNode } from "./node.ts";
import { table } from "./table.ts";

/** Adds the command. */
export function addVolume(program: Command): void {
  const volume = program.command("volume").description("list or remove this node's named volumes");
  addList(volume);
  addRemove(volume);
}

function addList(volume: Command): void {
  const command = volume
    .command("ls")
    .description("list the named volumes of all namespaces")
    .option("-n, --namespace <namespace>", "those of one only");
  addFlags(command, "node").action(async ({ namespace }: { namespace?: string }) => {
    await onNode(command, async (node) => {
      const volumes = await new NamedVolumes(node.config).list(await users(node));
      const shown = volumes.filter((each) => namespace === undefined || each.namespace === namespace);
      const rows = shown.map((each) => [`${each.namespace}/${each.name}`, each.usedBy.join(","), each.path]);
      process.stdout.write(table(["NAMESPACE/NAME", "USED BY", "PATH"], rows));
      return 0;
    });
  });
}

function addRemove(volume: Command): void {
  const command = volume
    .command("rm")
    .description("remove named volumes, with all that is in them, that no container uses")
    .argument("<name...>", "NAME or NAMESPACE/NAME")
    .option("-n, --namespace <namespace>", "of the volumes (default: default)");
  addFlags(command, "node").action(async (names: string[], { namespace }: { namespace?: string }) => {
    await onNode(command, async (node) => {
      const volumes = new NamedVolumes(node.config);
      const failures: string[] = [];
      for (const each of names) {
        try {
          const target = parseName({ name: each, namespace });
          await volumes.remove(target.namespace, target.name, () => users(node));
          process.stdout.write(`${target.namespace}/${target.name}\n`);
        } catch (error) {
          if (!(error instanceof NamedVolumeError) && !(error instanceof CommandFailure)) throw error;
          failures.push(error.message);
        }
      }
      if (failures.length > 0) throw new CommandFailure(failures.join("\nberth: "));
      return 0;
    });
  });
}

async function users({ records }: ThisNode): Promise<VolumeUser[]> {
  return (await records.list()).map(({ applied }) => applied);
}
