import { describe, expect, it } from "@jest/globals";
import { parseSince } from "./logs.ts";

const NOW = Date.parse("2026-01-02T03:04:05Z");

describe("parseSince", () => {
  it.each([
    ["90s", "2026-01-02T03:02:35.000Z"],
    ["1h30m", "2026-01-02T01:34:05.000Z"],
    ["2d", "2025-12-31T03:04:05.000Z"],
    ["2026-01-01T00:00:00+01:00", "2025-12-31T23:00:00.000Z"],
    ["2026-01-01", "2026-01-01T00:00:00.000Z"],
    ["1767225600", "2026-01-01T00:00:00.000Z"],
  ])("reads %s", (text, time) => {
    expect(parseSince(text, undefined, NOW).toISOString()).toBe(time);
  });

  it.each(["", "yesterday", "m", "10x", "2026-13-01", "1h-30m"])("refuses %j", (text) => {
    expect(() => parseSince(text, undefined, NOW)).toThrow("must be a span");
  });
});
