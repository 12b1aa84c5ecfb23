/** What of many figures is told. */

/** The value below which a share (0 to 1) of the numbers lies, between two of them where it falls there; NaN of none. */
export function quantile(numbers: readonly number[], share: number): number {
  const sorted = numbers.toSorted((a, b) => a - b);
  const at = (sorted.length - 1) * share;
  const below = sorted[Math.floor(at)] ?? NaN;
  const above = sorted[Math.ceil(at)] ?? NaN;
  return below + (above - below) * (at - Math.floor(at));
}

export function median(numbers: readonly number[]): number {
  return quantile(numbers, 0.5);
}

/** A number as it is told, with so many digits after the point. */
export function rounded(number: number, digits = 1): number {
  return Number(number.toFixed(digits));
}
