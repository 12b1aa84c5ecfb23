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
   * happened before. false, once, when it broke or could not be made; it is tried again until it holds.
   */
  readonly onConnected: (connected: boolean, error?: unknown) => void;
}

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
  readonly #logger: Logger;
  readonly #closed = new AbortController();
  #connected: boolean | undefined;

  constructor(client: EventService, options: SubscribeOptions, logger: Logger) {
    this.#events = client;
    this.#options = options;
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
      this.#tell(false, error);
      await delay(backoffMs, undefined, { signal }).catch(() => undefined);
      backoffMs = Math.min(backoffMs * 2, BACKOFF.mostMs);
    }
  }

  /** One stream, from its start to its end; returns why it ended. */
  async #follow(): Promise<unknown> {
    // containerd answers a Subscribe only with events, so whether it holds shows when an event of our own comes back.
    const marker = `/berth/marker/${randomUUID()}`;
    const seen = new AbortController();
    const attempt = new AbortController();
    const signal = AbortSignal.any([this.#closed.signal, attempt.signal]);
    const filters = [...this.#options.filters, `topic=="${marker}"`];
    let failure: unknown;
    void this.#publish(marker, AbortSignal.any([signal, seen.signal])).catch((error: unknown) => {
      failure = error;
      attempt.abort();
    });
    try {
      for await (const envelope of this.#events.subscribe({ filters }, { signal })) {
        if (envelope.topic !== marker) this.#deliver(envelope);
        else if (!seen.signal.aborted) {
          seen.abort();
          this.#tell(true);
        }
      }
      return failure ?? new Error("containerd ended the event stream");
    } catch (error) {
      return failure ?? error;
    } finally {
      attempt.abort();
    }
  }

  /** Publishes the marker until it was seen: what is published before the subscription holds is lost. */
  async #publish(topic: string, signal: AbortSignal): Promise<void> {
    const event = packMessage(EmptySchema, {});
    for (let waitMs = MARKER.firstMs; !signal.aborted; waitMs = Math.min(waitMs * 2, MARKER.mostMs)) {
      await this.#events.publish({ topic, event });
      await delay(waitMs, undefined, { signal }).catch(() => undefined);
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

  #tell(connected: boolean, error?: unknown): void {
    if (this.#connected === connected) return;
    this.#connected = connected;
    this.#options.onConnected(connected, error);
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
