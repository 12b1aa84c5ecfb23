import { describe, expect, it } from "@jest/globals";
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

  it("keeps an error's message, stack and cause", () => {
    const { logger, written } = lines("json");
    logger.error({ err: new Error("outer", { cause: new Error("inner") }) }, "failed");
    expect(written[0]).toContain("outer: inner");
  });
});
