/** Writes the manifests that follow from the schema: `node src/api/generate.ts`. */
import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { stringify } from "yaml";
import { checkpointCRD, containerCRD } from "./crd.ts";
import { ownNodePolicies, podSecurityPolicies } from "./policies.ts";

const HEADER = "# Generated from src/api by `node src/api/generate.ts`; do not edit.\n";

/** The agents' user where `manifests/rbac.yaml` is applied. */
const AGENT = "system:serviceaccount:berth-system:berth";

/** The manifests by the names of their files, below {@link MANIFESTS}. */
export function manifests(): Record<string, string> {
  const yaml = (...objects: object[]) =>
    HEADER + objects.map((object) => stringify(object, { lineWidth: 0, aliasDuplicateObjects: false })).join("---\n");
  return {
    "crd/containers.yaml": yaml(containerCRD()),
    "crd/containercheckpoints.yaml": yaml(checkpointCRD()),
    "policies/pod-security.yaml": yaml(...podSecurityPolicies("privileged")),
    "policies/own-node.yaml": yaml(...ownNodePolicies(AGENT)),
  };
}

/** The folder of the manifests. */
export const MANIFESTS = join(import.meta.dirname, "../../manifests");

if (import.meta.main) {
  for (const [name, manifest] of Object.entries(manifests())) {
    const path = join(MANIFESTS, name);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, manifest);
  }
}
