import { afterEach, beforeEach, describe, expect, it, jest } from "@jest/globals";
import { silent } from "./fake-server.test-support.ts";
import { WorkQueue } from "./work-queue.ts";

const DAY = 86_400_000;

describe("WorkQueue", () => {
  beforeEach(() => {
    jest.useFakeTimers();
  });
  afterEach(() => {
    jest.useRealTimers();
  });

  /** A queue whose handlers end when the test says so. */
  function held(concurrency: number) {
    const started: string[] = [];
    const ends = new Map<string, (error?: Error) => void>();
    const handler = (key: string) => {
      started.push(key);
      return new Promise<void>((resolve, reject) => {
        ends.set(key, (error) => {
          if (error === undefined) resolve();
          else reject(error);
        });
      });
    };
    const backoff = { baseMs: 100, maxMs: 1000 };
    const queue = new WorkQueue({ concurrency, handler, backoff, logger: silent, random: () => 0.999_999 });
    const end = async (key: string, error?: Error) => {
      ends.get(key)?.(error);
      await settle();
    };
    return { queue, started, end };
  }

  async function settle(): Promise<void> {
    await jest.advanceTimersByTimeAsync(0);
  }

  it("works on many keys at once, each key once while it waits", async () => {
    const { queue, started, end } = held(2);
    for (const key of ["a", "b", "c", "c", "a"]) queue.add(key);
    await settle();
    expect(started).toEqual(["a", "b"]);
    await end("b");
    expect(started).toEqual(["a", "b", "c"]);
  });

  it("never works on a key twice at once, but once more for all that was added meanwhile", async () => {
    const { queue, started, end } = held(10);
    queue.add("a");
    await settle();
    queue.add("a");
    queue.add("a");
    await settle();
    expect(started).toEqual(["a"]);
    await end("a");
    expect(started).toEqual(["a", "a"]);
    await end("a");
    expect(started).toEqual(["a", "a"]);
  });

  it("doubles a key's wait with each failure up to the maximum, and forgets it upon success", async () => {
    const { queue, started, end } = held(10);
    queue.add("a");
    await settle();
    for (const wait of [100, 200, 400, 800, 1000, 1000]) {
      const runs = started.length;
      await end("a", new Error("failure"));
      await jest.advanceTimersByTimeAsync(wait - 1);
      expect(started).toHaveLength(runs);
      await jest.advanceTimersByTimeAsync(1);
      expect(started).toHaveLength(runs + 1);
    }
    await end("a");
    queue.add("a");
    await settle();
    const runs = started.length;
    await end("a", new Error("failure"));
    await jest.advanceTimersByTimeAsync(100);
    expect(started).toHaveLength(runs + 1);
  });

  it("does not run a failed key twice when it was added before its wait was over", async () => {
    const { queue, started, end } = held(10);
    queue.add("a");
    await settle();
    await end("a", new Error("failure"));
    queue.add("a");
    await settle();
    await end("a");
    await jest.advanceTimersByTimeAsync(5000);
    expect(started).toEqual(["a", "a"]);
  });

  it("keeps one appointment a key, the latest, also beyond what a timer can count to", async () => {
    const { queue, started } = held(10);
    queue.addAt("a", Date.now() + 1000);
    queue.addAt("a", new Date(Date.now() + 60 * DAY));
    await jest.advanceTimersByTimeAsync(60 * DAY - 1);
    expect(started).toEqual([]);
    await jest.advanceTimersByTimeAsync(1);
    expect(started).toEqual(["a"]);
  });

  it("keeps an appointment when the key is added before, and drops it with forget", async () => {
    const { queue, started, end } = held(10);
    queue.addAt("a", Date.now() + 1000);
    queue.addAt("b", Date.now() + 1000);
    queue.add("a");
    await settle();
    await end("a");
    queue.forget("b");
    await jest.advanceTimersByTimeAsync(1000);
    expect(started).toEqual(["a", "a"]);
  });

  it("does each key's work within its scope, with the time it waited and how it ended", async () => {
    const seen: unknown[] = [];
    const queue = new WorkQueue({
      concurrency: 1,
      backoff: { baseMs: 100, maxMs: 1000 },
      logger: silent,
      handler: async (key) => {
        seen.push(`${key}, ${queue.depth} wait`);
        await new Promise((resolve) => setTimeout(resolve, 2000));
        if (key === "b") throw new Error("failure");
      },
      scope: async (key, waitedSeconds, work) => {
        seen.push([key, waitedSeconds, await work()]);
      },
    });
    queue.add("a");
    queue.add("b");
    expect(queue.depth).toBe(1);
    await jest.advanceTimersByTimeAsync(4000);
    expect(seen).toEqual(["a, 0 wait", ["a", 0, true], "b, 0 wait", ["b", 2, false]]);
    await queue.close(0);
  });

  it("closes: no new keys, no timers, no waiting ones; waits for the running, but not longer than told", async () => {
    const { queue, started, end } = held(1);
    for (const key of ["a", "b"]) queue.add(key);
    queue.addAt("c", Date.now() + 10);
    await settle();
    const impatient = queue.close(50);
    queue.add("d");
    await jest.advanceTimersByTimeAsync(100);
    expect(await impatient).toBe(false);
    const patient = queue.close(1000);
    await end("a");
    expect(await patient).toBe(true);
    await jest.advanceTimersByTimeAsync(5000);
    expect(started).toEqual(["a"]);
  });
});
