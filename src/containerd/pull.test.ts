import { create, type DescMessage, type MessageInitShape, type MessageShape } from "@bufbuild/protobuf";
import { type Any, AnySchema, EmptySchema } from "@bufbuild/protobuf/wkt";
import { status } from "@grpc/grpc-js";
import { describe, expect, it } from "@jest/globals";
import { EventEmitter, on } from "node:events";
import { pino } from "pino";
import { packMessage, unpackMessage } from "./any.ts";
import { importArchive } from "./archive.ts";
import type { CallOptions } from "./connection.ts";
import { ContainerdError } from "./errors.ts";
import type { TransferRequest } from "./proto/transfer_pb.ts";
import {
  AuthRequestSchema,
  AuthResponseSchema,
  DataSchema,
  ImageImportStreamSchema,
  ImageStoreSchema,
  OCIRegistrySchema,
  ProgressSchema,
  WindowUpdateSchema,
} from "./proto/transfer_types_pb.ts";
import { StreamInitSchema } from "./proto/streaming_pb.ts";
import { pullImage, type PullOptions } from "./pull.ts";

const NAME = "example.com/app:v1";
const CREDENTIALS = { username: "user", password: "secret" };
const platform = { os: "linux", architecture: "amd64" };

/** containerd's end of a stream. */
class Peer {
  readonly #bus = new EventEmitter();
  readonly #incoming = on(this.#bus, "sent", { close: ["end"] });
  readonly #outgoing = on(this.#bus, "message", { close: ["cancel"] });
  cancelled = false;

  client() {
    return {
      send: (message: MessageInitShape<typeof AnySchema>) => {
        this.#bus.emit("sent", create(AnySchema, message));
        return Promise.resolve();
      },
      end: () => this.#bus.emit("end"),
      cancel: () => {
        this.cancelled = true;
        this.#bus.emit("cancel");
        this.#bus.emit("end");
      },
      messages: this.#messages(),
    };
  }

  async *#messages() {
    for await (const [message] of this.#outgoing as AsyncIterable<[Any]>) yield message;
  }

  send<D extends DescMessage>(schema: D, message: MessageInitShape<D>): void {
    this.#bus.emit("message", packMessage(schema, message));
  }

  async receive<D extends DescMessage>(schema: D): Promise<MessageShape<D> | undefined> {
    const next = (await this.#incoming.next()) as IteratorResult<[Any], undefined>;
    return next.done === true ? undefined : unpackMessage(schema, next.value[0]);
  }
}

type Transfer = (request: TransferRequest, stream: (id: string) => Peer, signal: AbortSignal) => Promise<void>;

/** containerd's transfer and streaming services around what a test says a transfer does. */
function fakeServices(run: Transfer) {
  const peers = new Map<string, Peer>();
  const find = (id: string): Peer => {
    const peer = peers.get(id);
    if (peer === undefined) throw new Error(`no stream ${id}`);
    return peer;
  };
  return {
    peers,
    streaming: {
      stream: () => {
        const peer = new Peer();
        void peer.receive(StreamInitSchema).then((init) => {
          peers.set(init?.id ?? "", peer);
          peer.send(EmptySchema, {});
        });
        return peer.client();
      },
    },
    transfer: {
      transfer: async (request: unknown, options: CallOptions = {}) => {
        const { signal = new AbortController().signal } = options;
        const aborted = new Promise<never>((_, reject) => {
          signal.addEventListener("abort", () => {
            reject(new ContainerdError("Transfer.Transfer", status.CANCELLED, "Cancelled on client"));
          });
        });
        await Promise.race([run(request as TransferRequest, find, signal), aborted]);
        return create(EmptySchema);
      },
    },
    platform,
    snapshotter: "overlayfs",
    logger: pino({ level: "silent" }),
  };
}

const authOf = (request: TransferRequest) =>
  unpackMessage(OCIRegistrySchema, request.source)?.resolver?.authStream ?? "";
const refused = new ContainerdError("Transfer.Transfer", status.UNKNOWN, "failed to resolve image: EOF");

describe("pullImage", () => {
  const pull = (run: Transfer, options: Partial<PullOptions> = {}) => {
    const services = fakeServices(run);
    const done = pullImage(services, NAME, { ref: NAME, ...options });
    return { ...services, done };
  };

  it("asks for the image, this platform and the snapshotter, and drops its streams at the end", async () => {
    let seen: unknown;
    const { done, peers } = pull(
      (request) => {
        seen = [unpackMessage(OCIRegistrySchema, request.source), unpackMessage(ImageStoreSchema, request.destination)];
        return Promise.resolve();
      },
      { labels: { a: "b" }, hostsDir: "/etc/hosts.d" },
    );
    await done;
    expect(seen).toMatchObject([
      { reference: NAME, resolver: { authStream: "", hostDir: "/etc/hosts.d" } },
      { name: NAME, labels: { a: "b" }, platforms: [platform], unpacks: [{ platform, snapshotter: "overlayfs" }] },
    ]);
    expect([...peers.values()].map(({ cancelled }) => cancelled)).toEqual([true]);
  });

  it("answers each host's request for credentials", async () => {
    const answers: unknown[] = [];
    const { done } = pull(
      async (request, stream) => {
        const auth = stream(authOf(request));
        for (const host of ["mirror.example.com", "example.com"]) {
          auth.send(AuthRequestSchema, { host });
          answers.push(await auth.receive(AuthResponseSchema));
        }
      },
      { credentials: CREDENTIALS },
    );
    await done;
    expect(answers).toMatchObject([
      { authType: 1, username: "user", secret: "secret" },
      { authType: 1, username: "user", secret: "secret" },
    ]);
  });

  it("gives up when a host asks again, and names host and user but not the password", async () => {
    const { done } = pull(
      async (request, stream) => {
        const auth = stream(authOf(request));
        auth.send(AuthRequestSchema, { host: "example.com" });
        await auth.receive(AuthResponseSchema);
        auth.send(AuthRequestSchema, { host: "example.com" });
        if ((await auth.receive(AuthResponseSchema)) === undefined) throw refused;
      },
      { credentials: CREDENTIALS },
    );
    await expect(done).rejects.toMatchObject({
      kind: "Unauthorized",
      message: `image "${NAME}": example.com refused the credentials of user "user"`,
    });
  });

  it("answers a host again that has given something meanwhile: its token has expired", async () => {
    const { done } = pull(
      async (request, stream) => {
        const auth = stream(authOf(request));
        auth.send(AuthRequestSchema, { host: "example.com" });
        await auth.receive(AuthResponseSchema);
        const progress = stream(request.options?.progressStream ?? "");
        progress.send(ProgressSchema, { event: "downloading", name: `layer-sha256:${"a".repeat(64)}`, progress: 1n });
        await new Promise(setImmediate);
        auth.send(AuthRequestSchema, { host: "example.com" });
        if ((await auth.receive(AuthResponseSchema)) === undefined) throw refused;
      },
      { credentials: CREDENTIALS },
    );
    await expect(done).resolves.toBeUndefined();
  });

  it("throws the signal's reason when it was aborted", async () => {
    const controller = new AbortController();
    const { done } = pull(() => new Promise(() => undefined), { signal: controller.signal });
    await new Promise(setImmediate);
    const reason = new Error("no longer wanted");
    controller.abort(reason);
    await expect(done).rejects.toBe(reason);
  });

  it("gives up on a registry that hangs, but not while something comes", async () => {
    const name = `layer-sha256:${"a".repeat(64)}`;
    let sent = 0;
    const { done } = pull(
      async (request, stream) => {
        const progress = stream(request.options?.progressStream ?? "");
        for (; sent < 5; sent += 1) {
          await new Promise((resolve) => setTimeout(resolve, 60));
          progress.send(ProgressSchema, { event: "downloading", name, progress: BigInt(sent), total: 100n });
        }
        await new Promise(() => undefined);
      },
      { stallMs: 150 },
    );
    await expect(done).rejects.toMatchObject({ kind: "Unreachable", message: expect.stringContaining("nothing came") });
    expect(sent).toBe(5);
  });
});

describe("importArchive", () => {
  it("sends no more than the receiver grants, and all of it", async () => {
    const bytes = Buffer.from("0123456789".repeat(20));
    const grants = [7, 50, 1, 1000];
    const received: Buffer[] = [];
    let window = 0;
    const services = fakeServices(async (request, stream) => {
      const data = stream(unpackMessage(ImageImportStreamSchema, request.source)?.stream ?? "");
      for (;;) {
        if (window === 0) {
          const update = grants.shift() ?? 0;
          window += update;
          data.send(WindowUpdateSchema, { update });
        }
        const chunk = await data.receive(DataSchema);
        if (chunk === undefined) return;
        expect(chunk.data.length).toBeLessThanOrEqual(window);
        window -= chunk.data.length;
        received.push(Buffer.from(chunk.data));
      }
    });
    await importArchive(services, { name: NAME, archive: chunks(bytes, 64) });
    expect(Buffer.concat(received).toString()).toBe(bytes.toString());
  });

  it("throws what reading the archive threw", async () => {
    const services = fakeServices(() => new Promise(() => undefined));
    const broken = new Error("disk error");
    await expect(importArchive(services, { name: NAME, archive: failing(broken) })).rejects.toBe(broken);
  });
});

async function* chunks(bytes: Buffer, size: number) {
  await Promise.resolve();
  for (let offset = 0; offset < bytes.length; offset += size) yield bytes.subarray(offset, offset + size);
}

async function* failing(error: Error): AsyncGenerator<Uint8Array> {
  await Promise.resolve();
  throw error;
}
