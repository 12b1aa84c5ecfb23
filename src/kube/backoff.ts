/** Bounds of a wait that doubles, in milliseconds. */
export type Backoff = { baseMs: number; maxMs: number };

/**
 * The wait before try number `attempt` (0 = the first repetition), in milliseconds: base doubling to max, of which the
 * upper half is random, so that the agents of a cluster do not all come back in the same moment.
 */
export function backoffMs({ baseMs, maxMs }: Backoff, attempt: number, random: () => number = Math.random): number {
  const full = Math.min(maxMs, baseMs * 2 ** Math.min(attempt, 30));
  return full / 2 + (full / 2) * random();
}
