// What `kubectl apply -k manifests` applies, for those who do without Helm: the chart with its default values.
import { manifests as generated } from "../../src/api/generate.ts";
import { NAMESPACE, template } from "./helm.ts";

const HEADER = "# Generated from charts/berth by `node hack/chart/generate.ts`; do not edit.\n";

/** The namespace, which with Helm is whoever installs it to make. Its label: the agents' pods are privileged. */
const OUR_NAMESPACE = `apiVersion: v1
kind: Namespace
metadata:
  name: ${NAMESPACE}
  labels:
    pod-security.kubernetes.io/enforce: privileged
`;

/** Templates whose objects src/api has generated, and the manifests, too; and Helm's hooks. */
const LEFT_OUT = /^(crds|policies|uninstall|tests\/.*)\.yaml$/;

const SOURCE = /^# Source: berth\/templates\/(\S+)\n/;
const ONLY_HELMS = /^ +(helm\.sh\/chart|app\.kubernetes\.io\/managed-by): .*\n/gm;

/** The manifests by the names of their files, with the comments of the templates. */
export async function manifests(): Promise<Record<string, string>> {
  const files = new Map<string, string[]>([["rbac.yaml", [OUR_NAMESPACE]]]);
  for (const document of (await template()).split(/^---\n/m)) {
    const file = SOURCE.exec(document)?.[1];
    if (file === undefined || LEFT_OUT.test(file)) continue;
    const content = document.replace(SOURCE, "").replace(ONLY_HELMS, "");
    files.set(file, [...(files.get(file) ?? []), `${content.trim()}\n`]);
  }
  const written = Object.fromEntries([...files].map(([name, contents]) => [name, HEADER + contents.join("---\n")]));
  return { ...written, "kustomization.yaml": kustomization([...Object.keys(generated()), ...Object.keys(written)]) };
}

function kustomization(files: readonly string[]): string {
  const resources = files.map((file) => `  - ${file}\n`).join("");
  return `${HEADER}apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources:\n${resources}`;
}
