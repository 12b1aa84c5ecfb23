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
   * Servers that send bookmarks do so about once a minute. Once one has come, a silence of this many milliseconds means
   * a connection that is dead without either side having been told.
   */
  silenceMs: number;
};

/** The times in use outside of tests. */
export const WATCH_TIMING: WatchTiming = { minSeconds: 300, maxSeconds: 600, marginMs: 15_000, silenceMs: 180_000 };

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
 * One watch from its opening to its regular end. A connection that is dead without being closed is given up in time.
 * @throws ApiError when the server refuses it or ends it with an ERROR event, ApiUnavailable when it breaks or falls silent.
 */
export async function watchOnce<T extends KubeObject>(api: KubeApi, watch: OneWatch<T>): Promise<void> {
  const { timing } = watch;
  const timeoutSeconds = Math.round(timing.minSeconds + Math.random() * (timing.maxSeconds - timing.minSeconds));
  const guard = new SilenceGuard(watch.signal, watch.path);
  guard.expect("the server did not end the watch in time", timeoutSeconds * 1000 + timing.marginMs);
  try {
    const query = { ...watch.query, allowWatchBookmarks: true, timeoutSeconds };
    const events = await api.watch<T>(watch.path, { query, signal: guard.signal });
    watch.onOpen?.();
    let bookmarks = false;
    for await (const event of events) {
      if (event.type === "ERROR") throw errorOfStatus(event.object, { code: 500, message: "the watch failed" });
      bookmarks ||= event.type === "BOOKMARK";
      if (bookmarks) guard.expectSoon("no bookmark came any more", timing.silenceMs);
      if (watch.onEvent(event) === "stop") return;
    }
  } finally {
    guard.end();
  }
}

/** Aborts its signal with an ApiUnavailable when what was expected did not come in time. */
class SilenceGuard {
  readonly #controller = new AbortController();
  readonly #outer: AbortSignal;
  readonly #path: string;
  #last: NodeJS.Timeout | undefined;
  #soon: NodeJS.Timeout | undefined;

  constructor(outer: AbortSignal, path: string) {
    this.#outer = outer;
    this.#path = path;
    outer.addEventListener("abort", this.#onOuter, { once: true });
    if (outer.aborted) this.#onOuter();
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  expect(message: string, ms: number): void {
    this.#last = setTimeout(this.#abort, ms, message);
  }

  expectSoon(message: string, ms: number): void {
    clearTimeout(this.#soon);
    this.#soon = setTimeout(this.#abort, ms, message);
  }

  /** Also closes the connection, should it still be open. */
  end(): void {
    clearTimeout(this.#last);
    clearTimeout(this.#soon);
    this.#outer.removeEventListener("abort", this.#onOuter);
    this.#controller.abort();
  }

  readonly #abort = (message: string): void => {
    this.#controller.abort(new ApiUnavailable(`GET ${this.#path}: ${message}`));
  };

  readonly #onOuter = (): void => {
    this.#controller.abort(this.#outer.reason);
  };
}
