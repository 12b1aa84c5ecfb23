import { expect, it } from "@jest/globals";
import { KINDS } from "./kinds.ts";
import { Planner, type Round, STEADY } from "./plan.ts";

const options = { nodes: 2, slots: 40, wishMs: 700, faults: true };

function rounds(seed: number): Round[] {
  const planner = new Planner(seed, options);
  return [planner.round(45_000, true), planner.round(45_000, false)];
}

it("follows from the seed", () => {
  expect(rounds(1)).toEqual(rounds(1));
  expect(rounds(1)).not.toEqual(rounds(2));
});

it("leaves the steady ones in peace, and makes all others at once", () => {
  const planner = new Planner(1, options);
  expect(planner.steady()).toHaveLength(2 * STEADY.length);
  const { wishes } = planner.round(45_000, true);
  expect(wishes.filter(({ at }) => at === 0)).toHaveLength(40 - 2 * STEADY.length);
  expect(wishes.every(({ slot }) => planner.place(slot).index >= STEADY.length)).toBe(true);
});

it("has one fault of a part at a time", () => {
  const { faults } = new Planner(1, options).round(600_000, true);
  for (const own of Map.groupBy(faults, ({ target }) => target).values()) {
    for (const [index, { at }] of own.entries()) {
      const before = own[index - 1];
      expect(at).toBeGreaterThanOrEqual(before === undefined ? 0 : before.at + before.forMs);
    }
  }
  expect(new Set(faults.map(({ target }) => target)).size).toBe(5);
});

it("comes to every kind and every verb in the end", () => {
  const { wishes } = new Planner(1, options).round(3_600_000, true);
  const kinds = wishes.flatMap(({ wish }) => (wish.verb === "create" ? [wish.kind] : []));
  expect(new Set(kinds)).toEqual(new Set(Object.keys(KINDS)));
  const verbs = new Set(wishes.map(({ wish }) => wish.verb));
  expect([...verbs].sort()).toEqual(["create", "delete", "desire", "edit", "order", "restart", "tear"]);
});
