import type { KubeApi, Query, WatchEvent } from "./api.ts";
import { ApiUnavailable, errorOfStatus } from "./errors.ts";
import type { KubeObject } from "./object.ts";

/** How long one watch may last and how long it may be silent. */
export type WatchTiming = {
  /** The server is asked to end the watch after a random time between these, seconds. client-go's numbers. */
  minSeconds: number;
  maxSeconds: number;
  /** A server that has not ended the watch this long after it should have is taken for dead, milliseconds. */
  marginMs: number;
  /**
   * A watch that brings nothing for this many milliseconds is opened anew: what is between may have forgotten it. (Of a
   * peer that is gone TCP itself tells, by its keepalive.)
   */
  silenceMs: number;
  /** The same once it has brought a bookmark: a server that sends them to quiet watches does so about once a minute. */
  markedSilenceMs: number;
};

/** The times in use outside of tests. */
export const WATCH_TIMING: WatchTiming = {
  minSeconds: 300,
  maxSeconds: 600,
  marginMs: 15_000,
  silenceMs: 400_000,
  markedSilenceMs: 130_000,
};

export type OneWatch<T> = {
  path: string;
  query: Query;
  timing: WatchTiming;
  signal: AbortSignal;
  /** The server has accepted the watch. */
  onOpen?: () => void;
  /** Called in order; answering "stop" ends the watch as if the server had. */
  onEvent: (event: Exclude<WatchEvent<T>, { type: "ERROR" }>) => "stop" | undefined;
};

/**
 * One watch from its opening to its end by the server, or by silence: whether that was a dead connection is told by the
 * next one, which has a connection of its own. Answers whether it has lasted for as long as the server was asked to let it.
 * @throws ApiError when the server refuses it or ends it with an ERROR event, ApiUnavailable when it breaks or goes on for
 * longer than it was asked to
 */
export async function watchOnce<T extends KubeObject>(api: KubeApi, watch: OneWatch<T>): Promise<boolean> {
  const { timing } = watch;
  const timeoutSeconds = Math.round(timing.minSeconds + Math.random() * (timing.maxSeconds - timing.minSeconds));
  const guard = new WatchGuard(watch.signal, watch.path);
  const wholeAt = performance.now() + timeoutSeconds * 1000;
  guard.expectEnd(timeoutSeconds * 1000 + timing.marginMs);
  try {
    const query = { ...watch.query, allowWatchBookmarks: true, timeoutSeconds };
    const events = await api.watch<T>(watch.path, { query, signal: guard.signal });
    watch.onOpen?.();
    let { silenceMs } = timing;
    guard.expectNews(silenceMs);
    for await (const event of events) {
      if (event.type === "ERROR") throw errorOfStatus(event.object, { code: 500, message: "the watch failed" });
      if (event.type === "BOOKMARK") silenceMs = Math.min(silenceMs, timing.markedSilenceMs);
      guard.expectNews(silenceMs);
      if (watch.onEvent(event) === "stop") return false;
    }
    return performance.now() >= wholeAt;
  } catch (error) {
    if (error !== guard.silence) throw error;
    return false;
  } finally {
    guard.end();
  }
}

/** Aborts its signal with an ApiUnavailable when what was expected did not come in time. */
class WatchGuard {
  readonly #controller = new AbortController();
  readonly #outer: AbortSignal;
  readonly #path: string;
  #last: NodeJS.Timeout | undefined;
  #soon: NodeJS.Timeout | undefined;
  /** Thrown when no news came in time. */
  readonly silence: ApiUnavailable;

  constructor(outer: AbortSignal, path: string) {
    this.#outer = outer;
    this.#path = path;
    this.silence = new ApiUnavailable(`GET ${path}: nothing came any more`);
    outer.addEventListener("abort", this.#onOuter, { once: true });
    if (outer.aborted) this.#onOuter();
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  expectEnd(ms: number): void {
    this.#last = setTimeout(() => {
      this.#controller.abort(new ApiUnavailable(`GET ${this.#path}: the server did not end the watch in time`));
    }, ms);
  }

  expectNews(ms: number): void {
    clearTimeout(this.#soon);
    this.#soon = setTimeout(() => {
      this.#controller.abort(this.silence);
    }, ms);
  }

  /** Also closes the connection, should it still be open. */
  end(): void {
    clearTimeout(this.#last);
    clearTimeout(this.#soon);
    this.#outer.removeEventListener("abort", this.#onOuter);
    this.#controller.abort();
  }

  readonly #onOuter = (): void => {
    this.#controller.abort(this.#outer.reason);
  };
}
