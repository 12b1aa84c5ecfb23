// The machine's packet filter rules, read as iptables-save prints them.
import { run } from "../../src/node/index.ts";

/** One table: its chains that were added to the built-in ones, and its rules as `-A <chain> …`. */
export type Table = { name: string; chains: string[]; rules: string[] };

/** Chains that the CNI plugins of this machine share; whoever needs one makes it. */
const SHARED_CHAINS = /^CNI-(HOSTPORT-(DNAT|MASQ|SETMARK)|FORWARD|ADMIN)$/;
const CNI_CHAIN = /^CNI-/;

/** Which packets: nft's name of the family, and the programs that read and write its rules. */
export type Family = "ip" | "ip6";
export const FAMILIES: readonly Family[] = ["ip", "ip6"];
const PROGRAM = { ip: "iptables", ip6: "ip6tables" } as const;

/** All tables that exist. */
export async function readTables(family: Family = "ip"): Promise<Table[]> {
  return parseTables((await run(`${PROGRAM[family]}-save`, [])).stdout);
}

/** Parses the output of iptables-save. */
export function parseTables(text: string): Table[] {
  const tables: Table[] = [];
  for (const line of text.split("\n")) {
    const table = tables.at(-1);
    if (line.startsWith("*")) tables.push({ name: line.slice(1), chains: [], rules: [] });
    else if (line.startsWith("-A ")) table?.rules.push(line);
    // A built-in chain has a policy where another has a dash.
    else if (/^:\S+ - /.test(line)) table?.chains.push(line.slice(1).split(" ", 1).join());
  }
  return tables;
}

/** The rules that stand for addresses of this subnet (a /24), and the chains that hold only such rules. */
export function rulesOf(subnet: string, table: Table): { chains: string[]; rules: string[] } {
  const network = subnet.replace(/0\/24$/, "").replaceAll(".", "\\.");
  const address = new RegExp(`(?<![\\d.])${network}\\d`);
  const mentioning = table.rules.filter((rule) => address.test(rule));
  const chains = table.chains.filter(
    (chain) => !SHARED_CHAINS.test(chain) && mentioning.some((rule) => rule.startsWith(`-A ${chain} `)),
  );
  const leading = (rule: string) => chains.some((chain) => rule.endsWith(` -j ${chain}`));
  const inside = (rule: string) => chains.some((chain) => rule.startsWith(`-A ${chain} `));
  return { chains, rules: table.rules.filter((rule) => !inside(rule) && (address.test(rule) || leading(rule))) };
}

/** Removes all rules and chains of a subnet. */
export async function removeRulesOf(subnet: string): Promise<void> {
  for (const table of await readTables()) {
    const { chains, rules } = rulesOf(subnet, table);
    await restore("ip", table.name, [...rules.map(deletion), ...chains.map(flush), ...chains.map(removal)]);
  }
}

/**
 * Takes away what CNI plugins leave for the next container, where it was not there before and nothing uses it: the shared
 * chains, chains without rules, and then a table with nothing in it.
 */
export async function removeEmptyChains(family: Family, before: readonly Table[]): Promise<void> {
  for (const table of await readTables(family)) {
    const earlier = before.find(({ name }) => name === table.name);
    const added = table.chains.filter((chain) => CNI_CHAIN.test(chain) && earlier?.chains.includes(chain) !== true);
    if (added.some((chain) => isUsed(chain, table))) continue;
    const jumps = table.rules.filter((rule) => added.some((chain) => rule.endsWith(` -j ${chain}`)));
    await restore(family, table.name, [
      ...added.map(flush),
      ...jumps.filter((rule) => !within(rule, added)).map(deletion),
      ...added.map(removal),
    ]);
  }
  const gone = (table: Table) => table.chains.length === 0 && table.rules.length === 0;
  for (const table of (await readTables(family)).filter(gone)) {
    // Only nft removes a table; iptables leaves it with its empty built-in chains.
    if (!before.some(({ name }) => name === table.name)) await run("nft", ["delete", "table", family, table.name]);
  }
}

// A shared chain that sends packets on to a container's chain, or a container's chain with rules.
function isUsed(chain: string, table: Table): boolean {
  const own = table.rules.filter((rule) => rule.startsWith(`-A ${chain} `));
  return SHARED_CHAINS.test(chain)
    ? own.some((rule) => /-j CNI-(DN-|[0-9a-f]{24})/.test(rule) || / -[sd] \d/.test(rule))
    : own.length > 0;
}

function within(rule: string, chains: readonly string[]): boolean {
  return chains.some((chain) => rule.startsWith(`-A ${chain} `));
}

async function restore(family: Family, table: string, lines: readonly string[]): Promise<void> {
  if (lines.length === 0) return;
  await run(`${PROGRAM[family]}-restore`, ["--noflush", "--wait", "5"], {
    input: `*${table}\n${lines.join("\n")}\nCOMMIT\n`,
  });
}

function deletion(rule: string): string {
  return rule.replace(/^-A /, "-D ");
}

function flush(chain: string): string {
  return `-F ${chain}`;
}

function removal(chain: string): string {
  return `-X ${chain}`;
}
