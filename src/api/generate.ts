/** Writes the CRDs' manifests: `node src/api/generate.ts`. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { stringify } from "yaml";
import { checkpointCRD, containerCRD } from "./crd.ts";

const HEADER = "# Generated from src/api/schema by `node src/api/generate.ts`; do not edit.\n";

/** The manifests by the names of their files. */
export function manifests(): Record<string, string> {
  const yaml = (crd: object) => HEADER + stringify(crd, { lineWidth: 0, aliasDuplicateObjects: false });
  return { "containers.yaml": yaml(containerCRD()), "containercheckpoints.yaml": yaml(checkpointCRD()) };
}

/** The folder of the manifests. */
export const MANIFESTS = join(import.meta.dirname, "../../manifests/crd");

if (import.meta.main) {
  for (const [name, manifest] of Object.entries(manifests())) writeFileSync(join(MANIFESTS, name), manifest);
}
