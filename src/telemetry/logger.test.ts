import { describe, expect, it } from "@jest/globals";
import { correlated } from "./correlation.ts";
import { createLogger } from "./logger.ts";

describe("createLogger", () => {
  function lines(format: "json" | "pretty") {
    const written: string[] = [];
    const destination = { write: (line: string) => void written.push(line) };
    return { logger: createLogger({ level: "info", format, destination }), written };
  }

  it("writes a JSON object a line, of its level and above, with the secrets left out", () => {
    const { logger, written } = lines("json");
    logger.debug("not this");
    logger.warn({ pull: { credentials: { password: "hunter2" } }, token: "hunter2", ref: "image" }, "this");
    expect(written).toHaveLength(1);
    expect(written[0]).not.toContain("hunter2");
    expect(JSON.parse(written[0] ?? "")).toMatchObject({ level: "warn", msg: "this", ref: "image" });
  });

  it("gives all lines of one reconcile one id, and none to what outlives it", async () => {
    const { logger, written } = lines("json");
    const outlives = Promise.withResolvers<undefined>();
    const later = Promise.withResolvers<undefined>();
    const reconcile = (key: string) =>
      correlated(key, async () => {
        logger.info("begin");
        await new Promise(setImmediate);
        void outlives.promise.then(() => {
          logger.info("outlives");
          later.resolve(undefined);
        });
        logger.info({ key: "its own" }, "end");
      });
    await Promise.all([reconcile("a"), reconcile("b")]);
    outlives.resolve(undefined);
    await later.promise;
    const seen = written.map((line) => JSON.parse(line) as { msg: string; key?: string; reconcileID?: string });
    const [a, b] = seen;
    expect(a?.reconcileID).toMatch(/^[0-9a-f-]{36}$/);
    expect(b?.reconcileID).not.toBe(a?.reconcileID);
    expect(seen.map(({ msg, key, reconcileID }) => [msg, key, reconcileID])).toEqual([
      ["begin", "a", a?.reconcileID],
      ["begin", "b", b?.reconcileID],
      ["end", "its own", a?.reconcileID],
      ["end", "its own", b?.reconcileID],
      ["outlives", undefined, undefined],
      ["outlives", undefined, undefined],
    ]);
  });

  it("keeps an error's message, stack and cause", () => {
    const { logger, written } = lines("json");
    logger.error({ err: new Error("outer", { cause: new Error("inner") }) }, "failed");
    expect(written[0]).toContain("outer: inner");
  });
});
