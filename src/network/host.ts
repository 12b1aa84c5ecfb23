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

/** What marks the rule below as Berth's, for a reader of the node's rules and for its removal. */
const MASQUERADE_COMMENT = "berth";

/** The rule by which packets to the outside bear the node's address: Docker's, one for the whole subnet. */
export function masqueradeRule(bridgeName: string, bridgeSubnet: string): string[] {
  const comment = ["-m", "comment", "--comment", MASQUERADE_COMMENT];
  return ["POSTROUTING", "-s", bridgeSubnet, "!", "-o", bridgeName, ...comment, "-j", "MASQUERADE"];
}

/**
 * Makes the rule unless it is there. Not to be called twice at once: both calls would make it.
 *
 * @throws CommandError
 */
export async function ensureMasquerade(bridgeName: string, bridgeSubnet: string): Promise<void> {
  const rule = masqueradeRule(bridgeName, bridgeSubnet);
  try {
    await run("iptables", ["--wait", "-t", "nat", "-C", ...rule]);
  } catch (error) {
    // 1: there is no such rule. Anything else, also that iptables is not there, the addition says.
    if (!(error instanceof CommandError)) throw error;
    await run("iptables", ["--wait", "-t", "nat", "-A", ...rule]);
  }
}

/** Input for iptables-restore that removes a bridge's masquerade rules, of whatever subnet; undefined when there is none. */
export function masqueradeRemoval(natTable: string, bridgeName: string): string | undefined {
  const rules = natTable
    .split("\n")
    .filter((line) => line.startsWith("-A POSTROUTING "))
    .filter((line) => line.includes(` ! -o ${bridgeName} `) && line.includes(` --comment ${MASQUERADE_COMMENT} `));
  if (rules.length === 0) return undefined;
  return ["*nat", ...rules.map((rule) => rule.replace("-A ", "-D ")), "COMMIT", ""].join("\n");
}

/**
 * Removes a bridge (missing is fine) with its masquerade rule and, when no container of anyone publishes a port any more,
 * portmap's chains.
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
  for (const removal of [masqueradeRemoval(stdout, name), portmapRemoval(stdout)]) {
    if (removal === undefined) continue;
    // One transaction: if another CNI user publishes a port at this moment, all of it fails and nothing is lost.
    await run("iptables-restore", ["--wait", "--noflush"], { input: removal });
  }
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
