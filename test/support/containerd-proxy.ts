/** A containerd of which single calls fail: a proxy on its socket, for faults that the real one can't be made to give. */
import { rmSync } from "node:fs";
import http2 from "node:http2";
import { connect } from "node:net";

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
    const outside = this.#session().request(headers);
    outside.on("error", () => {
      inside.close(NGHTTP2_CANCEL);
    });
    inside.once("close", () => {
      if (!outside.closed) outside.close(NGHTTP2_CANCEL);
    });
    inside.pipe(outside);
    if (fault === undefined) answer(inside, outside);
    else
      outside.resume().once("end", () => {
        refuse(inside);
      });
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

function answer(inside: http2.ServerHttp2Stream, outside: http2.ClientHttp2Stream): void {
  let trailers: http2.OutgoingHttpHeaders = {};
  outside.once("response", (headers, flags) => {
    if (inside.destroyed) return;
    const endStream = (flags & NGHTTP2_FLAG_END_STREAM) !== 0;
    inside.respond(headers, endStream ? { endStream } : { waitForTrailers: true });
    if (!endStream) outside.pipe(inside);
  });
  outside.once("trailers", (received: http2.IncomingHttpHeaders) => {
    trailers = received;
  });
  inside.once("wantTrailers", () => {
    inside.sendTrailers(trailers);
  });
}
