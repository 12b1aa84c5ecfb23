import { afterEach, beforeEach, describe, expect, it } from "@jest/globals";
import type { ServerResponse } from "node:http";
import { FakeServer, json, line, object, silent, status, until } from "./fake-server.test-support.ts";
import { ReferenceWatcher } from "./reference-watcher.ts";

describe("ReferenceWatcher", () => {
  let server: FakeServer;
  let watches: { response: ServerResponse; closed: boolean }[];
  let appeared: string[];
  let forbidden: string[];
  let watcher: ReferenceWatcher;
  const reference = { path: "/api/v1/namespaces/ns/secrets", name: "s" };

  beforeEach(async () => {
    [watches, appeared, forbidden] = [[], [], []];
    server = await FakeServer.start((_request, response) => {
      response.writeHead(200).flushHeaders();
      const watch = { response, closed: false };
      response.on("close", () => (watch.closed = true));
      watches.push(watch);
    });
    watcher = makeWatcher();
  });
  const makeWatcher = (): ReferenceWatcher =>
    new ReferenceWatcher({
      api: server.api(),
      onAppear: (key) => appeared.push(key),
      onForbidden: (key, error) => forbidden.push(`${key}: ${error.message}`),
      logger: silent,
      timers: { minSeconds: 1, maxSeconds: 1, marginMs: 100, backoff: { baseMs: 5, maxMs: 10 } },
    });
  afterEach(async () => {
    watcher.close();
    await server.close();
  });

  it("watches the one name until it is there, and then no more", async () => {
    watcher.wait("k", reference);
    watcher.wait("k", reference);
    await until(() => watches.length === 1);
    expect(server.requests[0]).toContain("fieldSelector=metadata.name%3Ds");
    expect(server.requests[0]).not.toContain("resourceVersion");
    watches[0]?.response.write(line("ADDED", object("s", 1)));
    await until(() => watches[0]?.closed === true);
    expect(appeared).toEqual(["k"]);
    expect(server.requests).toHaveLength(1);
  });

  it("waits on when the object is there but not what was waited for, and across broken watches", async () => {
    watcher.wait("k", { ...reference, satisfied: (each) => "data" in each });
    await until(() => watches.length === 1);
    watches[0]?.response.write(line("ADDED", object("s", 1)));
    await new Promise((resolve) => setTimeout(resolve, 20));
    watches[0]?.response.destroy();
    await until(() => watches.length === 2);
    expect(appeared).toEqual([]);
    watches[1]?.response.write(line("ADDED", object("s", 2, { data: {} })));
    await until(() => appeared.length === 1);
  });

  it("waits for another part of the same object when that is asked for instead", async () => {
    const part = (name: string) => ({ ...reference, part: name, satisfied: (each: object) => name in each });
    watcher.wait("k", part("a"));
    watcher.wait("k", part("a"));
    await until(() => watches.length === 1);
    watcher.wait("k", part("b"));
    await until(() => watches.length === 2);
    watches[1]?.response.write(line("ADDED", object("s", 1, { b: {} })));
    await until(() => appeared.length === 1);
    expect(watches).toHaveLength(2);
  });

  it("closes the watch of a key that is forgotten", async () => {
    watcher.wait("k", reference);
    await until(() => watches.length === 1);
    watcher.forget("k");
    await until(() => watches[0]?.closed === true);
    expect(appeared).toEqual([]);
  });

  it("says which right is missing", async () => {
    const message = 'secrets is forbidden: User "a" cannot watch resource "secrets" in API group ""';
    server.handler = (_request, response) => {
      json(response, 403, status(403, "Forbidden", message));
    };
    watcher.wait("k", reference);
    await until(() => forbidden.length === 1);
    expect(forbidden).toEqual([`k: ${message}`]);
  });

  it("waits for nothing when it is asked after it was closed", async () => {
    watcher.close();
    watcher.wait("k", reference);
    watcher = makeWatcher();
    watcher.wait("k", { ...reference, name: "other" });
    await until(() => watches.length === 1);
    for (const request of server.requests) expect(request).toContain("metadata.name%3Dother");
  });
});
