import { randomBytes } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import type { Logger } from "pino";
import type { KubeApi } from "./api.ts";
import { backoffMs } from "./backoff.ts";
import { isAlreadyExists, isNotFound, isUnavailable } from "./errors.ts";
import type { KubeObject } from "./object.ts";
import { eventPath } from "./paths.ts";
import { SpamFilter } from "./spam-filter.ts";

/** What waits to be sent at most; then the oldest goes. */
const QUEUE_LIMIT = 1000;
/** Events remembered for being counted up; client-go's cache has this size. */
const MEMORY_LIMIT = 4096;
/** An Event as written by an API server's validation: reason 128 characters, message 1024 bytes. */
const MESSAGE_LIMIT = 1024;
const RETRY = { baseMs: 500, maxMs: 30_000 };
/** Milliseconds that an Event waits for what is more urgent. */
const YIELD_MS = 5000;

export type EventRecorderOptions = {
  api: KubeApi;
  /** Who reports, a qualified name (`berth.dev/agent`). */
  component: string;
  /** The node's name. */
  host: string;
  logger: Logger;
  /** Resolves when there is nothing more urgent to do: Events wait for that, each for {@link YIELD_MS} at the most. */
  idle?: () => Promise<void>;
  now?: () => Date;
};

/** One Event object, and what of it the API server has. */
type Entry = {
  namespace: string;
  name: string;
  object: KubeObject;
  type: string;
  reason: string;
  message: string;
  count: number;
  first: Date;
  last: Date;
  posted: boolean;
  /** By performance.now(). */
  queuedAt: number;
};

/**
 * Writes core/v1 Events, as client-go's recorder does: the same once more counts up the Event there is, an object has a
 * budget of them, and nothing here ever throws or keeps the caller waiting. While the API server is away they wait.
 */
export class EventRecorder {
  readonly #options: EventRecorderOptions;
  readonly #now: () => Date;
  readonly #filter = new SpamFilter();
  /** Least recently used first. */
  readonly #entries = new Map<string, Entry>();
  readonly #queue = new Set<Entry>();
  readonly #stop = new AbortController();
  /** The wait under way for what is more urgent; from the first flush on there is none. */
  #yielding: AbortController | undefined;
  #hurried = false;
  #sending: Promise<void> | undefined;
  #dropped = 0;

  constructor(options: EventRecorderOptions) {
    this.#options = options;
    this.#now = options.now ?? (() => new Date());
  }

  /** How many Events were never sent: over the object's budget, pushed out of a full queue, or refused. */
  get dropped(): number {
    return this.#dropped;
  }

  /**
   * Reports something about an object. Events of one object, type and reason with the same message are one Event with a
   * count; with `replaces`, those of the same `replaces` are, and the message becomes the latest (progress of a pull).
   */
  event(
    object: KubeObject,
    type: "Normal" | "Warning",
    reason: string,
    message: string,
    options: { replaces?: string } = {},
  ): void {
    const entry = this.#count(object, type, reason, message, options.replaces);
    if (this.#queue.has(entry)) return; // It goes with what waits already.
    const now = entry.last.getTime();
    this.#filter.sweep(now);
    if (this.#filter.admit(object.metadata.uid, now)) this.#enqueue(entry);
    else this.#dropped += 1;
  }

  /**
   * Reports something that must be known before the caller goes on, past queue and budget.
   * @throws ApiError, ApiUnavailable
   */
  async report(object: KubeObject, type: "Normal" | "Warning", reason: string, message: string): Promise<void> {
    await this.#send(this.#count(object, type, reason, message));
  }

  #count(object: KubeObject, type: string, reason: string, message: string, replaces?: string): Entry {
    const now = this.#now();
    const key = JSON.stringify([object.metadata.uid, type, reason, replaces ?? message]);
    const entry = this.#entries.get(key) ?? this.#newEntry(object, type, reason, now);
    this.#entries.delete(key);
    this.#entries.set(key, entry);
    for (const oldest of this.#entries.keys()) {
      if (this.#entries.size <= MEMORY_LIMIT) break;
      this.#entries.delete(oldest);
    }
    entry.count += 1;
    entry.last = now;
    entry.message = clip(message);
    return entry;
  }

  /** Waits until all is sent, at most `boundMs`; what is left then is not sent any more. */
  async flush(boundMs: number): Promise<void> {
    this.#hurried = true;
    this.#yielding?.abort();
    if (this.#sending === undefined) return;
    const timer = setTimeout(() => {
      this.#stop.abort();
    }, boundMs);
    await this.#sending;
    clearTimeout(timer);
  }

  #stopped(): boolean {
    return this.#stop.signal.aborted;
  }

  #newEntry(object: KubeObject, type: string, reason: string, now: Date): Entry {
    const namespace = object.metadata.namespace ?? "default";
    const name = eventName(object);
    return {
      namespace,
      name,
      object,
      type,
      reason,
      message: "",
      count: 0,
      first: now,
      last: now,
      posted: false,
      queuedAt: 0,
    };
  }

  #enqueue(entry: Entry): void {
    entry.queuedAt = performance.now();
    this.#queue.add(entry);
    for (const oldest of this.#queue) {
      if (this.#queue.size <= QUEUE_LIMIT) break;
      this.#queue.delete(oldest);
      this.#dropped += 1;
    }
    this.#sending ??= this.#sendAll();
  }

  async #sendAll(): Promise<void> {
    // Let the caller's own requests go first, and what it reports in one go come together.
    await sleep(0);
    for (let failures = 0; this.#queue.size > 0 && !this.#stop.signal.aborted;) {
      await this.#yield();
      const [entry] = this.#queue;
      if (entry === undefined) break;
      this.#queue.delete(entry);
      try {
        await this.#send(entry);
        failures = 0;
      } catch (error) {
        if (!isUnavailable(error) && !this.#stopped()) {
          this.#dropped += 1;
          this.#options.logger.warn({ err: error, reason: entry.reason, namespace: entry.namespace }, "Event refused");
          continue;
        }
        this.#putBack(entry);
        if (failures === 0) this.#options.logger.debug({ err: error }, "Events wait for the API server");
        await sleep(backoffMs(RETRY, failures++), undefined, { signal: this.#stop.signal }).catch(() => undefined);
      }
    }
    this.#sending = undefined;
  }

  /** Lets what is more urgent go first: a node that starts many containers at once has better things to do. */
  async #yield(): Promise<void> {
    const [entry] = this.#queue;
    const { idle } = this.#options;
    if (entry === undefined || idle === undefined || this.#hurried) return;
    const left = entry.queuedAt + YIELD_MS - performance.now();
    if (left <= 0) return;
    const over = new AbortController();
    this.#yielding = over;
    await Promise.race([idle(), sleep(left, undefined, { signal: over.signal }).catch(() => undefined)]);
    over.abort();
  }

  /** Before all others; it may have been queued anew meanwhile. */
  #putBack(entry: Entry): void {
    const rest = [...this.#queue].filter((other) => other !== entry);
    this.#queue.clear();
    for (const each of [entry, ...rest]) this.#queue.add(each);
  }

  async #send(entry: Entry): Promise<void> {
    const { api } = this.#options;
    const request = { signal: this.#stop.signal, timeoutMs: 10_000 };
    if (entry.posted) {
      const patch = { count: entry.count, lastTimestamp: entry.last.toISOString(), message: entry.message };
      try {
        await api.mergePatch(eventPath(entry.namespace, entry.name), patch, request);
        return;
      } catch (error) {
        if (!isNotFound(error)) throw error;
        // The server keeps Events for an hour; the count begins again, as in client-go.
        Object.assign(entry, { posted: false, name: eventName(entry.object), count: 1, first: entry.last });
      }
    }
    try {
      await api.create(eventPath(entry.namespace), this.#body(entry), request);
    } catch (error) {
      // An earlier try did arrive; only its answer was lost.
      if (!isAlreadyExists(error)) throw error;
    }
    entry.posted = true;
  }

  #body(entry: Entry): object {
    const { component, host } = this.#options;
    const { apiVersion, kind, metadata } = entry.object;
    const { name, namespace, uid, resourceVersion } = metadata;
    return {
      apiVersion: "v1",
      kind: "Event",
      metadata: { name: entry.name, namespace: entry.namespace },
      involvedObject: { apiVersion, kind, name, namespace, uid, resourceVersion },
      type: entry.type,
      reason: entry.reason,
      message: entry.message,
      count: entry.count,
      firstTimestamp: entry.first.toISOString(),
      lastTimestamp: entry.last.toISOString(),
      source: { component, host },
      reportingComponent: component,
      reportingInstance: host,
    };
  }
}

/** Unique, and telling whose it is, as client-go's. */
function eventName(object: KubeObject): string {
  return `${object.metadata.name}.${randomBytes(8).toString("hex")}`;
}

/** At most {@link MESSAGE_LIMIT} bytes, not cut inside a character. */
function clip(message: string): string {
  if (Buffer.byteLength(message) <= MESSAGE_LIMIT) return message;
  const head = Buffer.from(message).subarray(0, MESSAGE_LIMIT - Buffer.byteLength("…"));
  return new TextDecoder().decode(head, { stream: true }) + "…";
}
