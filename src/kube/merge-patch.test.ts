import { describe, expect, it } from "@jest/globals";
import { patchFor } from "./merge-patch.ts";

describe("patchFor", () => {
  it.each([
    ["equal objects", { a: { b: [1, { c: 2 }] } }, { a: { b: [1, { c: 2 }] } }, undefined],
    ["a nested change", { a: { b: 1, c: 2 } }, { a: { b: 1, c: 3 } }, { a: { c: 3 } }],
    ["what went", { a: { b: 1, c: 2 }, d: 1 }, { a: { b: 1 } }, { a: { c: null }, d: null }],
    ["arrays, whole", { a: [1, 2] }, { a: [1, 3] }, { a: [1, 3] }],
    ["arrays that got longer", { a: [1] }, { a: [1, 2] }, { a: [1, 2] }],
    ["undefined, which is absent", { a: 1 }, { a: undefined, b: undefined }, { a: null }],
    ["undefined on both sides", { a: undefined }, {}, undefined],
    ["an object in place of a value", { a: 1 }, { a: { b: 1 } }, { a: { b: 1 } }],
    ["an empty object, which is not absence", {}, { a: {} }, { a: {} }],
    ["an emptied object", { a: { b: 1 } }, { a: {} }, { a: { b: null } }],
    ["everything, when there was nothing", undefined, { a: 1 }, { a: 1 }],
  ])("finds %s", (_what, before, after, patch) => {
    expect(patchFor(before, after)).toEqual(patch);
  });
});
