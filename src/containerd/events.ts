import { createRegistry, isMessage } from "@bufbuild/protobuf";
import type { Any } from "@bufbuild/protobuf/wkt";
import { anyUnpack, EmptySchema } from "@bufbuild/protobuf/wkt";
import { randomUUID } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";
import type { Logger } from "pino";
import { packMessage } from "./any.ts";
import type { ServiceClient } from "./client.ts";
import type { Events } from "./proto/event_service_pb.ts";
import * as events from "./proto/events_pb.ts";
import type { Envelope } from "./proto/types_pb.ts";
import { dateOf } from "./tasks.ts";

/** What happened to a task, or `other` for an event Berth has no use for. execId is undefined for the init process. */
export type DecodedEvent =
  | {
      type: "exit";
      containerId: string;
      execId: string | undefined;
      pid: number;
      exitStatus: number;
      exitedAt: Date | undefined;
    }
  | {
      type: "delete";
      containerId: string;
      execId: string | undefined;
      pid: number;
      exitStatus: number;
      exitedAt: Date | undefined;
    }
  | { type: "oom" | "paused" | "resumed" | "checkpointed"; containerId: string }
  | { type: "create" | "start"; containerId: string; pid: number }
  | { type: "other"; typeUrl: string };

/** An event with where and when it was published. */
export interface ReceivedEvent {
  readonly topic: string;
  readonly namespace: string;
  readonly timestamp: Date | undefined;
  readonly event: DecodedEvent;
}

/** What to subscribe to and whom to tell. */
export interface SubscribeOptions {
  /** Any one matching is enough; values in quotes: `topic~="^/tasks/",namespace=="berth"`. */
  readonly filters: readonly string[];
  readonly onEvent: (event: ReceivedEvent) => void;
  /**
   * true when the subscription is known to hold: what happens from now on will be told. Look at the state then, for what
   * happened before; true comes again from time to time, for an event may be lost. false, once, when it broke, could not
   * be made, or containerd does not answer; it is tried again until it holds.
   */
  readonly onConnected: (connected: boolean, error?: unknown) => void;
  /** Shortened by tests. */
  readonly timing?: Partial<SubscriptionTiming>;
}

/** How a subscription is known to hold, in milliseconds. */
export interface SubscriptionTiming {
  /** An event of one's own is published this often, for a containerd that hangs ends no stream. */
  readonly beatMs: number;
  /** It has to be answered, and to come back, within this time. */
  readonly answerMs: number;
  /** `onConnected(true)` is repeated this often. */
  readonly lookMs: number;
}

const TIMING: SubscriptionTiming = { beatMs: 10_000, answerMs: 15_000, lookMs: 300_000 };

const TASK_EVENTS = createRegistry(
  events.TaskCreateSchema,
  events.TaskStartSchema,
  events.TaskDeleteSchema,
  events.TaskExitSchema,
  events.TaskOOMSchema,
  events.TaskPausedSchema,
  events.TaskResumedSchema,
  events.TaskCheckpointedSchema,
);

/** Milliseconds; the socket is on this machine, so trying costs nothing. */
const BACKOFF = { firstMs: 50, mostMs: 500 };
const MARKER = { firstMs: 5, mostMs: 1000 };

type EventService = Pick<ServiceClient<typeof Events>, "subscribe" | "publish">;

/** A subscription to containerd's events that goes on until it is closed, whatever becomes of containerd. */
export class Subscription {
  readonly #events: EventService;
  readonly #options: SubscribeOptions;
  readonly #timing: SubscriptionTiming;
  readonly #logger: Logger;
  readonly #closed = new AbortController();
  /** Undefined before the first attempt has shown. */
  #connected: boolean | undefined;
  /** When `onConnected(true)` was called last, by the monotonic clock. */
  #toldAt = 0;

  constructor(client: EventService, options: SubscribeOptions, logger: Logger) {
    this.#events = client;
    this.#options = options;
    this.#timing = { ...TIMING, ...options.timing };
    this.#logger = logger;
    void this.#run();
  }

  close(): void {
    this.#closed.abort();
  }

  async #run(): Promise<void> {
    const { signal } = this.#closed;
    let backoffMs = BACKOFF.firstMs;
    for (;;) {
      const error = await this.#follow();
      if (signal.aborted) return;
      if (this.#connected === true) backoffMs = BACKOFF.firstMs;
      this.#disconnected(error);
      await delay(backoffMs, undefined, { signal }).catch(() => undefined);
      backoffMs = Math.min(backoffMs * 2, BACKOFF.mostMs);
    }
  }

  /** One stream, from its start to its end; returns why it ended. */
  async #follow(): Promise<unknown> {
    // containerd answers a Subscribe only with events, so whether it holds shows when an event of our own comes back.
    const marker = `/berth/marker/${randomUUID()}`;
    const attempt = new AbortController();
    const signal = AbortSignal.any([this.#closed.signal, attempt.signal]);
    const filters = [...this.#options.filters, `topic=="${marker}"`];
    let seen = new AbortController();
    const beat = async (): Promise<void> => {
      for (;;) {
        await this.#publish(marker, seen.signal, signal);
        await delay(this.#timing.beatMs, undefined, { signal });
        seen = new AbortController();
      }
    };
    let failure: unknown;
    void beat().catch((error: unknown) => {
      if (!signal.aborted) failure = error;
      attempt.abort();
    });
    try {
      for await (const envelope of this.#events.subscribe({ filters }, { signal })) {
        if (envelope.topic !== marker) this.#deliver(envelope);
        else if (!seen.signal.aborted) {
          seen.abort();
          this.#proven();
        }
      }
      return failure ?? new Error("containerd ended the event stream");
    } catch (error) {
      return failure ?? error;
    } finally {
      attempt.abort();
      seen.abort();
    }
  }

  /**
   * Publishes the marker until it was seen: what is published before the subscription holds is lost.
   * @throws ContainerdError; Error when it does not come back; the signal's reason
   */
  async #publish(topic: string, seen: AbortSignal, signal: AbortSignal): Promise<void> {
    const { answerMs } = this.#timing;
    const event = packMessage(EmptySchema, {});
    const until = performance.now() + answerMs;
    for (let waitMs = MARKER.firstMs; !seen.aborted; waitMs = Math.min(waitMs * 2, MARKER.mostMs)) {
      if (performance.now() > until) throw new Error("containerd's event stream does not bring what is published");
      await this.#events.publish({ topic, event }, { timeoutMs: answerMs, signal, probe: true });
      await delay(waitMs, undefined, { signal: seen }).catch(() => undefined);
      signal.throwIfAborted();
    }
  }

  #deliver(envelope: Envelope): void {
    const { topic, namespace } = envelope;
    try {
      const event = decodeEvent(envelope.event);
      this.#options.onEvent({ topic, namespace, timestamp: dateOf(envelope.timestamp), event });
    } catch (error) {
      // A listener's or an odd event's fault must not cost the subscription.
      this.#logger.error({ err: error, topic, namespace }, "an event could not be handled");
    }
  }

  #proven(): void {
    const now = performance.now();
    if (this.#connected === true && now - this.#toldAt < this.#timing.lookMs) return;
    this.#connected = true;
    this.#toldAt = now;
    this.#options.onConnected(true);
  }

  #disconnected(error: unknown): void {
    if (this.#connected === false) return;
    this.#connected = false;
    this.#options.onConnected(false, error);
  }
}

/** An event's payload in Berth's types. */
export function decodeEvent(any: Any | undefined): DecodedEvent {
  const message = any === undefined ? undefined : anyUnpack(any, TASK_EVENTS);
  if (isMessage(message, events.TaskExitSchema)) return { type: "exit", ...ended(message) };
  if (isMessage(message, events.TaskDeleteSchema)) return { type: "delete", ...ended(message) };
  if (isMessage(message, events.TaskOOMSchema)) return { type: "oom", containerId: message.containerId };
  if (isMessage(message, events.TaskPausedSchema)) return { type: "paused", containerId: message.containerId };
  if (isMessage(message, events.TaskResumedSchema)) return { type: "resumed", containerId: message.containerId };
  if (isMessage(message, events.TaskCheckpointedSchema)) {
    return { type: "checkpointed", containerId: message.containerId };
  }
  if (isMessage(message, events.TaskCreateSchema)) {
    return { type: "create", containerId: message.containerId, pid: message.pid };
  }
  if (isMessage(message, events.TaskStartSchema)) {
    return { type: "start", containerId: message.containerId, pid: message.pid };
  }
  return { type: "other", typeUrl: any?.typeUrl ?? "" };
}

function ended({ containerId, id, pid, exitStatus, exitedAt }: events.TaskExit | events.TaskDelete) {
  // The init process's id is the container's, or empty.
  const execId = id === "" || id === containerId ? undefined : id;
  return { containerId, execId, pid, exitStatus, exitedAt: dateOf(exitedAt) };
}
