import { afterEach, describe, expect, it } from "@jest/globals";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer, type Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { KubeApi } from "./api.ts";
import { ApiError, ApiUnavailable, isNotFound, isUnavailable } from "./errors.ts";
import { FakeServer, apiOn, json, listOf, object, status } from "./fake-server.test-support.ts";

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

  it("throws the server's Status as an ApiError", async () => {
    const server = await fake((_request, response) => {
      json(response, 404, status(404, "NotFound", 'things "x" not found'));
    });
    const error: unknown = await server
      .api()
      .get("/x")
      .catch((e: unknown) => e);
    expect(isNotFound(error)).toBe(true);
    expect(error).toMatchObject({ code: 404, reason: "NotFound", message: 'things "x" not found' });
  });

  it("makes something of a proxy's answer too, with its wish to wait", async () => {
    const server = await fake((_request, response) => {
      response.writeHead(503, { "Retry-After": "7" }).end("<html>down</html>");
    });
    const error: unknown = await server
      .api()
      .get("/x")
      .catch((e: unknown) => e);
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

  it("sends a request again that ran into the close of an idle connection, but no POST", async () => {
    let answers = 0;
    const server: Server = createServer((socket) => {
      let first = true;
      socket.on("error", () => undefined);
      socket.on("data", () => {
        if (first) socket.write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}");
        else socket.resetAndDestroy();
        first = false;
        answers++;
      });
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const address = server.address();
    const api = apiOn(`http://127.0.0.1:${typeof address === "object" ? (address?.port ?? 0) : 0}`);
    closing.push(() => new Promise((resolve) => server.close(resolve)));
    closing.unshift(() => {
      api.close();
      return Promise.resolve();
    });
    await api.get("/x");
    await api.get("/x");
    expect(answers).toBe(3);
    await expect(api.create("/x", {})).rejects.toBeInstanceOf(ApiUnavailable);
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
  });
});
