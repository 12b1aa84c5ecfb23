import { setTimeout as sleep } from "node:timers/promises";
import type { Logger } from "pino";
import type { KubeApi, Query } from "./api.ts";
import { backoffMs, type Backoff } from "./backoff.ts";
import { ApiError, isGone, isNotServed, isUnavailable } from "./errors.ts";
import { ObjectCache, type Change } from "./object-cache.ts";
import { compareVersions, type KubeObject } from "./object.ts";
import { WATCH_TIMING, watchOnce, type WatchTiming } from "./watch.ts";

export type ListWatchTiming = WatchTiming & {
  /**
   * Waits between tries of a server that does not answer, or can't now. Its return is to be seen soon: a try costs one that
   * is away nothing, and one that is there may ask for more patience (`Retry-After`).
   */
  backoff: Backoff;
  /** Waits between tries that a server refuses, which may be so until a person changes it. They are counted apart. */
  refusedBackoff: Backoff;
  /** A watch that ended sooner than this without an event counts as a failure, so that it can't turn into a busy loop. */
  shortMs: number;
  /**
   * After failing for this long everything is listed again: a server that comes back restored from a backup may by then
   * have come to the version that we had, which does not tell any more that it was.
   */
  relistAfterMs: number;
};

const TIMING: ListWatchTiming = {
  ...WATCH_TIMING,
  backoff: { baseMs: 100, maxMs: 5000 },
  refusedBackoff: { baseMs: 100, maxMs: 30_000 },
  shortMs: 1000,
  relistAfterMs: 60_000,
};

export type ListWatchOptions<T extends KubeObject> = {
  api: KubeApi;
  /** The collection's path. */
  path: string;
  /** Dropped, with a log line, when the server does not know the field (`selectableFields` came with Kubernetes 1.30). */
  fieldSelector?: string;
  labelSelector?: string;
  /** Which of the server's objects count; one that stops counting is reported as gone. */
  include?: (object: T) => boolean;
  /** What of an object is kept and reported, all of its metadata among it; all of it if absent. */
  trim?: (object: T) => T;
  /** Called before each list, which waits for it; what it throws counts as the list's failure. */
  before?: (signal: AbortSignal) => Promise<void>;
  /** An object is new, has changed, or (undefined) is gone. Same versions and own writes ({@link ListWatch.put}) are not reported. */
  onChange: (key: string, object: T | undefined) => void;
  /** The first list is complete (after its `onChange` calls). Called once. */
  onSync?: () => void;
  /** The connection to the API server works, or does not (with the reason). Called when that changes. */
  onConnected?: (connected: boolean, error?: Error) => void;
  logger: Logger;
  /** Shortened by tests. */
  timers?: Partial<ListWatchTiming>;
};

/**
 * A cache of a collection that follows the API server for as long as it lives: list, then watch after watch from the last
 * version seen, which costs nothing but a renewal each 5 to 10 minutes when nothing happens (or after a long silence, see
 * {@link WatchTiming}). A version that is too old (410), or that a server restored from a backup has yet to come to, or an
 * ERROR event leads to a new list, whose differences are reported; failures to backoff and another try, for ever.
 */
export class ListWatch<T extends KubeObject> {
  readonly #options: ListWatchOptions<T>;
  readonly #timing: ListWatchTiming;
  readonly #cache: ObjectCache<T>;
  readonly #stop = new AbortController();
  #running: Promise<void> | undefined;
  #fieldSelector: string | undefined;
  /** Keys being written, and the versions the watch brought of them meanwhile. */
  readonly #held = new Map<string, { writes: number; versions: Set<string> }>();
  /** Where the next watch goes on; undefined: a list is needed. */
  #version: string | undefined;
  /**
   * The last watch did not last for as long as it was asked for: the server may have been restored from a backup meanwhile.
   * Of a version that is still to come, a watch says nothing until it has come.
   */
  #doubted = false;
  /** The server was restored from a backup, and not listed since. */
  #restored = false;
  /** Since the last watch that worked. */
  #failures = { backoff: 0, refusedBackoff: 0 };
  /** The last failure was a version too old: the list that follows it needs no wait, unless that did not help. */
  #gone = false;
  #failingSince: number | undefined;
  #synced = false;
  /** Undefined before the first answer or failure. */
  #connected: boolean | undefined;

  constructor(options: ListWatchOptions<T>) {
    this.#options = options;
    this.#timing = { ...TIMING, ...options.timers };
    this.#cache = new ObjectCache<T>(options.include, options.trim);
    this.#fieldSelector = options.fieldSelector;
  }

  /** Whether the first list is complete. */
  get synced(): boolean {
    return this.#synced;
  }

  /** Whether the last thing heard of the API server was an answer. */
  get connected(): boolean {
    return this.#connected === true;
  }

  /** The object as last seen, to be read only: it is the cache's own. */
  get(key: string): T | undefined {
    return this.#cache.get(key);
  }

  /** All objects, to be read only. */
  list(): T[] {
    return this.#cache.list();
  }

  /** Takes the answer to an own write into the cache if it is newer; it is then not reported as a change. */
  put(object: T): void {
    this.#cache.put(object);
  }

  /**
   * Does an own write of the key's object and puts the answer. The watch often brings the write before the answer comes:
   * the key's news are therefore held until then, and only what is not this write is reported. Deletions are not held.
   * @throws what `request` throws.
   */
  async write(key: string, request: () => Promise<T>): Promise<T> {
    const held = this.#held.get(key) ?? { writes: 0, versions: new Set<string>() };
    this.#held.set(key, held);
    held.writes++;
    try {
      const answer = await request();
      this.#cache.put(answer);
      held.versions.delete(answer.metadata.resourceVersion);
      return answer;
    } finally {
      if (--held.writes === 0) {
        this.#held.delete(key);
        if (held.versions.size > 0) this.#report({ key, object: this.#cache.get(key) });
      }
    }
  }

  start(): void {
    this.#running ??= this.#run();
  }

  /** Ends the watch; nothing is reported any more once this resolves. */
  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#running;
  }

  async #run(): Promise<void> {
    while (!this.#stopped()) {
      try {
        if (this.#doubted) await this.#askVersion();
        if (this.#version === undefined) await this.#list();
        else await this.#watch(this.#version);
      } catch (error) {
        if (!this.#stopped()) await this.#recover(error instanceof Error ? error : new Error(String(error)));
      }
    }
  }

  #stopped(): boolean {
    return this.#stop.signal.aborted;
  }

  #selectors(): Query {
    return { fieldSelector: this.#fieldSelector, labelSelector: this.#options.labelSelector };
  }

  /** Whether the server knows the version yet that the next watch would go on from; if not, a list is needed. */
  async #askVersion(): Promise<void> {
    const { api, path, logger } = this.#options;
    const version = this.#version;
    if (version === undefined) return;
    const current = await api.version(path, { query: this.#selectors(), signal: this.#stop.signal });
    this.#doubted = false;
    if ((compareVersions(current, version) ?? 0) >= 0) return;
    logger.warn({ path, version, current }, "the API server has gone back to an earlier version: listing again");
    this.#restored = true;
    this.#version = undefined;
  }

  async #list(): Promise<void> {
    const { api, path, onSync, before } = this.#options;
    await before?.(this.#stop.signal);
    this.#cache.beginList();
    const list = await api.list<T>(path, { query: this.#selectors(), signal: this.#stop.signal });
    this.#setConnected(true);
    const changes = this.#cache.replace(list.items, this.#restored);
    this.#version = list.resourceVersion;
    this.#doubted = false;
    this.#restored = false;
    for (const change of changes) this.#report(change);
    if (this.#synced) return;
    this.#synced = true;
    this.#call(() => onSync?.());
  }

  async #watch(resourceVersion: string): Promise<void> {
    const health = new WatchHealth(this.#timing.shortMs);
    this.#doubted = true;
    try {
      const isWhole = await watchOnce<T>(this.#options.api, {
        path: this.#options.path,
        query: { ...this.#selectors(), resourceVersion },
        timing: this.#timing,
        signal: this.#stop.signal,
        onOpen: () => {
          health.opened();
          this.#setConnected(true);
        },
        onEvent: ({ type, object }) => {
          health.delivered();
          this.#version = object.metadata.resourceVersion;
          const change = type === "BOOKMARK" ? undefined : this.#cache.apply(type, object);
          if (change !== undefined) this.#reportUnlessHeld(change, object.metadata.resourceVersion);
          return undefined;
        },
      });
      this.#doubted = !isWhole;
      if (!health.good()) throw new Error("the watch ended as soon as it began");
    } finally {
      if (health.good()) {
        this.#failures = { backoff: 0, refusedBackoff: 0 };
        this.#gone = false;
        this.#failingSince = undefined;
      }
    }
  }

  #reportUnlessHeld(change: Change<T>, version: string): void {
    const held = change.object === undefined ? undefined : this.#held.get(change.key);
    if (held === undefined) this.#report(change);
    else held.versions.add(version);
  }

  #report({ key, object }: Change<T>): void {
    if (!this.#stopped())
      this.#call(() => {
        this.#options.onChange(key, object);
      });
  }

  /** What the owner does with the news must not be taken for a failure of the watch. */
  #call(callback: () => void): void {
    try {
      callback();
    } catch (error) {
      this.#options.logger.error(
        { err: error, path: this.#options.path },
        "news of the API server could not be handed on",
      );
    }
  }

  /** Decides what an error means for the next round, and waits if it is a failure. */
  async #recover(error: Error): Promise<void> {
    const { logger, path } = this.#options;
    // Servers word it differently; should it have been something else that is bad, the next answer says so.
    if (this.#fieldSelector !== undefined && error instanceof ApiError && error.code === 400) {
      logger.info(
        { path, fieldSelector: this.#fieldSelector, reason: error.message },
        "the API server can't select by this field: selecting here",
      );
      this.#fieldSelector = undefined;
      this.#version = undefined;
      return;
    }
    // One that is made anew has nothing in common with what was followed.
    const refused = error instanceof ApiError && (isNotServed(error) || !isUnavailable(error));
    if (refused) this.#version = undefined;
    const goneAgain = this.#gone;
    this.#gone = isGone(error);
    if (this.#gone && !goneAgain) {
      logger.info({ path, reason: error.message }, "the watch is too far behind: listing again");
      return;
    }
    const kind = refused ? "refusedBackoff" : "backoff";
    const attempt = this.#failures[kind]++;
    this.#setConnected(false, error);
    this.#failingSince ??= performance.now();
    if (performance.now() - this.#failingSince >= this.#timing.relistAfterMs) this.#version = undefined;
    const asked = error instanceof ApiError ? (error.retryAfterMs ?? 0) : 0;
    const delay = Math.max(backoffMs(this.#timing[kind], attempt), asked);
    logger.debug({ path, attempt, delayMs: Math.round(delay), err: error }, "watch failed");
    await sleep(delay, undefined, { signal: this.#stop.signal }).catch(() => undefined);
  }

  #setConnected(connected: boolean, error?: Error): void {
    if (connected === this.#connected) return;
    this.#connected = connected;
    const { logger, path, onConnected } = this.#options;
    if (connected) logger.info({ path }, "following the API server");
    else logger.warn({ path, reason: error?.message }, "lost the API server, trying again");
    this.#call(() => onConnected?.(connected, error));
  }
}

/** Tells a watch that worked, however it ended, from one that never did. */
class WatchHealth {
  readonly #shortMs: number;
  #openedAt = Infinity;
  #delivered = false;

  constructor(shortMs: number) {
    this.#shortMs = shortMs;
  }

  opened(): void {
    this.#openedAt = performance.now();
  }

  delivered(): void {
    this.#delivered = true;
  }

  good(): boolean {
    return this.#delivered || performance.now() - this.#openedAt >= this.#shortMs;
  }
}
