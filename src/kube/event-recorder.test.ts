import { afterEach, beforeEach, describe, expect, it } from "@jest/globals";
import { EventRecorder } from "./event-recorder.ts";
import { FakeServer, json, object, silent, status, until } from "./fake-server.test-support.ts";

type Sent = { method: string; path: string; body: Record<string, unknown> };

describe("EventRecorder", () => {
  let server: FakeServer;
  let sent: Sent[];
  let answers: [number, object][];
  let now: number;
  let recorder: EventRecorder;
  const thing = object("thing", 7, { apiVersion: "example.com/v1", kind: "Thing" });

  beforeEach(async () => {
    [sent, answers, now] = [[], [], Date.parse("2024-05-01T10:00:00Z")];
    server = await FakeServer.start((request, response, url, body) => {
      const method = request.method ?? "";
      sent.push({ method, path: url.pathname, body: JSON.parse(body) as Record<string, unknown> });
      json(response, ...(answers.shift() ?? [201, {}]));
    });
    const options = { api: server.api(), component: "example.com/agent", host: "node-1", logger: silent };
    recorder = new EventRecorder({ ...options, now: () => new Date(now) });
  });
  afterEach(async () => {
    await recorder.flush(0);
    await server.close();
  });

  it("posts an Event in the object's namespace and counts it up when it happens again", async () => {
    recorder.event(thing, "Normal", "Started", "it runs");
    await recorder.flush(1000);
    now += 60_000;
    recorder.event(thing, "Normal", "Started", "it runs");
    await recorder.flush(1000);
    expect(sent.map(({ method }) => method)).toEqual(["POST", "PATCH"]);
    expect(sent[0]?.path).toBe("/api/v1/namespaces/ns/events");
    expect(sent[0]?.body).toMatchObject({
      involvedObject: { apiVersion: "example.com/v1", kind: "Thing", name: "thing", namespace: "ns", uid: "uid-thing" },
      type: "Normal",
      reason: "Started",
      message: "it runs",
      count: 1,
      source: { component: "example.com/agent", host: "node-1" },
    });
    expect(sent[1]?.path).toMatch(/^\/api\/v1\/namespaces\/ns\/events\/thing\.[0-9a-f]{16}$/);
    expect(sent[1]?.body).toMatchObject({ count: 2, lastTimestamp: "2024-05-01T10:01:00.000Z" });
  });

  it("replaces the message where told to, and keeps other messages apart", async () => {
    recorder.event(thing, "Normal", "Pulling", "10%", { replaces: "pull" });
    await recorder.flush(1000);
    recorder.event(thing, "Normal", "Pulling", "20%", { replaces: "pull" });
    recorder.event(thing, "Normal", "Pulling", "another image");
    await recorder.flush(1000);
    expect(sent.map(({ method, body }) => `${method} ${String(body["message"])}`)).toEqual([
      "POST 10%",
      "PATCH 20%",
      "POST another image",
    ]);
  });

  it("sends once what is reported many times before it was sent", async () => {
    for (let i = 0; i < 5; i++) recorder.event(thing, "Warning", "BackOff", "again");
    await recorder.flush(1000);
    expect(sent.map(({ body }) => body["count"])).toEqual([5]);
  });

  it("gives an object 25 Events at once and one more each 5 minutes, without touching another's", async () => {
    const report = (count: number, of = thing) => {
      for (let i = 0; i < count; i++) recorder.event(of, "Normal", "Noise", `message ${i} at ${now}`);
      return recorder.flush(5000);
    };
    await report(30);
    expect(sent).toHaveLength(25);
    expect(recorder.dropped).toBe(5);
    now += 301_000;
    await report(3);
    expect(sent).toHaveLength(26);
    await report(1, object("other", 1));
    expect(sent).toHaveLength(27);
  });

  it("waits for an API server that is away, and posts anew what the server has forgotten", async () => {
    answers = [
      [503, status(503, "ServiceUnavailable")],
      [201, {}],
      [404, status(404, "NotFound")],
    ];
    recorder.event(thing, "Normal", "Started", "it runs");
    await until(() => sent.length === 2);
    await recorder.flush(1000);
    recorder.event(thing, "Normal", "Started", "it runs");
    await recorder.flush(1000);
    expect(sent.map(({ method, body }) => `${method} ${String(body["count"])}`)).toEqual([
      "POST 1",
      "POST 1",
      "PATCH 2",
      "POST 1",
    ]);
    const names = sent
      .filter(({ method }) => method === "POST")
      .map(({ body }) => (body["metadata"] as { name: string }).name);
    expect(names[0]).toBe(names[1]);
    expect(names[2]).not.toBe(names[1]);
  });

  it("drops what the server refuses and goes on; flush ends when told", async () => {
    answers = [[403, status(403, "Forbidden")]];
    recorder.event(thing, "Normal", "Refused", "x");
    recorder.event(thing, "Normal", "Taken", "ä".repeat(2000));
    await recorder.flush(1000);
    expect(sent).toHaveLength(2);
    expect(Buffer.byteLength(String(sent[1]?.body["message"]))).toBeLessThanOrEqual(1024);
    expect(String(sent[1]?.body["message"])).toMatch(/^ä+…$/);
    await server.close();
    recorder.event(thing, "Normal", "Lost", "x");
    const before = performance.now();
    await recorder.flush(100);
    expect(performance.now() - before).toBeLessThan(400);
  });

  it("lets what is more urgent go first, but not when it has to hurry", async () => {
    let idle = Promise.withResolvers<undefined>();
    const options = { api: server.api(), component: "example.com/agent", host: "node-1", logger: silent };
    const polite = new EventRecorder({ ...options, idle: () => idle.promise });
    polite.event(thing, "Normal", "First", "x");
    // Another one's Event is sent meanwhile.
    recorder.event(thing, "Normal", "Other", "x");
    await until(() => sent.length === 1);
    expect(sent[0]?.body["reason"]).toBe("Other");
    idle.resolve(undefined);
    await until(() => sent.length === 2);
    expect(sent[1]?.body["reason"]).toBe("First");
    idle = Promise.withResolvers<undefined>();
    polite.event(thing, "Normal", "Second", "x");
    await polite.flush(1000);
    expect(sent[2]?.body["reason"]).toBe("Second");
  });
});
