import { packMessage, unpackMessage } from "./any.ts";
import type { ServiceClient } from "./client.ts";
import type { Platform } from "./platform.ts";
import type { Streaming } from "./proto/streaming_pb.ts";
import {
  DataSchema,
  ImageImportStreamSchema,
  ImageStoreSchema,
  WindowUpdateSchema,
} from "./proto/transfer_types_pb.ts";
import type { Transfer } from "./proto/transfer_pb.ts";
import type { NamedStream } from "./streams.ts";
import { openStream } from "./streams.ts";

/** An image archive to import. */
export interface ImportOptions {
  /** The full reference the image is to be known by. */
  name: string;
  /** A tar of an OCI image layout or of `docker save`, with one image. */
  archive: AsyncIterable<Uint8Array>;
  labels?: Record<string, string> | undefined;
  signal?: AbortSignal | undefined;
}

/** The largest Data message; gRPC's default limit on the other side is 4 MiB. */
const MAX_DATA_BYTES = 32 * 1024;

/** Imports an archive and unpacks it for this platform, without a registry. */
export async function importArchive(
  services: {
    transfer: Pick<ServiceClient<typeof Transfer>, "transfer">;
    streaming: Pick<ServiceClient<typeof Streaming>, "stream">;
    platform: Platform;
    snapshotter: string;
  },
  options: ImportOptions,
): Promise<void> {
  const failed = new AbortController();
  const signal = options.signal === undefined ? failed.signal : AbortSignal.any([options.signal, failed.signal]);
  const stream = await openStream(services.streaming, "import", signal);
  const sending = sendBytes(stream, options.archive).catch((error: unknown) => {
    failed.abort(error);
  });
  const { platform, snapshotter } = services;
  const source = packMessage(ImageImportStreamSchema, { stream: stream.id });
  const destination = packMessage(ImageStoreSchema, {
    name: options.name,
    labels: options.labels ?? {},
    platforms: [platform],
    unpacks: [{ platform, snapshotter }],
  });
  try {
    await services.transfer.transfer({ source, destination }, { signal });
  } catch (error) {
    // When reading the archive failed, that is the reason and not the cancelled call.
    throw failed.signal.aborted ? failed.signal.reason : error;
  } finally {
    stream.cancel();
    await sending;
  }
}

/** Sends bytes as the receiver grants them. Ends early, without an error, when the receiver wants no more. */
async function sendBytes(stream: NamedStream, bytes: AsyncIterable<Uint8Array>): Promise<void> {
  let window = 0;
  for await (const chunk of bytes) {
    for (let offset = 0; offset < chunk.length;) {
      while (window <= 0) {
        const { value, done } = await stream.messages.next();
        if (done === true) return;
        window += unpackMessage(WindowUpdateSchema, value)?.update ?? 0;
      }
      const size = Math.min(window, MAX_DATA_BYTES, chunk.length - offset);
      await stream.send(DataSchema, { data: chunk.subarray(offset, offset + size) });
      window -= size;
      offset += size;
    }
  }
  stream.end();
}
