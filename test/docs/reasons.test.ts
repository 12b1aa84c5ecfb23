// Every reason that a status, a condition or an Event can have is told of, and none that there is not.
import { globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "@jest/globals";
import { read, ROOT } from "./pages.ts";

const SOURCES = globSync("src/**/*.ts", { cwd: ROOT })
  .filter((path) => !/\.test(-support)?\.ts$|\/proto\//.test(path))
  .map((path) => readFileSync(join(ROOT, path), "utf8").replaceAll(/^\s*(\/\/|\/?\*).*$/gm, ""));

/** What all sources have at the first group of `pattern`: the words in quotes in it, where they are not compared with. */
function words(...patterns: RegExp[]): Set<string> {
  const places = SOURCES.flatMap((source) => patterns.flatMap((pattern) => [...source.matchAll(pattern)]));
  return new Set(
    places.flatMap(([, place = ""]) => [...place.matchAll(/(?<![!=]== )"([A-Z]\w+)"/g)].map(([, word = ""]) => word)),
  );
}

/** The reasons of statuses: the unions that name them, and what is written where one is given. */
const REASONS = words(
  /\btype (?:Start|End|Checkpoint)Reason =([^;]*);/g,
  /\breason[?]?: ([^,;{}\n]*)/g,
  /\breason = ([^;]*);/g,
  /\b[A-Z_]*(?:FAILED|REASON) = ([^;]*);/g,
);

/** The reasons of Events. */
const EVENTS = words(/(?:\b(?:announce|report)|#tell)\(([^;`]*)/g).difference(new Set(["Normal", "Warning"]));

/** The words in the first column of the tables of a page's section. */
function rows(page: string, heading: string): string[] {
  const [, section = ""] = new RegExp(`^${heading}$([\\s\\S]*?)(?=^## |$(?![\\s\\S]))`, "m").exec(read(page)) ?? [];
  return [...section.matchAll(/^\| `([A-Z]\w+)`[^|]*\|/gm)].map(([, word = ""]) => word);
}

describe("the table of reasons in docs/operations.md", () => {
  const told = rows("docs/operations.md", "## Trouble");

  it("has each once", () => {
    expect(told.toSorted()).toEqual([...new Set(told)].toSorted());
    expect(REASONS).toContain("CommandNotFound");
  });

  it("has every reason", () => {
    expect([...REASONS].filter((reason) => !told.includes(reason))).toEqual([]);
  });

  it("has no reason that there is not", () => {
    expect(told.filter((reason) => !REASONS.has(reason))).toEqual([]);
  });
});

describe("the Events", () => {
  it("are told of", () => {
    const pages = ["docs/resource.md", "docs/disk.md", "docs/agent.md"].map(read).join("\n");
    expect([...EVENTS].filter((reason) => !pages.includes(`\`${reason}\``))).toEqual([]);
    expect([...EVENTS]).toEqual(expect.arrayContaining(["Started", "Exited", "Removed", "FreeDiskSpaceFailed"]));
  });
});
