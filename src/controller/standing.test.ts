import { describe, expect, it } from "@jest/globals";
import { type Facts, isGivenUp, standingOf } from "./standing.ts";

const PATIENCE = { noAgentMs: 30_000, graceMs: 90_000 };
const MISSING: Facts["node"] = { missingSince: 0 };
const READY: Facts["node"] = { uid: "u" };
const NOT_READY: Facts["node"] = { uid: "u", notReadySince: "2026-01-02T03:04:05Z" };

const lease = (heardAt: number, hadNode = false): Facts["lease"] => ({
  heardAt,
  durationMs: 150_000,
  renewTime: "2026-01-02T03:00:00.000000Z",
  hadNode,
});
const kindAt = (facts: Facts, seconds: number): string => standingOf(facts, seconds * 1000, PATIENCE).standing.kind;
const givenUpAt = (facts: Facts, seconds: number): boolean =>
  isGivenUp(standingOf(facts, seconds * 1000, PATIENCE).standing);

describe("an agent", () => {
  it.each<[string, Facts["node"]]>([
    ["is there", READY],
    ["is not ready", NOT_READY],
    ["was deleted", MISSING],
    ["is not known", "unknown"],
  ])("that renews its Lease lives, though its Node %s", (_, node) => {
    expect(kindAt({ lease: lease(100_000, true), node }, 170)).toBe("alive");
  });

  it("that has not renewed for the whole duration is silent, and is asked about just then", () => {
    const facts: Facts = { lease: lease(100_000), node: READY };
    expect(standingOf(facts, 249_999, PATIENCE)).toEqual({ standing: { kind: "alive" }, next: 250_000 });
    expect(standingOf(facts, 250_000, PATIENCE).standing).toEqual({
      kind: "silent",
      renewTime: "2026-01-02T03:00:00.000000Z",
      hasNode: true,
    });
  });

  it("that has missed one renewal is silent if its Node is not ready", () => {
    const facts: Facts = { lease: lease(100_000), node: NOT_READY };
    expect(kindAt(facts, 174)).toBe("alive");
    expect(standingOf(facts, 175_000, PATIENCE).standing).toMatchObject({ notReadySince: "2026-01-02T03:04:05Z" });
  });

  it("that contradicts that it has none lives on for an hour", () => {
    const facts: Facts = { lease: { missingSince: 0, contradictedAt: 1_000_000 }, node: READY };
    expect(kindAt(facts, 4599)).toBe("alive");
    expect(givenUpAt(facts, 4689)).toBe(false);
    expect(givenUpAt(facts, 4690)).toBe(true);
  });
});

describe("a node is given up", () => {
  it("when its Node was deleted and its agent is silent, after a grace", () => {
    const facts: Facts = { lease: lease(0, true), node: { missingSince: 200_000 } };
    expect(standingOf(facts, 289_999, PATIENCE)).toMatchObject({ standing: { kind: "silent" }, next: 290_000 });
    expect(givenUpAt(facts, 290)).toBe(true);
    expect(kindAt(facts, 290)).toBe("gone");
  });

  it.each<[string, Facts]>([
    ["its agent is silent for long", { lease: lease(0, true), node: READY }],
    ["its Node is not ready for long", { lease: lease(0, true), node: NOT_READY }],
    ["it never had a Node", { lease: lease(0, false), node: MISSING }],
    ["the Nodes can't be seen", { lease: lease(0, true), node: "unknown" }],
  ])("not when %s", (_, facts) => {
    expect(kindAt(facts, 1_000_000)).toBe("silent");
    expect(givenUpAt(facts, 1_000_000)).toBe(false);
  });

  it.each([READY, MISSING, "unknown" as const])(
    "when it has no Lease, whatever its Node (%j), after both waits",
    (node) => {
      const facts: Facts = { lease: { missingSince: 10_000 }, node };
      expect(standingOf(facts, 39_999, PATIENCE)).toEqual({ standing: { kind: "undecided" }, next: 40_000 });
      expect(standingOf(facts, 40_000, PATIENCE)).toMatchObject({
        standing: { kind: "none", givenUp: false },
        next: 100_000,
      });
      expect(givenUpAt(facts, 100)).toBe(true);
    },
  );
});
