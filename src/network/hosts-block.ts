// The part of a container's /etc/hosts that Berth keeps up to date while the container runs: the names of others. The rest
// of the file is the container's from its start on.

/** An address and the names that lead to it. */
export type HostsLine = { address: string; names: readonly string[] };

const BEGIN = "# Kept up to date by Berth: other containers";
const END = "# End of what Berth keeps up to date";

/** The block's text with its marks; empty when there is nobody to name. */
export function hostsBlock(lines: readonly HostsLine[]): string {
  if (lines.length === 0) return "";
  return [BEGIN, ...lines.map(({ address, names }) => `${address}\t${names.join(" ")}`), END, ""].join("\n");
}

/** A hosts file's text with this block in the place of the one it has, or at its end. What is outside the block is kept. */
export function withBlock(text: string, block: string): string {
  const lines = text.split(/(?<=\n)/);
  const begin = lines.findIndex((line) => line.trimEnd() === BEGIN);
  if (begin === -1) return block === "" ? text : `${text}${text === "" || text.endsWith("\n") ? "" : "\n"}${block}`;
  const end = lines.findIndex((line, index) => index > begin && line.trimEnd() === END);
  // Without its end mark, nobody knows how far it reaches: its lines count as the container's own.
  const after = end === -1 ? begin + 1 : end + 1;
  return [...lines.slice(0, begin), block, ...lines.slice(after)].join("");
}
