import PQueue from "p-queue";
import type { Logger } from "pino";
import { backoffMs, type Backoff } from "./backoff.ts";
import { systemClock, type Clock } from "./clock.ts";
import { KeyTimers } from "./key-timers.ts";

/**
 * Does a key's work, which answers whether it succeeded and never throws, and what its owner wants around that: a
 * measurement, an id for the log. All that is said of the work, the failure too, is said within.
 */
export type WorkScope = (key: string, waitedSeconds: number, work: () => Promise<boolean>) => Promise<unknown>;

export type WorkQueueOptions = {
  /** How many keys are worked on at once. */
  concurrency: number;
  /** Works on a key. A rejection is a failure: the key comes again after its backoff. */
  handler: (key: string) => Promise<void>;
  /** Waits of a key that keeps failing, milliseconds. */
  backoff: Backoff;
  logger: Logger;
  scope?: WorkScope;
  clock?: Clock;
  /** Spreads the backoff; 0 ≤ random() < 1. */
  random?: () => number;
};

/**
 * Keys waiting to be worked on, by the rules of client-go's workqueue: a key that waits is not added twice; a key is never
 * worked on twice at once, one added meanwhile comes once more at the end; failures wait longer each time, a success
 * forgets them.
 */
export class WorkQueue {
  readonly #options: WorkQueueOptions;
  readonly #clock: Clock;
  readonly #queue: PQueue;
  readonly #waiting = new Set<string>();
  readonly #running = new Set<string>();
  /** Keys added while they were worked on. */
  readonly #again = new Set<string>();
  readonly #failures = new Map<string, number>();
  readonly #appointments: KeyTimers;
  readonly #retries: KeyTimers;
  #closed = false;

  constructor(options: WorkQueueOptions) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    this.#queue = new PQueue({ concurrency: options.concurrency });
    this.#appointments = new KeyTimers(this.#clock);
    this.#retries = new KeyTimers(this.#clock);
  }

  /** How many keys wait to be worked on. */
  get depth(): number {
    return this.#waiting.size;
  }

  /** Has the key worked on as soon as there is room. Leaves its appointment ({@link addAt}) as it is. */
  add(key: string): void {
    if (this.#closed || this.#waiting.has(key)) return;
    if (this.#running.has(key)) {
      this.#again.add(key);
      return;
    }
    this.#waiting.add(key);
    const since = performance.now();
    void this.#queue.add(() => this.#run(key, since));
  }

  /**
   * Adds the key at a time (milliseconds since the epoch, or a Date). A key has one such appointment: the latest call
   * counts. A run before then does not cancel it, as in client-go; one too many is harmless, one too few is not.
   */
  addAt(key: string, time: Date | number): void {
    if (this.#closed) return;
    this.#appointments.set(key, Number(time), () => {
      this.add(key);
    });
  }

  /** Forgets the key's failures and timers: it is gone, or all is new. A key that waits or is worked on goes on. */
  forget(key: string): void {
    this.#failures.delete(key);
    this.#retries.cancel(key);
    this.#appointments.cancel(key);
  }

  /** Resolves when no key is waiting or worked on (timers don't count). */
  async drain(): Promise<void> {
    await this.#queue.onIdle();
  }

  /**
   * Takes no more keys, forgets those that wait and all timers, and waits for the handlers under way, at most `boundMs`.
   * Answers whether all of them have ended.
   */
  async close(boundMs: number): Promise<boolean> {
    this.#closed = true;
    this.#appointments.cancelAll();
    this.#retries.cancelAll();
    this.#again.clear();
    this.#waiting.clear();
    this.#queue.clear();
    if (this.#running.size === 0) return true;
    const bound = Promise.withResolvers<boolean>();
    const cancel = this.#clock.after(boundMs, () => {
      bound.resolve(false);
    });
    const ended = await Promise.race([this.#queue.onPendingZero().then(() => true), bound.promise]);
    cancel();
    return ended;
  }

  async #run(key: string, since: number): Promise<void> {
    this.#waiting.delete(key);
    this.#retries.cancel(key);
    this.#running.add(key);
    try {
      await (this.#options.scope ?? alone)(key, (performance.now() - since) / 1000, () => this.#work(key));
    } finally {
      this.#running.delete(key);
      if (this.#again.delete(key)) this.add(key);
    }
  }

  async #work(key: string): Promise<boolean> {
    try {
      await this.#options.handler(key);
      this.#failures.delete(key);
      return true;
    } catch (error) {
      this.#retryLater(key, error);
      return false;
    }
  }

  #retryLater(key: string, error: unknown): void {
    if (this.#closed) return;
    const attempt = this.#failures.get(key) ?? 0;
    this.#failures.set(key, attempt + 1);
    const delayMs = Math.round(backoffMs(this.#options.backoff, attempt, this.#options.random));
    this.#options.logger.warn({ key, err: error, attempt: attempt + 1, delayMs }, "reconcile failed, trying again");
    this.#retries.set(key, this.#clock.now() + delayMs, () => {
      this.add(key);
    });
  }
}

const alone: WorkScope = (_key, _waitedSeconds, work) => work();
