import { existsSync } from "node:fs";
import { dirname, join, normalize } from "node:path";
import { describe, expect, it } from "@jest/globals";
import { anchors, links, pages, ROOT } from "./pages.ts";

/** The links of a page that lead nowhere within the repository; those to other sites are not looked at. */
function dead(page: string): string[] {
  return links(page).filter((target) => {
    if (/^[a-z]+:/.test(target)) return false;
    const [path = "", anchor] = target.split("#");
    const file = path === "" ? page : normalize(join(dirname(page), path));
    if (!existsSync(join(ROOT, file))) return true;
    return anchor !== undefined && !anchors(file).has(anchor);
  });
}

describe("the pages' links", () => {
  it.each(pages())("of %s lead somewhere", (page) => {
    expect(dead(page)).toEqual([]);
  });

  it("are found, with their anchors", () => {
    expect(links("README.md")).toContain("docs/agent.md");
    expect(links("docs/agent.md")).toContain("security.md#what-a-namespace-allows");
    expect(anchors("docs/node-commands.md")).toContain("berth-ps--a");
    expect(anchors("docs/reference/containers.md")).toContain("spec.network.links");
  });

  it("of the README lead to every page of docs/", () => {
    const told = new Set(links("README.md").map((target) => target.split("#")[0]));
    expect(pages().filter((page) => page.startsWith("docs/") && !told.has(page))).toEqual([]);
  });
});
