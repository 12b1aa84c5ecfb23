import { describe, expect, it } from "@jest/globals";
import { barChart, waterfallChart } from "./chart.ts";

const widths = (svg: string, fill: string): number[] =>
  [...svg.matchAll(/width="([\d.]+)" height="14" fill="(#\w+)"/g)]
    .filter(([, , color]) => color === fill)
    .map(([, width]) => Number(width));

describe("the bar chart", () => {
  it("draws each panel to a scale of its own, and lines no longer than there is room", () => {
    const one = { peer: "floor", value: 50, upTo: 100, label: "50 ms" } as const;
    const svg = barChart([
      { title: "milliseconds", groups: [{ title: "start", bars: [one, { ...one, peer: "berth", value: 100 }] }] },
      { title: "a second", groups: [{ title: "burst", bars: [{ peer: "berth", value: 10, label: "10" }] }] },
    ]);
    // The first of each colour is the legend's.
    expect(widths(svg, "#d55e00").slice(1)).toEqual([480, 480]);
    expect(widths(svg, "#999999").slice(1)).toEqual([240]);
  });
});

describe("the waterfall chart", () => {
  it("draws a phase where it begins", () => {
    const svg = waterfallChart("a < b & c", [
      { phase: "one", startMs: 0, ms: 50 },
      { phase: "two", startMs: 50, ms: 50 },
    ]);
    const [one = 0, two = 0] = [...svg.matchAll(/x="([\d.]+)" y="[\d.]+" width="[\d.]+" height="14"/g)].map(([, x]) =>
      Number(x),
    );
    expect(two - one).toBe(widths(svg, "#d55e00")[0]);
    expect(svg).toContain("a &lt; b &amp; c");
  });
});
