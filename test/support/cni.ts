/** CNI plugins that do not do as they should. */
import { chmod, mkdtemp, readdir, readFile, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { LocalNode } from "../../hack/cluster/local-node.ts";
import { findTools } from "../../hack/cluster/tools.ts";
import { run } from "../../src/node/index.ts";

/** A plugin that waits. */
export interface SlowPlugin {
  /**
   * The agent's: all plugins, the slow one among them, and no network made ahead, whose calls could not be told from those of
   * a start.
   */
  readonly flags: Readonly<Record<string, string>>;
  /** The directory of all plugins. */
  readonly dir: string;
  /** A FIFO; whoever writes to it lets one waiting call go on. */
  readonly gate: string;
  /** Resolves when a call has come to the gate. */
  called(): Promise<void>;
}

/** All of the node's plugins, but that one of them waits at a gate when it is called for a command (`ADD`, `DEL`). */
export async function slowPlugin(node: LocalNode, plugin: string, command: "ADD" | "DEL"): Promise<SlowPlugin> {
  const gate = join(node.dir, `${plugin}.gate`);
  const bell = join(node.dir, `${plugin}.bell`);
  await run("mkfifo", [gate, bell]);
  const real = join(findTools().cniBinDir, plugin);
  const script = `#!/bin/sh
if [ "$CNI_COMMAND" = ${command} ]; then echo >${bell}; cat <${gate} >/dev/null; fi
exec ${real}
`;
  const dir = await pluginsWith(node, { [plugin]: script });
  return {
    flags: { "cni-bin-dir": dir, "spare-networks": "0" },
    dir,
    gate,
    called: async () => {
      await readFile(bell);
    },
  };
}

/** A directory with all of the node's plugins, some of them replaced by a script of the test's. */
export async function pluginsWith(node: LocalNode, scripts: Readonly<Record<string, string>>): Promise<string> {
  const { cniBinDir } = findTools();
  const dir = await mkdtemp(join(node.dir, "plugins-"));
  for (const name of await readdir(cniBinDir)) {
    if (!(name in scripts)) await symlink(join(cniBinDir, name), join(dir, name));
  }
  for (const [name, script] of Object.entries(scripts)) {
    await writeFile(join(dir, name), script);
    await chmod(join(dir, name), 0o755);
  }
  return dir;
}
