/** Tables and times as kubectl shows them. */

/** Rows below a heading, columns as wide as their widest cell. */
export function table(heading: readonly string[], rows: readonly (readonly string[])[]): string {
  const all = [heading, ...rows];
  const widths = heading.map((_, column) => Math.max(...all.map((row) => row[column]?.length ?? 0)));
  const line = (row: readonly string[]): string =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join("   ")
      .trimEnd();
  return all.map((row) => `${line(row)}\n`).join("");
}

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/** How long ago something was, in one unit or two: `42s`, `3m20s`, `5h`, `12d`. */
export function age(ms: number): string {
  const two = (large: number, sign: string, small: number, smallSign: string): string => {
    const rest = Math.floor((ms % large) / small);
    return `${Math.floor(ms / large)}${sign}${rest === 0 ? "" : `${rest}${smallSign}`}`;
  };
  if (ms < 2 * MINUTE) return `${Math.max(0, Math.floor(ms / SECOND))}s`;
  if (ms < 10 * MINUTE) return two(MINUTE, "m", SECOND, "s");
  if (ms < 3 * HOUR) return `${Math.floor(ms / MINUTE)}m`;
  if (ms < 8 * HOUR) return two(HOUR, "h", MINUTE, "m");
  if (ms < 2 * DAY) return `${Math.floor(ms / HOUR)}h`;
  if (ms < 8 * DAY) return two(DAY, "d", HOUR, "h");
  return `${Math.floor(ms / DAY)}d`;
}
