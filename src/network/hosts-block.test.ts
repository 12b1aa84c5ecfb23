import { describe, expect, it } from "@jest/globals";
import { hostsBlock, withBlock } from "./hosts-block.ts";

const OWN = "127.0.0.1\tlocalhost\n10.89.0.2\tweb\n";
const DB = hostsBlock([{ address: "10.89.0.3", names: ["db", "database"] }]);
const BOTH = hostsBlock([
  { address: "10.89.0.3", names: ["db"] },
  { address: "fd00::4", names: ["cache"] },
]);

describe("hostsBlock", () => {
  it("is a line for each address between two comments, and nothing without lines", () => {
    expect(DB).toMatch(/^# .*\n10\.89\.0\.3\tdb database\n# .*\n$/);
    expect(hostsBlock([])).toBe("");
  });
});

describe("withBlock", () => {
  it("adds the block at the end, replaces it where it is, and takes it out again", () => {
    expect(withBlock(OWN, DB)).toBe(OWN + DB);
    expect(withBlock(OWN + DB, BOTH)).toBe(OWN + BOTH);
    expect(withBlock(OWN + BOTH, "")).toBe(OWN);
    expect(withBlock(OWN, "")).toBe(OWN);
    expect(withBlock(OWN + DB, DB)).toBe(OWN + DB);
  });

  it("keeps what the container has written before and after it", () => {
    const own = "192.0.2.1\town\n";
    expect(withBlock(`${own}${DB}${own}`, BOTH)).toBe(`${own}${BOTH}${own}`);
    expect(withBlock(`${own}${DB}${own}`, "")).toBe(own + own);
  });

  it("ends a last line that has no end before it adds the block", () => {
    expect(withBlock("127.0.0.1 localhost", DB)).toBe(`127.0.0.1 localhost\n${DB}`);
    expect(withBlock("", DB)).toBe(DB);
  });

  it("keeps the lines of a block whose end the container has removed", () => {
    const torn = DB.split("\n").slice(0, 2).join("\n") + "\n";
    expect(withBlock(torn, BOTH)).toBe(`${BOTH}10.89.0.3\tdb database\n`);
  });
});
