import { describe, expect, it } from "@jest/globals";
import { waterfall } from "./waterfall.ts";

const SENT = Date.parse("2024-01-01T00:00:00.000Z");
const at = (ms: number): string => new Date(SENT + ms).toISOString();
const phase = (key: string, name: string, end: number, ms: number) => ({
  time: at(end),
  msg: "phase of a start",
  key,
  phase: name,
  seconds: ms / 1000,
});

const STARTS = ["default/a", "default/b", "default/c"].map((key) => ({
  key,
  sent: SENT,
  answered: SENT + 10,
  seen: SENT + 100,
}));

describe("the waterfall", () => {
  it("tells when each phase began after the POST, as the median of all starts", () => {
    const lines = STARTS.flatMap(({ key }, index) => [
      { time: at(12), msg: "next step", key, verb: "create" },
      phase(key, "storage", 20, 4),
      phase(key, "task", 60 + 10 * index, 40),
      phase(key, "save", 90, 5),
    ]);
    const bars = waterfall(STARTS, lines);
    expect(bars.map(({ phase: name }) => name)).toEqual([
      "POST",
      "watch",
      "guards",
      "storage",
      "task",
      "save",
      "status",
    ]);
    expect(bars).toContainEqual({ phase: "task", startMs: 30.5, ms: 40 });
    expect(bars).toContainEqual({ phase: "guards", startMs: 12.5, ms: 4 });
    expect(bars).toContainEqual({ phase: "status", startMs: 90.5, ms: 9.5 });
  });

  it("leaves out what most starts do without", () => {
    const lines = [phase("default/a", "network", 20, 4), ...STARTS.map(({ key }) => phase(key, "task", 60, 40))];
    expect(waterfall(STARTS, lines).map(({ phase: name }) => name)).toEqual(["POST", "task"]);
  });

  it("leaves out what other Containers do", () => {
    const starts = [{ key: "default/a", sent: SENT, answered: SENT + 10, seen: SENT + 20 }];
    expect(waterfall(starts, [phase("default/b", "task", 60, 40)]).map(({ phase: name }) => name)).toEqual(["POST"]);
  });
});
