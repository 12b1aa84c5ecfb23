import { afterEach, beforeEach, describe, expect, it } from "@jest/globals";
import type { ServerResponse } from "node:http";
import { FakeServer, json, line, object, silent, until } from "./fake-server.test-support.ts";
import { ObjectFollower } from "./object-follower.ts";

describe("ObjectFollower", () => {
  let server: FakeServer;
  let watches: { url: string; response: ServerResponse; closed: boolean }[];
  let changed: string[];
  let follower: ObjectFollower;
  const SECRET = { path: "/api/v1/namespaces/ns/secrets", name: "s" };
  const OTHER = { path: "/api/v1/namespaces/ns/configmaps", name: "s" };
  /** What a list answers. */
  let items: object[];

  beforeEach(async () => {
    [watches, changed, items] = [[], [], []];
    server = await FakeServer.start((request, response) => {
      const url = request.url ?? "";
      if (!url.includes("watch=true")) {
        json(response, 200, { items, metadata: { resourceVersion: "10" } });
        return;
      }
      response.writeHead(200).flushHeaders();
      const watch = { url, response, closed: false };
      response.on("close", () => (watch.closed = true));
      watches.push(watch);
    });
    follower = makeFollower();
  });
  const makeFollower = (): ObjectFollower =>
    new ObjectFollower({
      api: server.api(),
      onChange: (key) => changed.push(key),
      logger: silent,
      timers: { backoff: { baseMs: 5, maxMs: 10 } },
    });
  afterEach(async () => {
    follower.close();
    await server.close();
  });

  it("asks for the one object alone, and for none when nobody needs any", async () => {
    follower.follow("k", []);
    expect(follower.get(SECRET)).toEqual({ known: false });
    expect(server.requests).toEqual([]);
    follower.follow("k", [SECRET]);
    await until(() => watches.length === 1);
    for (const request of server.requests) expect(request).toContain("fieldSelector=metadata.name%3Ds");
    expect(follower.get(SECRET)).toEqual({ known: true, object: undefined });
    expect(changed).toEqual(["k"]);
  });

  it("tells every key of a change, by one watch, and of the end of it", async () => {
    items = [object("s", 5)];
    follower.follow("a", [SECRET]);
    await until(() => watches.length === 1);
    follower.follow("b", [SECRET, OTHER]);
    await until(() => watches.length === 2);
    expect(follower.get(SECRET)).toMatchObject({ known: true, object: { metadata: { resourceVersion: "5" } } });
    changed.length = 0;
    watches[0]?.response.write(line("MODIFIED", object("s", 11)));
    await until(() => changed.length === 2);
    expect(changed).toEqual(["a", "b"]);
    expect(follower.get(SECRET)).toMatchObject({ object: { metadata: { resourceVersion: "11" } } });
    watches[0]?.response.write(line("DELETED", object("s", 12)));
    await until(() => changed.length === 4);
    expect(follower.get(SECRET)).toEqual({ known: true, object: undefined });
  });

  it("closes a watch with its last key", async () => {
    follower.follow("a", [SECRET, OTHER]);
    follower.follow("b", [SECRET]);
    await until(() => watches.length === 2);
    follower.follow("a", []);
    await until(() => watches.some(({ closed }) => closed));
    expect(watches.filter(({ closed }) => closed).map(({ url }) => url.split("?")[0])).toEqual([OTHER.path]);
    follower.follow("b", []);
    await until(() => watches.every(({ closed }) => closed));
    expect(follower.get(SECRET)).toEqual({ known: false });
  });

  it("goes on after a break, and finds what happened meanwhile", async () => {
    items = [object("s", 5)];
    follower.follow("k", [SECRET]);
    await until(() => watches.length === 1);
    items = [];
    changed.length = 0;
    watches[0]?.response.end(line("ERROR", { kind: "Status", code: 410, reason: "Expired", message: "too old" }));
    await until(() => changed.length === 1);
    expect(follower.get(SECRET)).toEqual({ known: true, object: undefined });
  });

  it("follows nothing for those who ask after it was closed", async () => {
    follower.close();
    follower.follow("k", [SECRET]);
    follower = makeFollower();
    follower.follow("k", [OTHER]);
    await until(() => watches.length === 1);
    for (const request of server.requests) expect(request).toContain(OTHER.path);
  });
});
