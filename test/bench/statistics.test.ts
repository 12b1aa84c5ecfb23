import { describe, expect, it } from "@jest/globals";
import { median, quantile } from "./statistics.ts";

describe("quantile", () => {
  it("lies between two numbers where it falls there, in whatever order they come", () => {
    expect(median([40, 10, 20, 30])).toBe(25);
    expect(median([3, 1, 2])).toBe(2);
    expect(quantile([0, 10], 0.9)).toBe(9);
  });

  it("is the number itself of one, and none of none", () => {
    expect(quantile([7], 0.99)).toBe(7);
    expect(median([])).toBeNaN();
  });
});
