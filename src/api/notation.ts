/** Kubernetes' notations of amounts and lengths of time, read as numbers. */
import { DURATION } from "./schema/fields.ts";

/** A value that is not in the notation it should be in. */
export class NotationError extends Error {
  override readonly name = "NotationError";
  readonly value: unknown;
  constructor(value: unknown, expected: string) {
    super(`${JSON.stringify(value)} is not ${expected}`);
    this.value = value;
  }
}

const SUFFIXES: Readonly<Record<string, number>> = {
  n: 1e-9,
  u: 1e-6,
  m: 1e-3,
  "": 1,
  k: 1e3,
  M: 1e6,
  G: 1e9,
  T: 1e12,
  P: 1e15,
  E: 1e18,
  Ki: 2 ** 10,
  Mi: 2 ** 20,
  Gi: 2 ** 30,
  Ti: 2 ** 40,
  Pi: 2 ** 50,
  Ei: 2 ** 60,
};
const QUANTITY = /^(\+?(?:\d+(?:\.\d*)?|\.\d+))(?:([KMGTPE]i|[numkMGTPE]?)|[eE]([+-]?\d{1,3}))$/;

/**
 * An amount as a number: "100m" → 0.1, "64Mi" → 67108864, "1e3" → 1000 (the notation of Kubernetes' resource.Quantity).
 * @throws NotationError when it is none, or negative
 */
export function parseQuantity(quantity: string | number): number {
  const [, digits, suffix, exponent] = QUANTITY.exec(String(quantity)) ?? [];
  const scale = SUFFIXES[suffix ?? ""];
  // One conversion of the whole text where it can be: 1.1e3 is 1100, while 1.1 * 1000 is 1100.0000000000002.
  const value = exponent !== undefined ? Number(`${digits ?? ""}e${exponent}`) : scaled(digits, scale);
  if (value === undefined) {
    throw new NotationError(quantity, 'a quantity such as 500m, "0.5", 64Mi or 2Gi');
  }
  return value;
}

function scaled(digits: string | undefined, scale: number | undefined): number | undefined {
  if (digits === undefined || scale === undefined) return undefined;
  const power = Math.round(Math.log10(scale));
  return 10 ** power === scale || scale < 1 ? Number(`${digits}e${power}`) : Number(digits) * scale;
}

const UNITS: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 };

/**
 * A length of time in milliseconds: "1m30s" → 90000 (the notation of metav1.Duration).
 * @throws NotationError when it is none, or negative
 */
export function parseDuration(duration: string): number {
  if (!new RegExp(DURATION.pattern).test(duration)) {
    throw new NotationError(duration, "a duration such as 500ms, 30s or 1m30s");
  }
  const parts = duration.matchAll(/(\d+(?:\.\d+)?)([a-z]+)/g);
  return parts.reduce((sum, [, count, unit]) => sum + Number(count) * (UNITS[unit ?? ""] ?? 0), 0);
}
