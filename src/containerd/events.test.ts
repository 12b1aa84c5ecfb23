import { create } from "@bufbuild/protobuf";
import { type Any, EmptySchema } from "@bufbuild/protobuf/wkt";
import { afterEach, describe, expect, it, jest } from "@jest/globals";
import { status } from "@grpc/grpc-js";
import { EventEmitter, on } from "node:events";
import { pino } from "pino";
import { packMessage } from "./any.ts";
import { ContainerdError } from "./errors.ts";
import { decodeEvent, type ReceivedEvent, Subscription, type SubscriptionTiming } from "./events.ts";
import { TaskDeleteSchema, TaskExitSchema, TaskOOMSchema, TaskStartSchema } from "./proto/events_pb.ts";
import { EnvelopeSchema, type Envelope } from "./proto/types_pb.ts";

const EXITED = { seconds: 1_700_000_000n, nanos: 500_000_000 };
const logger = pino({ level: "silent" });

/** containerd's exchange: what is published reaches those subscribed at that moment, and nobody else. */
class FakeEvents {
  readonly #bus = new EventEmitter();
  /** So many publications are lost, as they are before a subscription holds. */
  lost = 0;
  filters: readonly string[] = [];
  subscriptions = 0;
  published = 0;

  async *subscribe(request: { filters?: readonly string[] }, options?: { signal?: AbortSignal | undefined }) {
    this.subscriptions += 1;
    this.filters = request.filters ?? [];
    const signal = options?.signal;
    for await (const [envelope] of on(this.#bus, "event", { close: ["end"], ...(signal ? { signal } : {}) })) {
      yield envelope as Envelope;
    }
  }

  publish(request: { topic?: string; event?: unknown }) {
    this.published += 1;
    if (this.lost > 0) this.lost -= 1;
    else this.emit(request.topic ?? "", request.event as Any);
    return Promise.resolve(create(EmptySchema));
  }

  emit(topic: string, event: Any): void {
    this.#bus.emit("event", create(EnvelopeSchema, { topic, namespace: "berth", timestamp: EXITED, event }));
  }

  end(): void {
    this.#bus.emit("end");
  }
}

describe("Subscription", () => {
  let subscription: Subscription | undefined;
  afterEach(() => subscription?.close());

  /** Subscribes, and answers what is told as one promise a call. */
  function subscribe(
    fake: FakeEvents,
    onEvent: (event: ReceivedEvent) => void = () => undefined,
    timing: Partial<SubscriptionTiming> = {},
  ) {
    const told: [boolean, unknown][] = [];
    const bus = new EventEmitter();
    const onConnected = (connected: boolean, error?: unknown) => {
      told.push([connected, error]);
      bus.emit("told");
    };
    const options = { filters: ['namespace=="berth"'], onEvent, onConnected, timing };
    subscription = new Subscription(fake, options, logger);
    const toldTimes = async (n: number) => {
      while (told.length < n) await new Promise((resolve) => bus.once("told", resolve));
      return told;
    };
    return { told, toldTimes };
  }

  it("says connected only when an event of its own has come back", async () => {
    const fake = new FakeEvents();
    fake.lost = 3;
    const { toldTimes } = subscribe(fake);
    expect(await toldTimes(1)).toEqual([[true, undefined]]);
    expect(fake.published).toBe(4);
    expect(fake.filters).toEqual([
      'namespace=="berth"',
      expect.stringMatching(/^topic=="\/berth\/marker\/[0-9a-f-]+"$/),
    ]);
  });

  it("delivers events but not its markers, decoded", async () => {
    const fake = new FakeEvents();
    const received: ReceivedEvent[] = [];
    const { toldTimes } = subscribe(fake, (event) => received.push(event));
    await toldTimes(1);
    fake.emit("/tasks/oom", packMessage(TaskOOMSchema, { containerId: "c1" }));
    await new Promise(setImmediate);
    expect(received).toEqual([
      {
        topic: "/tasks/oom",
        namespace: "berth",
        timestamp: new Date(1_700_000_000_500),
        event: { type: "oom", containerId: "c1" },
      },
    ]);
  });

  it("subscribes again when the stream ended, and tells both", async () => {
    const fake = new FakeEvents();
    const { toldTimes } = subscribe(fake);
    await toldTimes(1);
    fake.end();
    const told = await toldTimes(3);
    expect(told.map(([connected]) => connected)).toEqual([true, false, true]);
    expect(told[1]?.[1]).toEqual(new Error("containerd ended the event stream"));
  });

  it("tells once that it can't connect, however often it tries", async () => {
    const fake = new FakeEvents();
    const failure = new Error("no socket");
    let failing = true;
    const publish = fake.publish.bind(fake);
    fake.publish = (request) => (failing ? Promise.reject(failure) : publish(request));
    const { told, toldTimes } = subscribe(fake);
    await toldTimes(1);
    while (fake.subscriptions < 3) await new Promise((resolve) => setTimeout(resolve, 10));
    expect(told).toEqual([[false, failure]]);
    failing = false;
    expect(await toldTimes(2)).toEqual([
      [false, failure],
      [true, undefined],
    ]);
  });

  const BEAT = { beatMs: 10, answerMs: 50 };

  it("notices a containerd that does not answer any more, and follows it again", async () => {
    const fake = new FakeEvents();
    const publish = fake.publish.bind(fake);
    const { toldTimes } = subscribe(fake, undefined, BEAT);
    await toldTimes(1);
    const hangs = new ContainerdError("Events.Publish", status.UNAVAILABLE, "containerd does not answer");
    fake.publish = () => Promise.reject(hangs);
    expect((await toldTimes(2))[1]).toEqual([false, hangs]);
    fake.publish = publish;
    expect((await toldTimes(3))[2]).toEqual([true, undefined]);
  });

  it("subscribes again when its stream brings nothing any more, though containerd answers", async () => {
    const fake = new FakeEvents();
    const { toldTimes } = subscribe(fake, undefined, BEAT);
    await toldTimes(1);
    fake.lost = Infinity;
    const [, lost] = await toldTimes(2);
    expect(lost).toEqual([false, new Error("containerd's event stream does not bring what is published")]);
    fake.lost = 0;
    expect((await toldTimes(3))[2]).toEqual([true, undefined]);
  });

  it("has the state looked at from time to time, for an event may have been lost", async () => {
    const fake = new FakeEvents();
    const { toldTimes } = subscribe(fake, undefined, { beatMs: 5, lookMs: 20 });
    expect(await toldTimes(3)).toEqual([
      [true, undefined],
      [true, undefined],
      [true, undefined],
    ]);
    expect(fake.subscriptions).toBe(1);
    expect(fake.published).toBeGreaterThan(6);
  });

  it("goes on after a listener that throws", async () => {
    const fake = new FakeEvents();
    const onEvent = jest.fn<(event: ReceivedEvent) => void>(() => {
      throw new Error("listener");
    });
    const { told, toldTimes } = subscribe(fake, onEvent);
    await toldTimes(1);
    const event = packMessage(TaskOOMSchema, { containerId: "c1" });
    fake.emit("/tasks/oom", event);
    fake.emit("/tasks/oom", event);
    await new Promise(setImmediate);
    expect(onEvent).toHaveBeenCalledTimes(2);
    expect(told).toHaveLength(1);
  });

  it("says nothing more once closed", async () => {
    const fake = new FakeEvents();
    const { told, toldTimes } = subscribe(fake);
    await toldTimes(1);
    subscription?.close();
    await new Promise((resolve) => setTimeout(resolve, 100));
    expect(told).toHaveLength(1);
    expect(fake.subscriptions).toBe(1);
  });
});

describe("decodeEvent", () => {
  const exit = { containerId: "c1", pid: 7, exitStatus: 137, exitedAt: EXITED };
  const decoded = { containerId: "c1", pid: 7, exitStatus: 137, exitedAt: new Date(1_700_000_000_500) };

  it("tells the init process's end from an exec's", () => {
    expect(decodeEvent(packMessage(TaskExitSchema, { ...exit, id: "c1" }))).toEqual({ type: "exit", ...decoded });
    expect(decodeEvent(packMessage(TaskExitSchema, { ...exit, id: "probe" }))).toEqual({
      type: "exit",
      execId: "probe",
      ...decoded,
    });
    expect(decodeEvent(packMessage(TaskDeleteSchema, exit))).toEqual({ type: "delete", ...decoded });
  });

  it("decodes by the type's name, with or without a prefix", () => {
    const start = packMessage(TaskStartSchema, { containerId: "c1", pid: 7 });
    expect(decodeEvent(start)).toEqual({ type: "start", containerId: "c1", pid: 7 });
    const prefixed = { ...start, typeUrl: `type.googleapis.com/${start.typeUrl}` };
    expect(decodeEvent(prefixed)).toEqual({ type: "start", containerId: "c1", pid: 7 });
  });

  it("names a type it does not know", () => {
    expect(decodeEvent(packMessage(EmptySchema, {}))).toEqual({ type: "other", typeUrl: "google.protobuf.Empty" });
  });
});
