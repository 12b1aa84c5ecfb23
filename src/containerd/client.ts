import type { DescMessage, DescMethod, DescService, MessageInitShape, MessageShape } from "@bufbuild/protobuf";
import type { BidiStream, CallOptions, Connection } from "./connection.ts";

type Unary<I extends DescMessage, O extends DescMessage> = (
  request: MessageInitShape<I>,
  options?: CallOptions,
) => Promise<MessageShape<O>>;

type ServerStreaming<I extends DescMessage, O extends DescMessage> = (
  request: MessageInitShape<I>,
  options?: CallOptions,
) => AsyncIterable<MessageShape<O>>;

type BidiStreaming<I extends DescMessage, O extends DescMessage> = (options?: CallOptions) => BidiStream<I, O>;

/** A generated service's methods as functions: `tasks.create({ containerId }, { timeoutMs })`. */
export type ServiceClient<S extends DescService> = {
  [K in keyof S["method"]]: S["method"][K] extends infer M extends Pick<DescMethod, "methodKind" | "input" | "output">
    ? {
        unary: Unary<M["input"], M["output"]>;
        server_streaming: ServerStreaming<M["input"], M["output"]>;
        client_streaming: never;
        bidi_streaming: BidiStreaming<M["input"], M["output"]>;
      }[M["methodKind"]]
    : never;
};

/**
 * Makes a client of a generated service.
 * @param timeouts milliseconds for the unary methods that need another deadline than the connection's; Infinity for none
 */
export function serviceClient<S extends DescService>(
  connection: Connection,
  service: S,
  timeouts: Partial<Record<keyof S["method"], number>> = {},
): ServiceClient<S> {
  const limits: Partial<Record<string, number>> = timeouts;
  const methods = service.methods.map((method) => [
    method.localName,
    caller(connection, method, limits[method.localName]),
  ]);
  // The names and message types were taken from the same descriptors as ServiceClient's, which TypeScript can't follow here.
  return Object.fromEntries(methods) as ServiceClient<S>;
}

function caller(connection: Connection, method: DescMethod, timeoutMs: number | undefined) {
  type Request = MessageInitShape<DescMessage>;
  switch (method.methodKind) {
    case "unary":
      return (request: Request, options?: CallOptions) =>
        connection.unary(method, request, { ...options, timeoutMs: options?.timeoutMs ?? timeoutMs });
    case "server_streaming":
      return (request: Request, options?: CallOptions) => connection.serverStream(method, request, options);
    case "bidi_streaming":
      return (options?: CallOptions) => connection.bidi(method, options);
    case "client_streaming":
      throw new Error(`${method.parent.name}.${method.name}: client streaming is not used by containerd's API`);
  }
}
