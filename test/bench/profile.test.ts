import { describe, expect, it } from "@jest/globals";
import { summarize } from "./profile.ts";

const frame = (functionName: string, url = "", lineNumber = 0) => ({ functionName, url, lineNumber });

describe("a profile's summary", () => {
  const summary = summarize({
    nodes: [
      { id: 1, callFrame: frame("(idle)") },
      { id: 2, callFrame: frame("unary", "file:///app/node_modules/@grpc/grpc-js/build/src/client.js", 9) },
      { id: 3, callFrame: frame("parse", "file:///app/src/kube/watch.ts", 41) },
      { id: 4, callFrame: frame("(garbage collector)") },
      { id: 5, callFrame: frame("unary", "file:///app/node_modules/@grpc/grpc-js/build/src/client.js", 9) },
    ],
    samples: [1, 2, 3, 4, 5],
    timeDeltas: [6000, 1000, 2000, 500, 500],
  });

  it("counts no idle time as used", () => {
    expect(summary).toMatchObject({ wallMs: 10, busyMs: 4 });
  });

  it("adds up what belongs to one package or layer, the most first", () => {
    expect(summary.packages).toEqual([
      { what: "src/kube", ms: 2, percent: 50 },
      { what: "@grpc/grpc-js", ms: 1.5, percent: 37.5 },
      { what: "the engine: (garbage collector)", ms: 0.5, percent: 12.5 },
    ]);
  });

  it("names functions by where they are", () => {
    expect(summary.functions.map(({ what }) => what)).toEqual([
      "parse src/kube/watch.ts:42",
      "unary @grpc/grpc-js/build/src/client.js:10",
      "(garbage collector)",
    ]);
  });
});
