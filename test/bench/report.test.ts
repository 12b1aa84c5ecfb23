import { describe, expect, it } from "@jest/globals";
import { markdown, withFigures } from "./report.ts";
import type { Results } from "./results.ts";

const results: Results = {
  at: "2024-01-01T00:00:00Z",
  commit: "abcdef0",
  program: "compiled",
  machine: {
    cpu: "a CPU",
    cores: 2,
    memoryGiB: 4,
    kernel: "6.1",
    cgroups: "v2",
    node: "24.0.0",
    runc: "1.1.5",
    apiServer: "1.20.2",
  },
  peers: [{ name: "floor", measures: "all of it", versions: { containerd: "2.1.9" } }],
  rounds: { made: 7, discarded: 1, calls: 10 },
  turns: { made: 14, disturbed: 2 },
  figures: [
    { scenario: "one", title: "one by one", peer: "floor", isBurst: false, turns: [{ ms: [100], wallMs: 100 }] },
    { scenario: "one", title: "one by one", peer: "berth", isBurst: false, turns: [{ ms: [130], wallMs: 130 }] },
    { scenario: "burst30", title: "at once", peer: "berth", isBurst: true, turns: [{ ms: [500, 1000], wallMs: 1000 }] },
  ],
  agent: { statusWrites: { starts: 10, perStart: 1 } },
};

describe("the report", () => {
  it("has a row for each scenario with a column for each peer, and how Berth compares", () => {
    const rows = markdown(results).split("\n");
    expect(rows).toContain("| one by one | 100, 100, 100 | 130, 130, 130 | 1.3 |");
    expect(rows).toContain("| at once | – | 750, 950, 995; 2/s | – |");
  });

  it("says of each target whether it is met, missed or not measured", () => {
    const text = markdown(results);
    expect(text).toContain("| one at a time, Berth / the floor | ≤ 1.25 | 1.3 | missed |");
    expect(text).toContain("| status writes a start, nothing to pull | ≤ 1 | 1 | met |");
    expect(text).toContain("| not measured |");
  });

  it("takes the place of the figures before, and of nothing else", () => {
    const page = "# Title\n\n<!-- figures: written by make bench -->\n\nold\n\n<!-- end of figures -->\n\nThe end\n";
    expect(withFigures(page, "new")).toBe(page.replace("old", "new"));
    expect(() => withFigures("# Title", "new")).toThrow("no place for figures");
  });
});
