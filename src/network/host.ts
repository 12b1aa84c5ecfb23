// What the default network finds and leaves in the node's own network namespace.
import { CommandError, run } from "../node/index.ts";

// The portmap plugin's own chains. It makes them with the first published port and keeps them after the last.
const PORTMAP_CHAINS = ["CNI-HOSTPORT-DNAT", "CNI-HOSTPORT-MASQ", "CNI-HOSTPORT-SETMARK"];

/**
 * Whether the node drops forwarded packets that nobody accepts, as Docker sets it up. False when iptables is not there:
 * the plugins will say so themselves.
 */
export async function forwardPolicyIsDrop(): Promise<boolean> {
  try {
    return (await run("iptables", ["--wait", "--list-rules", "FORWARD"])).stdout.startsWith("-P FORWARD DROP");
  } catch (error) {
    if (error instanceof CommandError) return false;
    throw error;
  }
}

/**
 * Removes a bridge (missing is fine) and, when no container of anyone publishes a port any more, portmap's chains.
 *
 * @throws CommandError
 */
export async function removeBridge(name: string): Promise<void> {
  try {
    await run("ip", ["link", "delete", "dev", name, "type", "bridge"]);
  } catch (error) {
    if (!(error instanceof CommandError) || !error.stderr.includes("Cannot find device")) throw error;
  }
  const { stdout } = await run("iptables-save", ["-t", "nat"]);
  const removal = portmapRemoval(stdout);
  if (removal === undefined) return;
  // One transaction: if another CNI user publishes a port at this moment, all of it fails and nothing is lost.
  await run("iptables-restore", ["--wait", "--noflush"], { input: removal });
}

/** Input for iptables-restore that removes portmap's chains; undefined when there are none or one is in use. */
export function portmapRemoval(natTable: string): string | undefined {
  const lines = natTable.split("\n");
  const chains = PORTMAP_CHAINS.filter((chain) => lines.some((line) => line.startsWith(`:${chain} `)));
  if (chains.length === 0 || lines.some((line) => line.startsWith("-A CNI-HOSTPORT-DNAT "))) return undefined;
  const rules = lines.filter((line) =>
    chains.some((chain) => line.startsWith(`-A ${chain} `) || line.endsWith(` -j ${chain}`)),
  );
  return [
    "*nat",
    ...rules.map((rule) => rule.replace("-A ", "-D ")),
    ...chains.map((chain) => `-X ${chain}`),
    "COMMIT",
    "",
  ].join("\n");
}
