// The part of a container's /etc/hosts that Berth keeps up to date while the container runs: the names of others. The rest
// of the file is the container's from its start on.

/** An address and the names that lead to it. */
export type HostsLine = { address: string; names: readonly string[] };

const BEGIN = "# Kept up to date by Berth: other containers";
const END = "# End of what Berth keeps up to date";

/** The block's text with its marks; empty when there is nobody to name. */
export function hostsBlock(lines: readonly HostsLine[]): string {
  if (lines.length === 0) return "";
  return [BEGIN, ...lines.map(textOf), END, ""].join("\n");
}

/** Of lines that were put into words already: each of a network's is in the block of every other container. */
const TEXTS = new WeakMap<HostsLine, string>();

function textOf(line: HostsLine): string {
  const known = TEXTS.get(line);
  if (known !== undefined) return known;
  const text = `${line.address}\t${line.names.join(" ")}`;
  TEXTS.set(line, text);
  return text;
}

/** The marks as lines of a file, with their ends; a program that has rewritten it may have left blanks behind them. */
const BEGIN_LINE = lineOf(BEGIN);
const END_LINE = lineOf(END);

function lineOf(mark: string): RegExp {
  return new RegExp(`^${mark}[^\\S\\n]*(?:\\n|(?![^]))`, "m");
}

/** A hosts file's text with this block in the place of the one it has, or at its end. What is outside the block is kept. */
export function withBlock(text: string, block: string): string {
  const begin = BEGIN_LINE.exec(text);
  if (begin === null) return block === "" ? text : `${text}${text === "" || text.endsWith("\n") ? "" : "\n"}${block}`;
  const inside = text.slice(begin.index + begin[0].length);
  const end = END_LINE.exec(inside);
  // Without its end mark, nobody knows how far it reaches: its lines count as the container's own.
  const after = end === null ? inside : inside.slice(end.index + end[0].length);
  return `${text.slice(0, begin.index)}${block}${after}`;
}
