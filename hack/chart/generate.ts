// Writes what follows from the chart: `node hack/chart/generate.ts`.
import { readFileSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { MANIFESTS } from "../../src/api/generate.ts";
import { manifests } from "./manifests.ts";
import { withValues } from "./values.ts";

/** The page with the table of values. */
export const INSTALL_PAGE = resolve(import.meta.dirname, "../../docs/install.md");

if (import.meta.main) {
  for (const [name, manifest] of Object.entries(await manifests())) writeFileSync(join(MANIFESTS, name), manifest);
  writeFileSync(INSTALL_PAGE, await withValues(readFileSync(INSTALL_PAGE, "utf8")));
}
