/** client-go's defaults: an object may have 25 Events at once and then one in 5 minutes. */
const BURST = 25;
const REFILL_MS = 300_000;

/** A token bucket an object, so that one that flaps can't flood the API server with Events. */
export class SpamFilter {
  readonly #buckets = new Map<string, { tokens: number; at: number }>();

  /** Whether the object `uid` may have one more at `now` (milliseconds; of a clock that may be set back). */
  admit(uid: string, now: number): boolean {
    const bucket = this.#buckets.get(uid) ?? { tokens: BURST, at: now };
    const tokens = Math.min(BURST, bucket.tokens + Math.max(0, now - bucket.at) / REFILL_MS);
    const admitted = tokens >= 1;
    this.#buckets.set(uid, { tokens: admitted ? tokens - 1 : tokens, at: now });
    return admitted;
  }

  /** Forgets objects whose bucket is full again; they would start with a full one anyway. */
  sweep(now: number): void {
    for (const [uid, { tokens, at }] of this.#buckets)
      if (tokens + (now - at) / REFILL_MS >= BURST) this.#buckets.delete(uid);
  }
}
