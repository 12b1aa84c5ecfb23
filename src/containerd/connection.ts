import type { DescMessage, DescMethod, MessageInitShape, MessageShape } from "@bufbuild/protobuf";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import type { CallOptions as GrpcCallOptions, ClientDuplexStream, ClientReadableStream } from "@grpc/grpc-js";
import { Client, credentials, Metadata, status } from "@grpc/grpc-js";
import { codeNameOf, ContainerdError, isDeadlineExceeded, toContainerdError } from "./errors.ts";

/** What a single call may set. */
export interface CallOptions {
  /** Milliseconds until the call fails with DEADLINE_EXCEEDED; Infinity for none. A unary call has 30 s unless its method says otherwise. */
  timeoutMs?: number | undefined;
  /** Cancels the call; it then fails with CANCELLED. */
  signal?: AbortSignal | undefined;
  /** The call finds out whether containerd hangs: it is made in any case, and its deadline says so. */
  probe?: boolean | undefined;
}

/**
 * Is told of each unary call that is over: `Tasks.Create`, its gRPC status (`OK`, `NOT_FOUND`), how long it took. What it
 * does must be quick, and throws nothing.
 */
export type CallObserver = (method: string, code: string, seconds: number) => void;

/** A method of a generated service, with its message types. */
export type Method<I extends DescMessage, O extends DescMessage> = Pick<DescMethod, "name" | "parent"> & {
  input: I;
  output: O;
};

/** A stream in both directions. Not reading `messages` holds the sender back. */
export interface BidiStream<I extends DescMessage, O extends DescMessage> {
  /** Resolves when the message was handed to the transport, so that awaiting it keeps to the peer's flow control. */
  send(message: MessageInitShape<I>): Promise<void>;
  /** Ends this side; the peer may go on sending. */
  end(): void;
  cancel(): void;
  readonly messages: AsyncGenerator<MessageShape<O>, void, undefined>;
}

const DEFAULT_TIMEOUT_MS = 30_000;
const MAX_MESSAGE_BYTES = 64 * 1024 * 1024;

const CHANNEL_OPTIONS = {
  // A list of many containers with their specs is more than grpc-js' 4 MiB.
  "grpc.max_receive_message_length": MAX_MESSAGE_BYTES,
  // A restarted containerd is to be noticed at once; a socket on the same machine costs nothing to try.
  "grpc.initial_reconnect_backoff_ms": 100,
  "grpc.max_reconnect_backoff_ms": 1000,
  // Go's gRPC server refuses the request when the authority is the socket's path.
  "grpc.default_authority": "localhost",
  // Connections are not shared between Connection objects, so that close() closes.
  "grpc.use_local_subchannel_pool": 1,
  // No keepalive: a unix socket can't lose a peer silently, and Go's server takes frequent pings for an attack. That
  // containerd hangs is found out by the Subscription.
};

/**
 * A gRPC channel to containerd's socket in one containerd namespace. Connects when first used and again whenever
 * containerd is back; a call made while it is away fails with UNAVAILABLE instead of waiting.
 */
export class Connection {
  readonly namespace: string;
  readonly #client: Client;
  /**
   * containerd is known not to answer, though it is there. Unary calls fail at once then, with UNAVAILABLE; those under
   * way fail so at their deadline, for they may be answered yet.
   */
  #hung = false;
  #closed = false;
  /** Ends each of the unary calls under way. */
  readonly #cancels = new Set<() => void>();
  readonly #onCall: CallObserver | undefined;

  constructor(options: { address: string; namespace: string; onCall?: CallObserver }) {
    this.namespace = options.namespace;
    this.#onCall = options.onCall;
    const path = options.address.replace(/^unix:(\/\/)?/, "");
    this.#client = new Client(`unix:${path}`, credentials.createInsecure(), CHANNEL_OPTIONS);
  }

  /** @throws ContainerdError */
  unary<I extends DescMessage, O extends DescMessage>(
    method: Method<I, O>,
    request: MessageInitShape<I>,
    options: CallOptions = {},
  ): Promise<MessageShape<O>> {
    return new Promise((resolve, reject) => {
      if (this.#closed || (this.#hung && options.probe !== true)) {
        reject(this.#closed ? closed(method) : noAnswer(method));
        return;
      }
      const { path, serialize, deserialize } = codec(method);
      const message = create(method.input, request);
      const begun = performance.now();
      const finish = (error: Error | null, answer?: MessageShape<O>): void => {
        options.signal?.removeEventListener("abort", cancel);
        this.#cancels.delete(cancel);
        const failure = answer !== undefined && error === null ? undefined : this.#failed(method, error, options);
        if (failure === undefined) this.#hung = false;
        this.#onCall?.(nameOf(method), codeNameOf(failure), (performance.now() - begun) / 1000);
        if (failure === undefined) resolve(answer as MessageShape<O>);
        else reject(failure);
      };
      const callOptions = this.#options(options.timeoutMs ?? DEFAULT_TIMEOUT_MS);
      const metadata = this.#metadata();
      const call = this.#client.makeUnaryRequest(path, serialize, deserialize, message, metadata, callOptions, finish);
      const cancel = (): void => {
        call.cancel();
      };
      this.#cancels.add(cancel);
      if (options.signal?.aborted) cancel();
      else options.signal?.addEventListener("abort", cancel, { once: true });
    });
  }

  /** The answers of a server-streaming method; leaving the loop cancels the call. Throws ContainerdError while iterating. */
  async *serverStream<I extends DescMessage, O extends DescMessage>(
    method: Method<I, O>,
    request: MessageInitShape<I>,
    options: CallOptions = {},
  ): AsyncGenerator<MessageShape<O>, void, undefined> {
    const { path, serialize, deserialize } = codec(method);
    const message = create(method.input, request);
    const metadata = this.#metadata();
    const callOptions = this.#options(options.timeoutMs);
    const call = this.#client.makeServerStreamRequest(path, serialize, deserialize, message, metadata, callOptions);
    yield* readAll(nameOf(method), call, options.signal);
  }

  bidi<I extends DescMessage, O extends DescMessage>(
    method: Method<I, O>,
    options: CallOptions = {},
  ): BidiStream<I, O> {
    const { path, serialize, deserialize } = codec(method);
    const callOptions = this.#options(options.timeoutMs);
    const call: ClientDuplexStream<MessageShape<I>, MessageShape<O>> = this.#client.makeBidiStreamRequest(
      path,
      serialize,
      deserialize,
      this.#metadata(),
      callOptions,
    );
    // Without a listener an error that comes while nobody reads would end the process.
    call.on("error", () => undefined);
    return {
      messages: readAll<MessageShape<O>>(nameOf(method), call, options.signal),
      send: (message) =>
        new Promise((resolve, reject) => {
          call.write(create(method.input, message), (error?: Error | null) => {
            if (error) reject(toContainerdError(nameOf(method), error));
            else resolve();
          });
        }),
      end: () => {
        call.end();
      },
      cancel: () => {
        call.cancel();
      },
    };
  }

  /** Closes the connection: unary calls, also those under way, fail with UNAVAILABLE from then on; streams end by their signals. */
  close(): void {
    this.#closed = true;
    for (const cancel of [...this.#cancels]) cancel();
    this.#client.close();
  }

  #failed(method: Pick<DescMethod, "name" | "parent">, error: Error | null, { probe }: CallOptions): Error {
    const failure = toContainerdError(nameOf(method), error);
    if (this.#closed) return closed(method);
    if (probe === true) this.#hung = isDeadlineExceeded(failure);
    return this.#hung && isDeadlineExceeded(failure) ? noAnswer(method) : failure;
  }

  #options(timeoutMs: number | undefined): GrpcCallOptions {
    return timeoutMs === undefined || timeoutMs === Infinity ? {} : { deadline: Date.now() + timeoutMs };
  }

  #metadata(): Metadata {
    const metadata = new Metadata();
    metadata.set("containerd-namespace", this.namespace);
    return metadata;
  }
}

function codec<I extends DescMessage, O extends DescMessage>(method: Method<I, O>) {
  return {
    path: `/${method.parent.typeName}/${method.name}`,
    serialize: (message: MessageShape<I>): Buffer => {
      const bytes = toBinary(method.input, message);
      return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    },
    deserialize: (bytes: Buffer): MessageShape<O> => fromBinary(method.output, bytes),
  };
}

function noAnswer(method: Pick<DescMethod, "name" | "parent">): ContainerdError {
  return new ContainerdError(nameOf(method), status.UNAVAILABLE, "containerd does not answer");
}

function closed(method: Pick<DescMethod, "name" | "parent">): ContainerdError {
  return new ContainerdError(nameOf(method), status.UNAVAILABLE, "the connection was closed");
}

/** `Tasks.Create`. */
function nameOf(method: Pick<DescMethod, "name" | "parent">): string {
  return `${method.parent.name}.${method.name}`;
}

async function* readAll<T>(
  name: string,
  call: ClientReadableStream<T>,
  signal: AbortSignal | undefined,
): AsyncGenerator<T, void, undefined> {
  const cancel = (): void => {
    call.cancel();
  };
  call.on("error", () => undefined);
  if (signal?.aborted) cancel();
  else signal?.addEventListener("abort", cancel, { once: true });
  try {
    for await (const message of call as AsyncIterable<T>) yield message;
  } catch (error) {
    throw toContainerdError(name, error);
  } finally {
    signal?.removeEventListener("abort", cancel);
    call.cancel();
  }
}
