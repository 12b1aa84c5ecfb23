// The documentation as the tests read it: every page of the repository, its links, anchors and blocks of code.
import { globSync, readFileSync } from "node:fs";
import { join } from "node:path";

/** The folder of the repository. */
export const ROOT = join(import.meta.dirname, "../..");

/** The pages, by their paths below {@link ROOT}. */
export function pages(): string[] {
  const exclude = (path: string) => /(^|\/)(node_modules|dist|coverage|\.[^/]+)$/.test(path);
  return globSync("**/*.md", { cwd: ROOT, exclude });
}

/** The text of a page. */
export const read = (page: string): string => readFileSync(join(ROOT, page), "utf8");

export type Block = { language: string; text: string };

const BLOCK = /^ *```(\w*)\n([\s\S]*?)^ *```$/gm;

/** The fenced blocks of a page. */
export function blocks(page: string): Block[] {
  return [...read(page).matchAll(BLOCK)].map(([, language = "", text = ""]) => ({ language, text }));
}

/** A page's text without what is code. */
const prose = (page: string): string => read(page).replaceAll(BLOCK, "");

/** The targets of a page's links. */
export function links(page: string): string[] {
  const text = prose(page).replaceAll(/`[^`\n]*`/g, "code");
  return [...text.matchAll(/\]\(([^()\s]*(?:\([^()\s]*\)[^()\s]*)*)\)/g)].map(([, target = ""]) => target);
}

/** What a link can lead to on a page: its headings as GitHub names them, and the anchors that it sets itself. */
export function anchors(page: string): Set<string> {
  const found = new Set([...read(page).matchAll(/<a id="([^"]+)">/g)].map(([, id = ""]) => id));
  for (const [, heading = ""] of prose(page).matchAll(/^#+ (.*)$/gm)) {
    const slug = slugOf(heading);
    let name = slug;
    for (let count = 1; found.has(name); count++) name = `${slug}-${String(count)}`;
    found.add(name);
  }
  return found;
}

/** GitHub's rule: links as their words, lower case, spaces as dashes, of the rest letters, digits, `-` and `_`. */
function slugOf(heading: string): string {
  const words = heading.replaceAll(/\[([^\]]*)\]\([^)]*\)/g, "$1").toLowerCase();
  return words.replaceAll(/[^\p{L}\p{N}\s_-]/gu, "").replaceAll(" ", "-");
}
