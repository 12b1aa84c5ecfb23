import type { Clock } from "./clock.ts";

/** What setTimeout can count to (24.8 days); it takes anything longer for "at once". */
const LONGEST_MS = 2 ** 31 - 1;

/** At most one timer a key. */
export class KeyTimers {
  readonly #clock: Clock;
  readonly #cancels = new Map<string, () => void>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Runs `callback` at `time` (milliseconds since the epoch), at once if that is past; replaces the key's timer. */
  set(key: string, time: number, callback: () => void): void {
    this.cancel(key);
    const wait = Math.max(0, time - this.#clock.now());
    const cancel = this.#clock.after(Math.min(wait, LONGEST_MS), () => {
      this.#cancels.delete(key);
      if (wait > LONGEST_MS) this.set(key, time, callback);
      else callback();
    });
    this.#cancels.set(key, cancel);
  }

  cancel(key: string): void {
    this.#cancels.get(key)?.();
    this.#cancels.delete(key);
  }

  cancelAll(): void {
    for (const cancel of this.#cancels.values()) cancel();
    this.#cancels.clear();
  }
}
