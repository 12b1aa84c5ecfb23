import { setTimeout as sleep } from "node:timers/promises";
import type { Logger } from "pino";
import type { KubeApi } from "./api.ts";
import { backoffMs, type Backoff } from "./backoff.ts";
import { isForbidden } from "./errors.ts";
import type { KubeObject } from "./object.ts";
import { WATCH_TIMING, watchOnce, type WatchTiming } from "./watch.ts";

/** An object something waits for. */
export type Reference = {
  /** The collection's path (`secretPath(namespace)`). */
  path: string;
  name: string;
  /** Whether the object is what was waited for (it has the key that was missing); it only has to exist by default. */
  satisfied?: (object: KubeObject) => boolean;
  /** What of the object is waited for, where that is not the whole of it: tells such waits apart. */
  part?: string;
};

export type ReferenceWatcherOptions = {
  api: KubeApi;
  /** What `key` waited for is there; the watcher has forgotten the key already. */
  onAppear: (key: string) => void;
  /** The agent's credentials lack the right to watch it; `error.message` is the server's, with verb and resource. */
  onForbidden?: (key: string, error: Error) => void;
  logger: Logger;
  /** Shortened by tests. */
  timers?: Partial<WatchTiming & { backoff: Backoff; forbiddenBackoff: Backoff }>;
};

const TIMING = {
  ...WATCH_TIMING,
  backoff: { baseMs: 100, maxMs: 5000 },
  /** Rights change when a person changes them. */
  forbiddenBackoff: { baseMs: 5000, maxMs: 300_000 },
};

/**
 * Waits for single objects (a Secret, a ConfigMap) that are missing, with a watch on that one name each. Nothing is watched
 * when nothing is waited for, so an agent needs no list of all Secrets of the cluster, nor the right to it.
 */
export class ReferenceWatcher {
  readonly #options: ReferenceWatcherOptions;
  readonly #timing: typeof TIMING;
  readonly #waits = new Map<string, { id: string; abort: AbortController }>();
  #closed = false;

  constructor(options: ReferenceWatcherOptions) {
    this.#options = options;
    this.#timing = { ...TIMING, ...options.timers };
  }

  /**
   * Calls `onAppear(key)` once, as soon as the object is there, be it already. A key waits for one thing at a time: another
   * reference replaces the former, the same one (path, name and part) goes on. Nothing is waited for once it is closed.
   */
  wait(key: string, reference: Reference): void {
    const id = `${reference.path}/${reference.name}/${reference.part ?? ""}`;
    if (this.#closed || this.#waits.get(key)?.id === id) return;
    this.forget(key);
    const abort = new AbortController();
    this.#waits.set(key, { id, abort });
    void this.#follow(key, reference, abort.signal);
  }

  /** The key waits for nothing any more. */
  forget(key: string): void {
    this.#waits.get(key)?.abort.abort();
    this.#waits.delete(key);
  }

  close(): void {
    this.#closed = true;
    for (const key of [...this.#waits.keys()]) this.forget(key);
  }

  async #follow(key: string, reference: Reference, signal: AbortSignal): Promise<void> {
    const ended = () => signal.aborted;
    for (let failures = 0; !ended();) {
      try {
        if (await this.#watch(reference, signal)) {
          if (ended()) return;
          this.#waits.delete(key);
          this.#options.onAppear(key);
          return;
        }
        failures = 0;
      } catch (error) {
        if (ended()) return;
        const forbidden = isForbidden(error);
        const { logger, onForbidden } = this.#options;
        const details = { key, path: reference.path, name: reference.name, err: error };
        if (failures === 0)
          logger.warn(details, forbidden ? "may not wait for this object" : "can't wait for this object now");
        if (forbidden) onForbidden?.(key, error);
        const delay = backoffMs(forbidden ? this.#timing.forbiddenBackoff : this.#timing.backoff, failures++);
        await sleep(delay, undefined, { signal }).catch(() => undefined);
      }
    }
  }

  /** One watch; answers whether what is waited for is there. */
  async #watch(reference: Reference, signal: AbortSignal): Promise<boolean> {
    let found = false;
    await watchOnce<KubeObject>(this.#options.api, {
      path: reference.path,
      // Without a resourceVersion the server begins with what is there now, so nothing is missed between look and watch.
      query: { fieldSelector: `metadata.name=${reference.name}` },
      timing: this.#timing,
      signal,
      onEvent: ({ type, object }) => {
        found = (type === "ADDED" || type === "MODIFIED") && (reference.satisfied?.(object) ?? true);
        return found ? "stop" : undefined;
      },
    });
    return found;
  }
}
