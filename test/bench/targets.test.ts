import { describe, expect, it } from "@jest/globals";
import type { Figure } from "./results.ts";
import { targetsOf } from "./targets.ts";

const figure = (scenario: string, peer: Figure["peer"], ...ms: number[][]): Figure => ({
  scenario,
  title: scenario,
  peer,
  isBurst: scenario.startsWith("burst"),
  turns: ms.map((turn) => ({ ms: turn, wallMs: Math.max(...turn) })),
});

const named = (figures: readonly Figure[], part: string) =>
  targetsOf({ figures, agent: {} }).find(({ what }) => what.includes(part));

describe("the targets", () => {
  it("compare medians of the turns' medians, so that one turn that was disturbed does not decide", () => {
    const figures = [
      figure("one", "berth", [110, 120, 130], [115, 125, 135], [900, 900, 900]),
      figure("one", "floor", [100, 100, 100], [100, 100, 100], [100, 100, 100]),
    ];
    expect(named(figures, "Berth / the floor")).toMatchObject({ measured: 1.25, met: true });
  });

  it("are missed on the other side of what was set", () => {
    const figures = [figure("one", "berth", [126]), figure("one", "floor", [100]), figure("one", "kubelet", [1000])];
    expect(named(figures, "Berth / the floor")).toMatchObject({ met: false });
    expect(named(figures, "kubelet / Berth")).toMatchObject({ atLeast: true, met: false });
    expect(named(figures, "p99")).not.toHaveProperty("met");
  });

  it("count rates where all were started at once", () => {
    const figures = [figure("burst30", "berth", [500, 1000]), figure("burst30", "docker", [500, 2000])];
    expect(named(figures, "30 at once")).toMatchObject({ measured: 2, met: true });
  });
});
