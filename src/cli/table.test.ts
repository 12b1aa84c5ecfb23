import { describe, expect, it } from "@jest/globals";
import { age, table } from "./table.ts";

describe("table", () => {
  it("aligns columns, and leaves no blanks at a line's end", () => {
    expect(
      table(
        ["NAME", "STATE", "EXIT"],
        [
          ["default/web", "Running", ""],
          ["a/b", "Exited", "137"],
        ],
      ),
    ).toBe("NAME          STATE     EXIT\ndefault/web   Running\na/b           Exited    137\n");
  });

  it("is its heading when there is nothing", () => {
    expect(table(["NAME", "STATE"], [])).toBe("NAME   STATE\n");
  });
});

describe("age", () => {
  it.each([
    [-5, "0s"],
    [119_000, "119s"],
    [200_000, "3m20s"],
    [300_000, "5m"],
    [3_600_000, "60m"],
    [4 * 3_600_000 + 60_000, "4h1m"],
    [30 * 3_600_000, "30h"],
    [51 * 3_600_000, "2d3h"],
    [20 * 86_400_000, "20d"],
  ])("of %d ms is %s", (ms, text) => {
    expect(age(ms)).toBe(text);
  });
});
