import { afterEach, describe, expect, it } from "@jest/globals";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import type { ServerResponse } from "node:http";
import { createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { KubeConfig } from "@kubernetes/client-node";
import { KubeApi, type RequestObserver } from "./api.ts";
import { ApiError, ApiUnavailable, isNotFound, isNotServed, isUnavailable } from "./errors.ts";
import { FakeServer, apiOn, json, line, listOf, object, status } from "./fake-server.test-support.ts";

describe("KubeApi", () => {
  const closing: (() => Promise<unknown>)[] = [];
  afterEach(async () => {
    for (const close of closing.splice(0)) await close();
  });

  async function fake(...args: Parameters<typeof FakeServer.start>): Promise<FakeServer> {
    const server = await FakeServer.start(...args);
    closing.push(() => server.close());
    return server;
  }

  /** What a request that fails throws. */
  const errorOf = (server: FakeServer): Promise<unknown> =>
    server
      .api()
      .get("/x")
      .catch((error: unknown) => error);

  it("throws the server's Status as an ApiError", async () => {
    const server = await fake((_request, response) => {
      json(response, 404, status(404, "NotFound", 'things "x" not found'));
    });
    const error = await errorOf(server);
    expect(isNotFound(error)).toBe(true);
    expect(error).toMatchObject({ code: 404, reason: "NotFound", message: 'things "x" not found' });
  });

  it("tells a resource that is not served from an object that is not there", async () => {
    const server = await fake((_request, response) => {
      response.writeHead(404, { "Content-Type": "text/plain" }).end("404 page not found\n");
    });
    const error = await errorOf(server);
    expect([isNotFound(error), isNotServed(error), isUnavailable(error)]).toEqual([false, true, true]);
  });

  it("makes something of a proxy's answer too, with its wish to wait", async () => {
    const server = await fake((_request, response) => {
      response.writeHead(503, { "Retry-After": "7" }).end("<html>down</html>");
    });
    const error = await errorOf(server);
    expect(error).toBeInstanceOf(ApiError);
    expect(isUnavailable(error)).toBe(true);
    expect(error).toMatchObject({ code: 503, retryAfterMs: 7000 });
  });

  it("throws ApiUnavailable when nobody listens, and when no answer or only half of it comes in time", async () => {
    const server = await fake((_request, response) => {
      response.writeHead(200).write('{"metadata":');
    });
    await expect(server.api().get("/x", { timeoutMs: 50 })).rejects.toThrow(/GET \/x: no answer within 0.05 s/);
    const gone = apiOn("http://127.0.0.1:1").get("/x");
    await expect(gone).rejects.toBeInstanceOf(ApiUnavailable);
    await expect(gone).rejects.toThrow(/GET \/x: .*ECONNREFUSED/);
  });

  it("throws the caller's own reason when the caller ends a request", async () => {
    const server = await fake(() => undefined);
    const abort = new AbortController();
    const request = server.api().get("/x", { signal: abort.signal });
    abort.abort(new Error("enough"));
    await expect(request).rejects.toThrow("enough");
  });

  it("sends a merge patch as one", async () => {
    let seen: unknown;
    const server = await fake((request, response, url, body) => {
      seen = [request.method, request.headers["content-type"], request.headers.authorization, url.pathname, body];
      json(response, 200, object("a", 2));
    });
    await server.api().mergePatch("/x/status", { status: { a: null } });
    expect(seen).toEqual(["PATCH", "application/merge-patch+json", "Bearer t", "/x/status", '{"status":{"a":null}}']);
  });

  it("lists in one piece when the server forgot the snapshot between two pages", async () => {
    const server = await fake((_request, response, url) => {
      if (url.searchParams.has("continue")) json(response, 410, status(410, "Expired"));
      else if (url.searchParams.has("limit"))
        json(response, 200, { metadata: { resourceVersion: "1", continue: "c" }, items: [object("old", 1)] });
      else json(response, 200, listOf(5, object("a", 4), object("b", 5)));
    });
    const list = await server.api().list("/things");
    expect(list.resourceVersion).toBe("5");
    expect(list.items).toHaveLength(2);
  });

  /** A server of bytes: `answer` says, for the nth request on its connection, what becomes of it. */
  async function raw(
    answer: (socket: Socket, nth: number) => void,
  ): Promise<{ api: KubeApi; connections: () => number }> {
    let connections = 0;
    const server = createServer((socket) => {
      connections++;
      let requests = 0;
      socket.on("error", () => undefined);
      socket.on("data", () => {
        answer(socket, ++requests);
      });
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const address = server.address();
    const api = apiOn(`http://127.0.0.1:${typeof address === "object" ? (address?.port ?? 0) : 0}`);
    closing.push(async () => {
      api.close();
      await new Promise((resolve) => server.close(resolve));
    });
    return { api, connections: () => connections };
  }

  const EMPTY = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}";

  it("sends a request again that ran into the close of idle connections, but no POST", async () => {
    const { api, connections } = await raw((socket, nth) => {
      if (nth === 1) socket.write(EMPTY);
      else socket.resetAndDestroy();
    });
    await Promise.all([api.get("/x"), api.get("/x")]);
    expect(connections()).toBe(2);
    await api.get("/x");
    expect(connections()).toBe(3);
    await expect(api.create("/x", {})).rejects.toBeInstanceOf(ApiUnavailable);
  });

  it("takes new connections after one that fell silent, not the idle ones beside it", async () => {
    const { api, connections } = await raw((socket, nth) => {
      if (nth === 1) socket.write(EMPTY);
    });
    await Promise.all([api.get("/x"), api.get("/x"), api.get("/x")]);
    await expect(api.get("/x", { timeoutMs: 50 })).rejects.toBeInstanceOf(ApiUnavailable);
    await api.get("/x");
    expect(connections()).toBe(4);
  });

  it("takes the abort of a request whose answer has come and was not read yet", async () => {
    const { api } = await raw((socket) => {
      const events = line("ADDED", object("a", 1)) + line("ADDED", object("b", 2));
      socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${events.length}\r\n\r\n${events}`);
    });
    const errors: unknown[] = [];
    const onError = (error: unknown): void => void errors.push(error);
    process.on("uncaughtException", onError);
    try {
      const abort = new AbortController();
      for await (const { type } of await api.watch("/x", { signal: abort.signal })) {
        expect(type).toBe("ADDED");
        abort.abort(new Error("enough"));
      }
    } catch (error) {
      expect(error).toEqual(new Error("enough"));
    } finally {
      await new Promise((resolve) => setTimeout(resolve, 20));
      process.off("uncaughtException", onError);
    }
    expect(errors).toEqual([]);
  });

  it("takes an answer that came in time, but was read late, for the process stood still", async () => {
    const program =
      'require("http").createServer((q, r) => r.end("{}")).listen(0, function () { console.log(this.address().port); })';
    const server = spawn(process.execPath, ["-e", program], { stdio: ["ignore", "pipe", "inherit"] });
    closing.push(() => {
      server.kill();
      return once(server, "exit");
    });
    const [port] = (await once(server.stdout, "data")) as [Buffer];
    const api = apiOn(`http://127.0.0.1:${port.toString().trim()}`);
    closing.unshift(() => {
      api.close();
      return Promise.resolve();
    });
    await api.get("/x");
    const late = api.get("/x", { timeoutMs: 100 });
    // The request goes out on the connection there is.
    await new Promise((resolve) => setImmediate(resolve));
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1000);
    await expect(late).resolves.toEqual({});
  });

  it("has a deadline also for the program that is asked for credentials", async () => {
    const config = new KubeConfig();
    config.loadFromClusterAndUser({ name: "c", server: "http://127.0.0.1:1", skipTLSVerify: true }, { name: "u" });
    config.applyToHTTPSOptions = () => new Promise(() => undefined);
    await expect(new KubeApi(config).get("/x", { timeoutMs: 50 })).rejects.toThrow(/GET \/x: no answer within 0.05 s/);
  });

  it("tells of each request by verb, resource and code, and how each watch ended", async () => {
    const seen: unknown[] = [];
    const observer: RequestObserver = {
      onRequest: (verb, resource, code, seconds) => seen.push([verb, resource, code, seconds >= 0]),
      onWatchEnd: (resource, how) => seen.push([resource, how]),
    };
    const path = "/apis/berth.dev/v1alpha1/namespaces/ns/containers";
    let end: (response: ServerResponse) => void = () => undefined;
    const server = await fake(({ method }, response, { searchParams }) => {
      if (searchParams.get("watch") === "true") {
        response.write(line("ADDED", object("a", 1)), () => {
          end(response);
        });
      } else if (method === "PATCH") json(response, 409, status(409, "Conflict"));
      else json(response, 200, listOf(1));
    });
    const api = server.api(observer);
    await api.list("/apis/berth.dev/v1alpha1/containers");
    await api.get("/api/v1/namespaces/ns/secrets/s");
    await api.get("/api/v1/namespaces/ns");
    await api.mergePatch(`${path}/a/status`, {}).catch(() => undefined);
    await apiOn("http://127.0.0.1:1", observer)
      .create("/api/v1/namespaces/ns/events", {})
      .catch(() => undefined);
    const abort = new AbortController();
    abort.abort(new Error("mine"));
    await api.get(path, { signal: abort.signal }).catch(() => undefined);
    expect(seen.splice(0)).toEqual([
      ["LIST", "containers", 200, true],
      ["GET", "secrets", 200, true],
      ["GET", "namespaces", 200, true],
      ["PATCH", "containers/status", 409, true],
      ["POST", "events", undefined, true],
    ]);

    const watch = async (ending: typeof end, own?: AbortController): Promise<void> => {
      end = ending;
      for await (const { type } of await api.watch(path, { signal: own?.signal })) {
        own?.abort(new Error("mine"));
        if (type === "ERROR") return;
      }
    };
    await watch((response) => response.end());
    await watch((response) => response.write(line("ERROR", status(410, "Expired"))));
    await watch((response) => response.destroy()).catch(() => undefined);
    await watch(() => undefined, new AbortController()).catch(() => undefined);
    const accepted = ["WATCH", "containers", 200, true];
    expect(seen).toEqual([
      ...[accepted, ["containers", "closed"]],
      ...[accepted, ["containers", "error"]],
      ...[accepted, ["containers", "broken"]],
      accepted,
    ]);
  });

  it("reads the namespace and a tokenFile from a kubeconfig", async () => {
    const folder = await mkdtemp(join(tmpdir(), "berth-"));
    closing.push(() => rm(folder, { recursive: true }));
    let authorization: string | undefined;
    const server = await fake((request, response) => {
      authorization = request.headers.authorization;
      json(response, 200, {});
    });
    await writeFile(join(folder, "token"), "from-file\n");
    const cluster = { server: `http://127.0.0.1:${server.port}`, "insecure-skip-tls-verify": true };
    const kubeconfig = {
      clusters: [{ name: "c", cluster }],
      users: [{ name: "u", user: { token: "inline", tokenFile: "token" } }],
      contexts: [{ name: "x", context: { cluster: "c", user: "u", namespace: "here" } }],
      "current-context": "x",
    };
    await writeFile(join(folder, "kubeconfig"), JSON.stringify(kubeconfig));
    const api = KubeApi.load({ kubeconfig: join(folder, "kubeconfig") });
    await api.get("/x");
    expect(api.namespace).toBe("here");
    expect(authorization).toBe("Bearer from-file");
    expect(server.api().namespace).toBe("berth-system");

    // As in a Pod, from the node's namespaces: all its files are below the image's root.
    const inPod = { ...kubeconfig, users: [{ name: "u", user: { tokenFile: "/elsewhere/token" } }] };
    await mkdir(join(folder, "elsewhere"));
    await writeFile(join(folder, "elsewhere/token"), "from-below\n");
    await writeFile(join(folder, "kubeconfig"), JSON.stringify(inPod));
    await KubeApi.load({ kubeconfig: "/kubeconfig", root: folder }).get("/x");
    expect(authorization).toBe("Bearer from-below");
  });
});
