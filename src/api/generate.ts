/** Writes the manifests and the reference that follow from the schema: `node src/api/generate.ts`. */
import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { stringify } from "yaml";
import { checkpointCRD, containerCRD } from "./crd.ts";
import { ownNodePolicies, podSecurityPolicies } from "./policies.ts";
import { checkpointReference, containerReference } from "./reference.ts";

const HEADER = "# Generated from src/api by `node src/api/generate.ts`; do not edit.\n";

/** The agents' user where the manifests are applied; the chart puts its own in this one's place. */
const AGENT = "system:serviceaccount:berth-system:berth";

const yaml = (...objects: object[]): string =>
  HEADER + objects.map((object) => stringify(object, { lineWidth: 0, aliasDuplicateObjects: false })).join("---\n");

/** The manifests by the names of their files, below {@link MANIFESTS} and in the chart, which can't read what lies outside of it. */
export function manifests(): Record<string, string> {
  return {
    "crd/containers.yaml": yaml(containerCRD()),
    "crd/containercheckpoints.yaml": yaml(checkpointCRD()),
    "policies/pod-security.yaml": yaml(...podSecurityPolicies("privileged")),
    "policies/own-node.yaml": yaml(...ownNodePolicies(AGENT)),
  };
}

/** The files that are generated, by their paths below {@link ROOT}. */
export function generated(): Record<string, string> {
  const copies = ["manifests", "charts/berth/files"].flatMap((folder) =>
    Object.entries(manifests()).map(([name, content]) => [`${folder}/${name}`, content] as const),
  );
  return {
    ...Object.fromEntries(copies),
    "docs/reference/containers.md": containerReference(),
    "docs/reference/containercheckpoints.md": checkpointReference(),
  };
}

/** The folder of the repository, and of its manifests. */
export const ROOT = join(import.meta.dirname, "../..");
export const MANIFESTS = join(ROOT, "manifests");

if (import.meta.main) {
  for (const [name, content] of Object.entries(generated())) {
    const path = join(ROOT, name);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, content);
  }
}
