/** Writes the manifests and the reference that follow from the schema: `node src/api/generate.ts`. */
import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { stringify } from "yaml";
import { checkpointCRD, containerCRD } from "./crd.ts";
import { ownNodePolicies, podSecurityPolicies } from "./policies.ts";
import { checkpointReference, containerReference } from "./reference.ts";

const HEADER = "# Generated from src/api by `node src/api/generate.ts`; do not edit.\n";

/** The agents' user where `manifests/rbac.yaml` is applied. */
const AGENT = "system:serviceaccount:berth-system:berth";

/** The files that are generated, by their paths below {@link ROOT}. */
export function generated(): Record<string, string> {
  const yaml = (...objects: object[]) =>
    HEADER + objects.map((object) => stringify(object, { lineWidth: 0, aliasDuplicateObjects: false })).join("---\n");
  return {
    "manifests/crd/containers.yaml": yaml(containerCRD()),
    "manifests/crd/containercheckpoints.yaml": yaml(checkpointCRD()),
    "manifests/policies/pod-security.yaml": yaml(...podSecurityPolicies("privileged")),
    "manifests/policies/own-node.yaml": yaml(...ownNodePolicies(AGENT)),
    "docs/reference/containers.md": containerReference(),
    "docs/reference/containercheckpoints.md": checkpointReference(),
  };
}

/** The folder of the repository. */
export const ROOT = join(import.meta.dirname, "../..");

if (import.meta.main) {
  for (const [name, content] of Object.entries(generated())) {
    const path = join(ROOT, name);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, content);
  }
}
