import type { DescMessage, MessageInitShape } from "@bufbuild/protobuf";
import type { Any } from "@bufbuild/protobuf/wkt";
import { randomUUID } from "node:crypto";
import { packMessage } from "./any.ts";
import type { ServiceClient } from "./client.ts";
import type { Streaming } from "./proto/streaming_pb.ts";
import { StreamInitSchema } from "./proto/streaming_pb.ts";

/** A stream known to containerd by its id, for another call (Transfer) to refer to. */
export interface NamedStream {
  readonly id: string;
  readonly messages: AsyncGenerator<Any, void, undefined>;
  send<D extends DescMessage>(schema: D, message: MessageInitShape<D>): Promise<void>;
  /** Ends this side. */
  end(): void;
  /** Drops the stream. To be called when the call that refers to it is over; harmless after that. */
  cancel(): void;
}

/** Opens a stream and waits until containerd knows it. */
export async function openStream(
  streaming: ServiceClient<typeof Streaming>,
  purpose: string,
  signal?: AbortSignal,
): Promise<NamedStream> {
  const id = `berth-${purpose}-${randomUUID()}`;
  const stream = streaming.stream({ signal });
  await stream.send(packMessage(StreamInitSchema, { id }));
  // The first answer is the acknowledgement, an Empty.
  await stream.messages.next();
  return {
    id,
    messages: stream.messages,
    send: (schema, message) => stream.send(packMessage(schema, message)),
    end: () => {
      stream.end();
    },
    cancel: () => {
      stream.cancel();
    },
  };
}
