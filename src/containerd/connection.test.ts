import { create, fromBinary, toBinary, type MessageInitShape } from "@bufbuild/protobuf";
import { EmptySchema } from "@bufbuild/protobuf/wkt";
import type { Metadata } from "@grpc/grpc-js";
import { type sendUnaryData, Server, ServerCredentials, type ServerUnaryCall, status } from "@grpc/grpc-js";
import { afterEach, beforeEach, describe, expect, it } from "@jest/globals";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { serviceClient } from "./client.ts";
import { Connection } from "./connection.ts";
import { ContainerdError, isCancelled, isDeadlineExceeded, isNotFound, isUnavailable } from "./errors.ts";
import { VersionResponseSchema, Version } from "./proto/version_pb.ts";
import { ListSnapshotsRequestSchema, ListSnapshotsResponseSchema, Snapshots } from "./proto/snapshots_pb.ts";

type Answer = (
  metadata: Metadata,
  answer: (error: { code: number; details: string } | null, version?: string) => void,
) => void;

/** A gRPC server with the Version service, and a Snapshots.List that answers twice and then fails. */
class FakeServer {
  readonly #server = new Server();
  calls = 0;
  answer: Answer = (_, reply) => {
    reply(null, "2.1.9");
  };

  constructor() {
    const buffer = (bytes: Uint8Array) => Buffer.from(bytes);
    this.#server.addService(
      {
        Version: {
          path: "/containerd.services.version.v1.Version/Version",
          requestStream: false,
          responseStream: false,
          requestSerialize: () => Buffer.alloc(0),
          requestDeserialize: (bytes: Buffer) => fromBinary(EmptySchema, bytes),
          responseSerialize: (message: MessageInitShape<typeof VersionResponseSchema>) =>
            buffer(toBinary(VersionResponseSchema, create(VersionResponseSchema, message))),
          responseDeserialize: (bytes: Buffer) => bytes,
        },
      },
      {
        Version: (call: ServerUnaryCall<unknown, unknown>, callback: sendUnaryData<unknown>) => {
          this.calls += 1;
          this.answer(call.metadata, (error, version) => {
            callback(error, { version: version ?? "" });
          });
        },
      },
    );
    this.#server.addService(
      {
        List: {
          path: "/containerd.services.snapshots.v1.Snapshots/List",
          requestStream: false,
          responseStream: true,
          requestSerialize: () => Buffer.alloc(0),
          requestDeserialize: (bytes: Buffer) => fromBinary(ListSnapshotsRequestSchema, bytes),
          responseSerialize: (name: string) =>
            buffer(toBinary(ListSnapshotsResponseSchema, create(ListSnapshotsResponseSchema, { info: [{ name }] }))),
          responseDeserialize: (bytes: Buffer) => bytes,
        },
      },
      {
        List: (call: { write(name: string): void; emit(event: "error", error: object): void }) => {
          call.write("first");
          call.write("second");
          call.emit("error", { code: status.NOT_FOUND, details: "gone" });
        },
      },
    );
  }

  listen(path: string): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#server.bindAsync(`unix:${path}`, ServerCredentials.createInsecure(), (error) => {
        if (error) reject(error);
        else resolve();
      });
    });
  }

  stop(): void {
    this.#server.forceShutdown();
  }
}

describe("Connection and serviceClient", () => {
  let folder: string;
  let socket: string;
  let server: FakeServer;
  let connection: Connection;

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "berth-connection-"));
    socket = join(folder, "c.sock");
    server = new FakeServer();
    connection = new Connection({ address: socket, namespace: "berth" });
  });

  afterEach(async () => {
    connection.close();
    server.stop();
    await rm(folder, { recursive: true, force: true });
  });

  it("names the containerd namespace", async () => {
    await server.listen(socket);
    const seen: unknown[] = [];
    server.answer = (metadata, reply) => {
      seen.push(metadata.get("containerd-namespace"));
      reply(null, "2.1.9");
    };
    const client = serviceClient(connection, Version);
    expect((await client.version({})).version).toBe("2.1.9");
    expect(seen).toEqual([["berth"]]);
  });

  it("fails with the status, the method and the server's words", async () => {
    await server.listen(socket);
    server.answer = (_, reply) => {
      reply({ code: status.NOT_FOUND, details: 'container "x": not found' });
    };
    const error: unknown = await serviceClient(connection, Version)
      .version({})
      .catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(ContainerdError);
    expect(isNotFound(error)).toBe(true);
    expect(error).toMatchObject({
      codeName: "NOT_FOUND",
      method: "Version.Version",
      details: 'container "x": not found',
      message: 'Version.Version: NOT_FOUND: container "x": not found',
    });
  });

  it("tells of each call that is over, with its status", async () => {
    await server.listen(socket);
    const calls: unknown[] = [];
    const told = new Connection({
      address: socket,
      namespace: "berth",
      onCall: (method, code, seconds) => calls.push([method, code, seconds > 0]),
    });
    const client = serviceClient(told, Version);
    server.answer = (_, reply) => {
      reply(null, "2.1.9");
    };
    await client.version({});
    server.answer = (_, reply) => {
      reply({ code: status.NOT_FOUND, details: "gone" });
    };
    await client.version({}).catch(() => undefined);
    told.close();
    expect(calls).toEqual([
      ["Version.Version", "OK", true],
      ["Version.Version", "NOT_FOUND", true],
    ]);
  });

  it("gives up at the call's deadline, else at the method's", async () => {
    await server.listen(socket);
    server.answer = () => undefined;
    const never = serviceClient(connection, Version).version({}, { timeoutMs: 50 });
    await expect(never.catch(isDeadlineExceeded)).resolves.toBe(true);
    const byMethod = serviceClient(connection, Version, { version: 50 }).version({});
    await expect(byMethod.catch(isDeadlineExceeded)).resolves.toBe(true);
  });

  it("makes no call to a containerd that a probe has found hanging, until another one is answered", async () => {
    await server.listen(socket);
    const client = serviceClient(connection, Version);
    const { answer } = server;
    server.answer = () => undefined;
    const underWay = client.version({}, { timeoutMs: 200 });
    await expect(client.version({}, { timeoutMs: 50, probe: true }).catch(isUnavailable)).resolves.toBe(true);
    await expect(client.version({}).catch(isUnavailable)).resolves.toBe(true);
    expect(server.calls).toBe(2);
    await expect(underWay.catch(isUnavailable)).resolves.toBe(true);
    server.answer = answer;
    await client.version({}, { probe: true });
    await client.version({});
    expect(server.calls).toBe(4);
  });

  it("cancels on its signal, also one that was aborted before", async () => {
    await server.listen(socket);
    server.answer = () => undefined;
    const client = serviceClient(connection, Version);
    await expect(client.version({}, { signal: AbortSignal.timeout(20) }).catch(isCancelled)).resolves.toBe(true);
    await expect(client.version({}, { signal: AbortSignal.abort() }).catch(isCancelled)).resolves.toBe(true);
  });

  it("fails at once while nobody listens, and works as soon as somebody does", async () => {
    const client = serviceClient(connection, Version);
    const before = performance.now();
    await expect(client.version({}).catch(isUnavailable)).resolves.toBe(true);
    expect(performance.now() - before).toBeLessThan(2000);

    await server.listen(socket);
    let answered = false;
    while (!answered) answered = await client.version({}).then(() => true, isNotUnavailable);
    expect(server.calls).toBe(1);
  });

  it("ends what is under way when it is closed, and makes no call any more", async () => {
    await server.listen(socket);
    server.answer = () => undefined;
    const version = serviceClient(connection, Version);
    const underWay = version.version({});
    while (server.calls === 0) await new Promise((resolve) => setImmediate(resolve));
    connection.close();
    for (const call of [underWay, version.version({})]) {
      const error: unknown = await call.catch((e: unknown) => e);
      expect(isUnavailable(error)).toBe(true);
    }
    expect(server.calls).toBe(1);
  });

  it("takes answers larger than grpc-js' 4 MiB", async () => {
    await server.listen(socket);
    server.answer = (_, reply) => {
      reply(null, "x".repeat(5 * 1024 * 1024));
    };
    const { version } = await serviceClient(connection, Version).version({});
    expect(version).toHaveLength(5 * 1024 * 1024);
  });

  it("yields a stream's answers before the error that ended it", async () => {
    await server.listen(socket);
    const names: string[] = [];
    const read = async () => {
      for await (const { info } of serviceClient(connection, Snapshots).list({})) {
        names.push(...info.map(({ name }) => name));
      }
    };
    await expect(read().catch(isNotFound)).resolves.toBe(true);
    expect(names).toEqual(["first", "second"]);
  });
});

function isNotUnavailable(error: unknown): boolean {
  if (isUnavailable(error)) return false;
  throw error;
}
