import { afterEach, beforeEach, describe, expect, it } from "@jest/globals";
import type { ServerResponse } from "node:http";
import { pino } from "pino";
import { FakeServer, json, line, listOf, object, silent, status, until } from "./fake-server.test-support.ts";
import { ListWatch, type ListWatchOptions } from "./list-watch.ts";
import type { KubeObject } from "./object.ts";

const TIMERS = {
  minSeconds: 60,
  maxSeconds: 60,
  marginMs: 200,
  silenceMs: 60_000,
  markedSilenceMs: 60_000,
  backoff: { baseMs: 5, maxMs: 20 },
  refusedBackoff: { baseMs: 5, maxMs: 20 },
  shortMs: 100,
  relistAfterMs: 10_000,
};

describe("ListWatch", () => {
  let server: FakeServer;
  let watches: { response: ServerResponse; query: URLSearchParams }[];
  let lists: object[];
  /** What the server says its version is when that alone is asked for. */
  let version: number;
  let changes: string[];
  let connections: boolean[];
  let running: ListWatch<KubeObject>[];

  beforeEach(async () => {
    [watches, lists, version, changes, connections, running] = [[], [listOf(10)], 1000, [], [], []];
    server = await FakeServer.start(serve);
  });
  afterEach(async () => {
    await Promise.all(running.map((each) => each.stop()));
    await server.close();
  });

  function serve(_request: unknown, response: ServerResponse, url: URL): void {
    if (url.searchParams.get("watch") === "true") {
      response.writeHead(200).flushHeaders();
      watches.push({ response, query: url.searchParams });
    } else if (asksVersion(url.href)) json(response, 200, listOf(version));
    else json(response, 200, (lists.length > 1 ? lists.shift() : lists[0]) ?? {});
  }

  function asksVersion(url: string): boolean {
    return /[?&]limit=1(&|$)/.test(url);
  }

  /** How often it was asked for objects, and how often for its version alone. */
  function asked(): { lists: number; versions: number } {
    const others = server.requests.filter((request) => !request.includes("watch=true"));
    const versions = others.filter(asksVersion).length;
    return { lists: others.length - versions, versions };
  }

  function follow(options: Partial<ListWatchOptions<KubeObject>> = {}): ListWatch<KubeObject> {
    const listWatch = new ListWatch<KubeObject>({
      api: server.api(),
      path: "/things",
      onChange: (key, value) => changes.push(`${key}@${value?.metadata.resourceVersion ?? "gone"}`),
      onConnected: (connected) => connections.push(connected),
      logger: silent,
      timers: TIMERS,
      ...options,
    });
    running.push(listWatch);
    listWatch.start();
    return listWatch;
  }

  async function watchNumber(number: number): Promise<{ response: ServerResponse; query: URLSearchParams }> {
    await until(() => watches.length >= number);
    const watch = watches[number - 1];
    if (watch === undefined) throw new Error("no watch");
    return watch;
  }

  it("lists in pages, then watches from the list's version", async () => {
    lists = [
      { metadata: { resourceVersion: "10", continue: "more" }, items: [object("a", 5)] },
      listOf(10, object("b", 6)),
    ];
    const listWatch = follow({ fieldSelector: "spec.nodeName=n" });
    const { query } = await watchNumber(1);
    expect(changes).toEqual(["ns/a@5", "ns/b@6"]);
    expect(listWatch.synced).toBe(true);
    expect(Object.fromEntries(query)).toMatchObject({
      resourceVersion: "10",
      fieldSelector: "spec.nodeName=n",
      allowWatchBookmarks: "true",
      timeoutSeconds: "60",
    });
    expect(server.requests[1]).toContain("continue=more");
  });

  it("understands events cut anywhere, inside a character too", async () => {
    const listWatch = follow();
    const { response } = await watchNumber(1);
    const bytes = Buffer.from(
      line("ADDED", object("ä€😀", 11, { note: "x\\ny" })) + line("MODIFIED", object("ä€😀", 12)),
    );
    for (const byte of bytes) {
      response.write(Buffer.from([byte]));
      await new Promise((resolve) => setImmediate(resolve));
    }
    await until(() => changes.length === 2);
    expect(changes).toEqual(["ns/ä€😀@11", "ns/ä€😀@12"]);
    expect(listWatch.get("ns/ä€😀")?.metadata.resourceVersion).toBe("12");
  });

  it("goes on from the last version, bookmarks included, without a list when the server ends a watch", async () => {
    follow();
    const first = await watchNumber(1);
    first.response.write(line("ADDED", object("a", 11)));
    first.response.end(line("BOOKMARK", object("", 20)));
    const second = await watchNumber(2);
    expect(second.query.get("resourceVersion")).toBe("20");
    second.response.write(line("DELETED", object("a", 21)));
    await until(() => changes.length === 2);
    expect(changes).toEqual(["ns/a@11", "ns/a@gone"]);
    expect(asked()).toEqual({ lists: 1, versions: 1 });
    expect(connections).toEqual([true]);
  });

  it("asks for nothing but the next watch when one has lasted for as long as it was asked for", async () => {
    follow({ timers: { ...TIMERS, minSeconds: 1, maxSeconds: 1 } });
    const { response } = await watchNumber(1);
    setTimeout(() => response.end(), 1100);
    await watchNumber(2);
    expect(asked()).toEqual({ lists: 1, versions: 0 });
    expect(connections).toEqual([true]);
  });

  it.each([
    ["cut", (response: ServerResponse) => response.destroy()],
    ["ended too soon", (response: ServerResponse) => response.end()],
    ["silent", () => undefined],
  ])("lists again when a watch was %s and the server has gone back to an earlier version", async (how, end) => {
    lists = [listOf(10, object("same", 2), object("other", 3), object("unknown", 9))];
    const listWatch = follow({ timers: { ...TIMERS, silenceMs: how === "silent" ? 1500 : 60_000 } });
    const { response } = await watchNumber(1);
    response.write(line("MODIFIED", object("same", 20)));
    await until(() => listWatch.get("ns/same")?.metadata.resourceVersion === "20");
    changes.length = 0;
    version = 8;
    // Versions are given anew: the same number may stand for another change.
    lists = [listOf(8, object("same", 2), object("other", 3, { changed: true }))];
    end(response);
    expect((await watchNumber(2)).query.get("resourceVersion")).toBe("8");
    expect(changes.sort()).toEqual(["ns/other@3", "ns/same@2", "ns/unknown@gone"]);
    expect(listWatch.get("ns/other")).toHaveProperty("changed", true);
    expect(asked()).toEqual({ lists: 2, versions: 1 });
  });

  it("asks for the version until it is told, and takes no watch for granted before", async () => {
    follow();
    const { response } = await watchNumber(1);
    let refusals = 0;
    server.handler = (request, answer, url) => {
      if (!asksVersion(url.href) || refusals === 2) serve(request, answer, url);
      else {
        refusals++;
        json(answer, 503, status(503, "ServiceUnavailable"));
      }
    };
    response.destroy();
    expect((await watchNumber(2)).query.get("resourceVersion")).toBe("10");
    expect(watches).toHaveLength(2);
    expect(asked()).toEqual({ lists: 1, versions: 3 });
  });

  it.each([
    ["an answer", (response: ServerResponse) => response.destroy()],
    ["an ERROR event", (response: ServerResponse) => response.end(line("ERROR", status(410, "Expired")))],
  ])("lists again when the version is too old (%s), and reports the differences only", async (how, end) => {
    lists = [listOf(10, object("same", 1), object("changed", 2), object("deleted", 3))];
    const listWatch = follow();
    const { response } = await watchNumber(1);
    changes.length = 0;
    lists = [listOf(30, object("same", 1), object("changed", 25), object("new", 26))];
    if (how === "an answer") {
      let refused = false;
      server.handler = (request, answer, url) => {
        if (url.searchParams.get("watch") !== "true" || refused) serve(request, answer, url);
        else {
          refused = true;
          json(answer, 410, status(410, "Expired"));
        }
      };
    }
    end(response);
    expect((await watchNumber(2)).query.get("resourceVersion")).toBe("30");
    expect(changes.sort()).toEqual(["ns/changed@25", "ns/deleted@gone", "ns/new@26"]);
    expect(listWatch.list()).toHaveLength(3);
  });

  it("opens a watch anew that brings nothing, for its connection may be dead, and does not call that a failure", async () => {
    follow({ timers: { ...TIMERS, silenceMs: 200 } });
    await watchNumber(1); // Never brings anything, never ends.
    const second = await watchNumber(2);
    second.response.write(line("BOOKMARK", object("", 15)));
    await until(() => watches.at(-1)?.query.get("resourceVersion") === "15");
    expect(asked().lists).toBe(1);
    expect(connections).toEqual([true]);
  });

  it("opens a watch anew sooner when its bookmarks stop coming", async () => {
    follow({ timers: { ...TIMERS, markedSilenceMs: 200 } });
    const first = await watchNumber(1);
    first.response.write(line("BOOKMARK", object("", 15)));
    expect((await watchNumber(2)).query.get("resourceVersion")).toBe("15");
    await new Promise((resolve) => setTimeout(resolve, 400));
    // This one has brought none yet, as from a server that sends them only when there was something.
    expect(watches).toHaveLength(2);
    expect(connections).toEqual([true]);
  });

  it("gives up a watch that the server does not end when it should", async () => {
    follow({ timers: { ...TIMERS, minSeconds: 1, maxSeconds: 1 } });
    await watchNumber(1);
    await watchNumber(2);
    await until(() => connections.length > 2);
    expect(connections).toEqual([true, false, true]);
  });

  it("stays with a watch that brings nothing but bookmarks, and goes on from the last of them", async () => {
    const silenceMs = 1500;
    follow({ timers: { ...TIMERS, silenceMs } });
    const { response } = await watchNumber(1);
    for (let version = 11; version <= 30; version++) {
      response.write(line("BOOKMARK", object("", version)));
      await new Promise((resolve) => setTimeout(resolve, silenceMs / 15));
    }
    expect(watches).toHaveLength(1);
    response.end();
    expect((await watchNumber(2)).query.get("resourceVersion")).toBe("30");
    expect(changes).toEqual([]);
  });

  it.each([
    ["a reset inside of an event", line("ADDED", object("b", 12)).slice(0, -20)],
    ["a line that is no JSON", '{"type":"ADDED","object":{"meta\n'],
    ["another program's page", "<html><body>Bad gateway</body></html>\n"],
    ["null", "null\n"],
    ["an event without an object", '{"type":"ADDED"}\n'],
    ["an event without a version", '{"type":"MODIFIED","object":{"metadata":{"name":"b"}}}\n'],
    ["an event of an unknown type", line("RENAMED", object("b", 12))],
  ])("goes on from the last whole event after %s", async (_what, garbage) => {
    const listWatch = follow();
    const first = await watchNumber(1);
    first.response.write(line("ADDED", object("a", 11)));
    await until(() => changes.length === 1);
    first.response.write(garbage);
    await new Promise((resolve) => setTimeout(resolve, 20));
    first.response.destroy();
    const second = await watchNumber(2);
    expect(second.query.get("resourceVersion")).toBe("11");
    second.response.write(line("ADDED", object("b", 12)));
    await until(() => changes.length === 2);
    expect(changes).toEqual(["ns/a@11", "ns/b@12"]);
    expect(listWatch.list()).toHaveLength(2);
    expect(asked()).toEqual({ lists: 1, versions: 1 });
  });

  it("lists again after an ERROR event that is not about its version, and reports the differences only", async () => {
    follow();
    const { response } = await watchNumber(1);
    lists = [listOf(30, object("new", 26))];
    response.write(line("ERROR", status(400, "BadRequest", "no such field")));
    expect((await watchNumber(2)).query.get("resourceVersion")).toBe("30");
    expect(changes).toEqual(["ns/new@26"]);
  });

  it("follows a server again that was away, and says so once", async () => {
    const { port } = server;
    follow();
    await watchNumber(1);
    await server.close();
    await new Promise((resolve) => setTimeout(resolve, 300));
    lists = [listOf(50, object("meanwhile", 40))];
    server = await FakeServer.start(serve, port);
    const { response, query } = await watchNumber(2);
    expect(query.get("resourceVersion")).toBe("10");
    response.write(line("ADDED", object("meanwhile", 40)));
    await until(() => changes.length === 1);
    expect(connections).toEqual([true, false, true]);
  });

  it("counts refusals apart: a server that comes back with one is not left alone for as long as it was away", async () => {
    let requests = 0;
    server.handler = (request, response, url) => {
      requests++;
      if (requests <= 3) json(response, 503, status(503, "ServiceUnavailable"));
      // Its rules for rights are not loaded yet.
      else if (requests <= 5) json(response, 403, status(403, "Forbidden"));
      else serve(request, response, url);
    };
    const waits: string[] = [];
    const write = (line: string): void => {
      const { attempt, delayMs } = JSON.parse(line) as { attempt?: number; delayMs?: number };
      if (attempt !== undefined) waits.push(`${attempt}: ${delayMs}`);
    };
    const [often, seldom] = [
      { baseMs: 4, maxMs: 4 },
      { baseMs: 40, maxMs: 40 },
    ];
    const timers = { ...TIMERS, backoff: often, refusedBackoff: seldom };
    follow({ timers, logger: pino({ level: "debug" }, { write }) });
    await watchNumber(1);
    expect(waits).toEqual([
      ...["0", "1", "2"].map((attempt) => expect.stringMatching(`^${attempt}: [234]$`) as unknown),
      ...["0", "1"].map((attempt) => expect.stringMatching(`^${attempt}: [234]\\d$`) as unknown),
    ]);
  });

  it("lists again after a long absence", async () => {
    const { port } = server;
    follow({ timers: { ...TIMERS, relistAfterMs: 100 } });
    await watchNumber(1);
    await server.close();
    await new Promise((resolve) => setTimeout(resolve, 300));
    lists = [listOf(11, object("restored", 3))];
    server = await FakeServer.start(serve, port);
    expect((await watchNumber(2)).query.get("resourceVersion")).toBe("11");
    expect(changes).toEqual(["ns/restored@3"]);
    expect(asked().versions).toBe(0);
  });

  it("selects by itself where the server does not know the field", async () => {
    const unknown = status(400, "BadRequest", 'Unable to find "things": field label not supported: spec.nodeName');
    server.handler = (request, response, url) => {
      if (url.searchParams.has("fieldSelector")) json(response, 400, unknown);
      else serve(request, response, url);
    };
    lists = [listOf(10, object("mine", 1, { mine: true }), object("other", 2))];
    follow({ fieldSelector: "spec.nodeName=n", include: (each) => "mine" in each });
    const { response } = await watchNumber(1);
    expect(changes).toEqual(["ns/mine@1"]);
    response.write(line("MODIFIED", object("mine", 11)) + line("MODIFIED", object("other", 12)));
    await until(() => changes.length === 2);
    expect(changes[1]).toBe("ns/mine@gone");
    expect(connections).toEqual([true]);
  });

  it("does not turn into a busy loop when watches end as soon as they begin", async () => {
    server.handler = (request, response, url) => {
      if (url.searchParams.get("watch") === "true") response.writeHead(200).end();
      else serve(request, response, url);
    };
    follow({ timers: { ...TIMERS, backoff: { baseMs: 100, maxMs: 100 } } });
    await new Promise((resolve) => setTimeout(resolve, 400));
    expect(server.requests.filter((request) => request.includes("watch=true")).length).toBeLessThan(11);
  });

  it("does not report an own write whose event comes before its answer, but what others wrote meanwhile", async () => {
    lists = [listOf(10, object("a", 5))];
    const listWatch = follow();
    const { response } = await watchNumber(1);
    changes.length = 0;
    const write = async (version: number, events: number[]) => {
      const answer = Promise.withResolvers<KubeObject>();
      const written = listWatch.write("ns/a", () => answer.promise);
      for (const each of events) response.write(line("MODIFIED", object("a", each)));
      await until(() => listWatch.get("ns/a")?.metadata.resourceVersion === String(Math.max(...events)));
      expect(changes).toEqual([]);
      answer.resolve(object("a", version));
      await written;
    };
    await write(11, [11]);
    expect(changes).toEqual([]);
    await write(13, [12, 13]);
    expect(changes.splice(0)).toEqual(["ns/a@13"]);
    await expect(listWatch.write("ns/a", () => Promise.reject(new Error("refused")))).rejects.toThrow("refused");
    response.write(line("MODIFIED", object("a", 14)));
    await until(() => changes.length === 1);
  });

  it("survives an owner that throws", async () => {
    follow({
      onChange: (key) => {
        changes.push(key);
        throw new Error("owner");
      },
    });
    const { response } = await watchNumber(1);
    response.write(line("ADDED", object("a", 11)) + line("ADDED", object("b", 12)));
    await until(() => changes.length === 2);
    expect(watches).toHaveLength(1);
  });
});
