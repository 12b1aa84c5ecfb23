/** A containerd of which single calls fail or events go astray: a proxy on its socket, for what the real one can't be made to do. */
import { rmSync } from "node:fs";
import http2 from "node:http2";
import { connect } from "node:net";
import { Transform } from "node:stream";
import { fromBinary } from "@bufbuild/protobuf";
import { EnvelopeSchema } from "../../src/containerd/proto/types_pb.ts";

const { NGHTTP2_FLAG_END_STREAM, NGHTTP2_CANCEL } = http2.constants;

/** gRPC's code for a fault of the server's own. */
const INTERNAL = "13";

/** Calls to fail, until {@link ContainerdProxy.heal}. */
export interface Fault {
  /** Service and method, as containerd names them: `Tasks/Create`. */
  readonly method: string;
  /** containerd never hears of the call, or does what it asks for and its answer is lost. */
  readonly when: "before" | "after";
  /** How many of them fail; all when absent. */
  readonly times?: number;
}

/** A call that is held up: containerd hears of it when the gate is opened. */
export interface Gate {
  /** Fulfilled when the call has come. */
  readonly called: Promise<void>;
  open(): void;
}

/** What becomes of an event on its way to the agent: `later` is with {@link ContainerdProxy.release}. */
export type Fate = "now" | "never" | "later";

/** What a failed call says. */
export const FAULT = "broken by the test";

/** Forwards gRPC calls from a socket of its own to containerd's. */
export class ContainerdProxy {
  readonly address: string;
  readonly #server: http2.Http2Server;
  readonly #sessions = new Set<http2.ServerHttp2Session>();
  readonly #target: string;
  #outside: http2.ClientHttp2Session | undefined;
  #faults: Fault[] = [];
  #failed = 0;
  readonly #gates = new Map<string, { called: () => void; open: Promise<void> }>();
  readonly #eventStreams = new Set<EventStream>();
  #fate: (topic: string) => Fate = () => "now";

  private constructor(address: string, target: string) {
    this.address = address;
    this.#target = target;
    this.#server = http2.createServer();
    this.#server.on("session", (session) => {
      this.#sessions.add(session);
      session.once("close", () => this.#sessions.delete(session));
    });
    this.#server.on("stream", (stream, headers) => {
      stream.on("error", () => undefined);
      this.#forward(stream, headers);
    });
  }

  /** A proxy that listens at `address`. */
  static async start(address: string, target: string): Promise<ContainerdProxy> {
    const proxy = new ContainerdProxy(address, target);
    await new Promise<void>((resolve) => proxy.#server.listen(address, resolve));
    return proxy;
  }

  /** From now on these calls fail. */
  break(...faults: Fault[]): void {
    this.#faults = faults;
    this.#failed = 0;
  }

  /** All calls go through again. Answers how many have failed. */
  heal(): number {
    this.#faults = [];
    return this.#failed;
  }

  /** Holds up the next call of a method. */
  hold(method: string): Gate {
    const called = Promise.withResolvers<undefined>();
    const open = Promise.withResolvers<undefined>();
    this.#gates.set(method, {
      called: () => {
        called.resolve(undefined);
      },
      open: open.promise,
    });
    return {
      called: called.promise,
      open: () => {
        open.resolve(undefined);
      },
    };
  }

  /** From now on events have a fate by their topic; without, all come at once. */
  divert(fate: (topic: string) => Fate = () => "now"): void {
    this.#fate = fate;
  }

  /** Hands on what was to come later, `times` times, the last first. Answers how many there were. */
  release(times = 1): number {
    return [...this.#eventStreams].reduce((count, stream) => count + stream.release(times), 0);
  }

  /** Hands on all events of tasks once more that the streams there are have handed on. */
  repeat(): void {
    for (const stream of this.#eventStreams) stream.repeat();
  }

  /** Ends the streams of events there are. */
  cutEvents(): void {
    for (const stream of this.#eventStreams) stream.destroy();
  }

  /** Ends everything. */
  async close(): Promise<void> {
    const closed = new Promise((resolve) => this.#server.close(resolve));
    for (const session of this.#sessions) session.destroy();
    this.#outside?.destroy();
    await closed;
    rmSync(this.address, { force: true });
  }

  #forward(inside: http2.ServerHttp2Stream, headers: http2.IncomingHttpHeaders): void {
    const fault = this.#faultFor(headers[":path"] ?? "");
    if (fault?.when === "before") {
      refuse(inside);
      return;
    }
    const [method = ""] = [...this.#gates.keys()].filter((held) => isCall(headers, held));
    const gate = this.#gates.get(method);
    this.#gates.delete(method);
    gate?.called();
    if (gate === undefined) this.#pass(inside, headers, fault);
    else
      void gate.open.then(() => {
        this.#pass(inside, headers, fault);
      });
  }

  #pass(inside: http2.ServerHttp2Stream, headers: http2.IncomingHttpHeaders, fault: Fault | undefined): void {
    if (inside.destroyed) return;
    const outside = this.#session().request(headers);
    outside.on("error", () => {
      inside.close(NGHTTP2_CANCEL);
    });
    inside.once("close", () => {
      if (!outside.closed) outside.close(NGHTTP2_CANCEL);
    });
    inside.pipe(outside);
    if (isCall(headers, "Events/Subscribe")) answer(inside, outside, this.#eventStream(inside));
    else if (fault === undefined) answer(inside, outside);
    else
      outside.resume().once("end", () => {
        refuse(inside);
      });
  }

  #eventStream(inside: http2.ServerHttp2Stream): EventStream {
    const events = new EventStream((topic) => this.#fate(topic));
    this.#eventStreams.add(events);
    events.once("close", () => {
      this.#eventStreams.delete(events);
      if (!inside.destroyed) inside.close(NGHTTP2_CANCEL);
    });
    inside.once("close", () => events.destroy());
    return events;
  }

  #faultFor(path: string): Fault | undefined {
    const index = this.#faults.findIndex(({ method }) => path.endsWith(`.${method}`));
    const fault = this.#faults[index];
    if (fault === undefined) return undefined;
    this.#failed++;
    if (fault.times !== undefined) {
      const times = fault.times - 1;
      this.#faults.splice(index, 1, ...(times > 0 ? [{ ...fault, times }] : []));
    }
    return fault;
  }

  #session(): http2.ClientHttp2Session {
    if (this.#outside === undefined || this.#outside.destroyed || this.#outside.closed) {
      this.#outside = http2.connect("http://containerd", { createConnection: () => connect(this.#target) });
      this.#outside.on("error", () => undefined);
    }
    return this.#outside;
  }
}

/** gRPC's messages of events, each of which comes now, later or never. */
class EventStream extends Transform {
  readonly #fate: (topic: string) => Fate;
  #bytes: Buffer = Buffer.alloc(0);
  #later: Buffer[] = [];
  readonly #past: Buffer[] = [];

  constructor(fate: (topic: string) => Fate) {
    super();
    this.#fate = fate;
  }

  override _transform(chunk: Buffer, _encoding: BufferEncoding, done: () => void): void {
    this.#bytes = Buffer.concat([this.#bytes, chunk]);
    // A byte that says whether it is compressed, the length in four, the message.
    while (this.#bytes.length >= 5) {
      const end = 5 + this.#bytes.readUInt32BE(1);
      if (this.#bytes.length < end) break;
      this.#take(this.#bytes.subarray(0, end));
      this.#bytes = this.#bytes.subarray(end);
    }
    done();
  }

  release(times: number): number {
    const events = this.#later.splice(0).reverse();
    for (const event of events) for (let time = 0; time < times; time++) this.push(event);
    this.#past.push(...events);
    return events.length;
  }

  repeat(): void {
    for (const event of this.#past) this.push(event);
  }

  #take(event: Buffer): void {
    const { topic } = fromBinary(EnvelopeSchema, event.subarray(5));
    const fate = this.#fate(topic);
    if (fate === "now") this.push(event);
    if (fate === "now" && topic.startsWith("/tasks/")) this.#past.push(event);
    if (fate === "later") this.#later.push(event);
  }
}

function isCall(headers: http2.IncomingHttpHeaders, method: string): boolean {
  return headers[":path"]?.endsWith(`.${method}`) === true;
}

function refuse(stream: http2.ServerHttp2Stream): void {
  if (stream.destroyed) return;
  const headers = {
    ":status": 200,
    "content-type": "application/grpc",
    "grpc-status": INTERNAL,
    "grpc-message": FAULT,
  };
  stream.respond(headers, { endStream: true });
}

function answer(inside: http2.ServerHttp2Stream, outside: http2.ClientHttp2Stream, through?: Transform): void {
  let trailers: http2.OutgoingHttpHeaders = {};
  outside.once("response", (headers, flags) => {
    if (inside.destroyed) return;
    const endStream = (flags & NGHTTP2_FLAG_END_STREAM) !== 0;
    inside.respond(headers, endStream ? { endStream } : { waitForTrailers: true });
    if (!endStream) (through === undefined ? outside : outside.pipe(through)).pipe(inside);
  });
  outside.once("trailers", (received: http2.IncomingHttpHeaders) => {
    trailers = received;
  });
  inside.once("wantTrailers", () => {
    inside.sendTrailers(trailers);
  });
}
