import { describe, expect, it } from "@jest/globals";
import { sparesAfter, sparesIn } from "./spares.ts";

describe("sparesIn", () => {
  it.each([
    [16, 32],
    [24, 32],
    [25, 16],
    [28, 2],
    [29, 1],
    [30, 0],
  ])("a /%d has room for %d of at most 32", (prefixLength, expected) => {
    expect(sparesIn(prefixLength, 32)).toBe(expected);
  });

  it("is never more than is wished", () => {
    expect(sparesIn(16, 0)).toBe(0);
  });
});

describe("sparesAfter", () => {
  it("is as many as were asked for at once, within its bounds", () => {
    expect(sparesAfter(0, 1, 32)).toBe(4);
    expect(sparesAfter(4, 30, 32)).toBe(30);
    expect(sparesAfter(4, 100, 32)).toBe(32);
    expect(sparesAfter(0, 1, 2)).toBe(2);
    expect(sparesAfter(0, 1, 0)).toBe(0);
  });

  it("comes down by one each time that there were more, to the least", () => {
    expect(sparesAfter(30, 1, 32)).toBe(29);
    expect(sparesAfter(30, 29, 32)).toBe(29);
    expect(sparesAfter(4, 1, 32)).toBe(4);
  });
});
