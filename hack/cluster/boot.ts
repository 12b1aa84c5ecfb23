// A node's reboot, as far as it can be had on a machine that runs on: its run directory is a new tmpfs, and its agent sees
// another boot id of the kernel's.
import { randomUUID } from "node:crypto";
import { existsSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { mount, run } from "../../src/node/index.ts";

/** The part of a node that a boot is about. */
export type Booted = { dir: string; runDir: string };

type Command = readonly [string, ...string[]];

/**
 * Runs a program in a mount namespace in which the kernel's boot id is a file's text. Of all mounts only those of the node
 * are shared with the machine: others are private, and those of other nodes are let go, for they would live on in here.
 */
const SCRIPT = `
set -e
run=$0 others=$1 id=$2 busybox=$3 let_go=
shift 3
while read -r _ _ _ _ point _ tags; do
  case $point in
    "$run"|"$run"/*) continue ;;
    "$others"/*) let_go="$point $let_go" ;;
  esac
  # One may go by itself meanwhile, when its owner removes what it is mounted on.
  case $tags in *shared:*|*master:*) mount --make-private "$point" 2>/dev/null || : ;; esac
done </proc/self/mountinfo
# Of those there may be hundreds, of which each umount(8) would read all.
if [ -n "$let_go" ]; then "$busybox" umount -l $let_go 2>/dev/null || :; fi
mount --bind "$id" /proc/sys/kernel/random/boot_id
exec "$@"
`;

/** Gives a node that is down the run directory and the boot id that it comes up with. */
export async function boot(node: Booted): Promise<void> {
  rmSync(node.runDir, { recursive: true, force: true });
  mkdirSync(node.runDir, { recursive: true });
  await mount({ type: "tmpfs", source: "tmpfs", target: node.runDir, options: ["mode=0711"] });
  await run("mount", ["--make-shared", "--", node.runDir]);
  writeFileSync(bootIDFile(node), `${randomUUID()}\n`);
}

/** The command with which a program of the node's is started: it sees the boot id of the last {@link boot}, if there was one. */
export function sinceBoot(node: Booted, busybox: string, command: Command): Command {
  const file = bootIDFile(node);
  if (!existsSync(file)) return command;
  const unshare = ["unshare", "--mount", "--propagation", "unchanged", "--", "/bin/sh", "-c"] as const;
  return [...unshare, SCRIPT, node.runDir, dirname(node.runDir), file, busybox, ...command];
}

/** The command with which a program runs below a first process of its own; when that is killed, all below it are. */
export function onMachine(command: Command): Command {
  const unshare = ["unshare", "--pid", "--fork", "--kill-child", "--mount", "--propagation", "unchanged"] as const;
  // The shell takes leave of whoever ends without a parent, as a first process must.
  return [...unshare, "--mount-proc", "--", "/bin/sh", "-c", '"$@" & wait "$!"', "init", ...command];
}

function bootIDFile({ dir }: Booted): string {
  return join(dir, "boot_id");
}
