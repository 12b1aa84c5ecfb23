import { describe, expect, it } from "@jest/globals";
import { NotationError, parseDuration, parseQuantity } from "./notation.ts";

describe("parseQuantity", () => {
  it.each([
    [2, 2],
    ["0.5", 0.5],
    [".5", 0.5],
    ["100m", 0.1],
    ["1100m", 1.1],
    ["500u", 0.0005],
    ["1.1k", 1100],
    ["64Mi", 67108864],
    ["1.5Gi", 1610612736],
    ["1E", 1e18],
    ["1e3", 1000],
    ["1E-1", 0.1],
  ])("reads %s as %s", (quantity, value) => {
    expect(parseQuantity(quantity)).toBe(value);
  });

  it.each(["", "lots", "64MB", "1K", "-1", "1 Mi", "1e", "0x10", -1, NaN, Infinity])("refuses %s", (quantity) => {
    expect(() => parseQuantity(quantity)).toThrow(NotationError);
  });

  it("says what would be right", () => {
    expect(() => parseQuantity("64MB")).toThrow('"64MB" is not a quantity such as 500m, "0.5", 64Mi or 2Gi');
  });
});

describe("parseDuration", () => {
  it.each([
    ["0", 0],
    ["500ms", 500],
    ["30s", 30_000],
    ["1m30s", 90_000],
    ["1.5h", 5_400_000],
  ])("reads %s as %s ms", (duration, milliseconds) => {
    expect(parseDuration(duration)).toBe(milliseconds);
  });

  it.each(["", "30", "s", "-1s", "1d", "1s ", "00"])("refuses %s", (duration) => {
    expect(() => parseDuration(duration)).toThrow(NotationError);
  });
});
