// What Helm makes of the chart and its values, and what a real API server says to that.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { Command } from "commander";
import { describe, expect, it } from "@jest/globals";
import { parse, parseAllDocuments } from "yaml";
import { ControlPlane } from "../../../hack/cluster/control-plane.ts";
import { INSTALL_PAGE } from "../../../hack/chart/generate.ts";
import { CHART, helm, template } from "../../../hack/chart/helm.ts";
import { manifests } from "../../../hack/chart/manifests.ts";
import { values, withValues } from "../../../hack/chart/values.ts";
import { MANIFESTS, manifests as generated } from "../../../src/api/generate.ts";
import { podSecurityPolicies } from "../../../src/api/policies.ts";
import { addFlags } from "../../../src/config.ts";
import { addControllerFlags } from "../../../src/controller/config.ts";
import { sharedDir } from "../../support/test-node.ts";
import { OTHERS, REFUSED, valuesOf } from "./values-table.ts";

type Manifest = {
  apiVersion: string;
  kind: string;
  metadata: { name: string; namespace?: string; labels?: Record<string, string>; annotations?: Record<string, string> };
  spec?: Record<string, unknown>;
  data?: Record<string, string>;
};

const controlPlane = new ControlPlane({ dir: join(sharedDir(), "control-plane") });
const objectsOf = (yaml: string): Manifest[] =>
  parseAllDocuments(yaml)
    .map((document) => document.toJS() as Manifest | null)
    .filter((object) => object !== null);

/** What was rendered, by its settings: many tests look at the same. */
const renderings = new Map<string, Promise<Manifest[]>>();

function rendered(settings: Readonly<Record<string, unknown>> = {}, version?: string): Promise<Manifest[]> {
  const key = JSON.stringify([settings, version]);
  const found = renderings.get(key) ?? template(valuesOf(settings), version).then(objectsOf);
  renderings.set(key, found);
  return found;
}

const idOf = ({ kind, metadata }: Manifest): string => `${kind} ${metadata.namespace ?? ""}/${metadata.name}`;
const find = (objects: readonly Manifest[], kind: string, name: string): Manifest => {
  const found = objects.find((object) => object.kind === kind && object.metadata.name === name);
  if (found === undefined) throw new Error(`there is no ${kind} ${name}`);
  return found;
};

/** Kinds that the server knows; of others nothing can be said here. */
const served = new Set(
  (await controlPlane.kubectl(["api-resources", "--no-headers"]))
    .split("\n")
    .map((line) => line.trim().split(/\s+/).at(-1)),
);

/** A Pod is looked at as a template: to be one, it would have to have its ServiceAccount's token, which nobody makes here. */
function asTemplate(object: Manifest): object {
  const { kind, metadata, spec } = object;
  if (kind !== "Pod") return object;
  return { apiVersion: "v1", kind: "PodTemplate", metadata, template: { metadata: { labels: metadata.labels }, spec } };
}

async function dryRun(objects: readonly Manifest[]): Promise<string> {
  const list = JSON.stringify({ apiVersion: "v1", kind: "List", items: objects.map(asTemplate) });
  // Strictly: no field is unknown, but for those of CRDs that are younger than the server.
  const isNew = objects.some(({ kind }) => kind === "CustomResourceDefinition");
  return controlPlane.kubectl(["apply", "--dry-run=server", `--validate=${String(!isNew)}`, "-f", "-"], list);
}

describe("the chart", () => {
  it("passes helm lint --strict", async () => {
    expect(await helm(["lint", "--strict", CHART])).toContain("0 chart(s) failed");
  });

  it("has a default and a line in values.yaml for each value", () => {
    expect(values().filter(({ says }) => !/[.:)`]$/.test(says))).toEqual([]);
  });

  it("gives the agent no flag that it has not, and every flag it has a value", async () => {
    const flags = addFlags(new Command()).options.map(({ long }) => long?.slice(2) ?? "");
    const ours = ["config", "kubeconfig", "node-name"];
    const known = values().flatMap(({ path }) => /^agent\.config\.(.*)$/.exec(path)?.[1] ?? []);
    expect(known).toEqual(expect.arrayContaining(flags.filter((flag) => !ours.includes(flag))));
    const { data } = find(await rendered(), "ConfigMap", "berth");
    const keys = Object.keys(parse(data?.["config.yaml"] ?? "") as object);
    expect(flags).toEqual(expect.arrayContaining(keys));
  });

  it("gives the controller no flag that it has not", async () => {
    const flags = addControllerFlags(new Command()).options.map(({ long }) => long);
    const given =
      JSON.stringify(find(await rendered(), "Deployment", "berth-controller")).match(/--[a-z-]+(?==)/g) ?? [];
    expect(given).toContain("--grace-period");
    expect(flags).toEqual(expect.arrayContaining(given));
  });

  it("has the agent's defaults", async () => {
    const { options } = addFlags(new Command());
    const { data } = find(await rendered(), "ConfigMap", "berth");
    const config = parse(data?.["config.yaml"] ?? "") as Record<string, string | number>;
    for (const { long, defaultValue } of options) {
      const value = config[long?.slice(2) ?? ""];
      if (value !== undefined && defaultValue !== undefined)
        expect([long, String(value)]).toEqual([long, defaultValue]);
    }
  });
});

describe("manifests/ and docs/install.md", () => {
  it("are what the chart says (else run `node hack/chart/generate.ts`)", async () => {
    for (const [name, manifest] of Object.entries(await manifests()))
      expect([name, readFileSync(join(MANIFESTS, name), "utf8")]).toEqual([name, manifest]);
    const page = readFileSync(INSTALL_PAGE, "utf8");
    expect(page).toBe(await withValues(page));
  });

  it("hold all that the chart installs, and the namespace", async () => {
    const built = objectsOf(await controlPlane.kubectl(["kustomize", MANIFESTS]));
    const installed = (await rendered()).filter(({ metadata }) => metadata.annotations?.["helm.sh/hook"] === undefined);
    expect(built.map(idOf).sort()).toEqual([...installed.map(idOf), "Namespace /berth-system"].sort());
  });
});

describe("the chart's values", () => {
  const found = Object.keys(OTHERS).sort();
  /** Objects that some value changes. */
  const changed: Manifest[] = [];

  it("are all tried here", () => {
    expect(found).toEqual(
      values()
        .map(({ path }) => path)
        .sort(),
    );
  });

  it.each(Object.entries(OTHERS))("%s says something", async (path, [value, beside = {}]) => {
    const before = new Map((await rendered(beside)).map((object) => [idOf(object), JSON.stringify(object)]));
    const after = await rendered({ ...beside, [path]: value });
    const differing = after.filter((object) => before.get(idOf(object)) !== JSON.stringify(object));
    expect(differing.length + Math.abs(before.size - after.length)).toBeGreaterThan(0);
    changed.push(...differing);
  });

  it("make objects that the server accepts", async () => {
    const known = [...(await rendered()), ...changed].filter(({ kind }) => served.has(kind));
    const crds = known.filter(({ kind }) => kind === "CustomResourceDefinition");
    await dryRun(crds);
    const others = known.filter((object) => !crds.includes(object));
    const lines = (await dryRun(others)).trim().split("\n");
    expect(lines).toHaveLength(others.length);
    expect(lines.every((line) => line.endsWith("(server dry run)"))).toBe(true);
  });

  for (const kind of [
    "ValidatingAdmissionPolicy",
    "ValidatingAdmissionPolicyBinding",
    "PodMonitor",
    "PrometheusRule",
  ]) {
    const itServed = served.has(kind) ? it : it.skip;
    itServed(`make ${kind} objects that the server accepts (skipped where it serves none)`, async () => {
      const objects = [...(await rendered()), ...changed].filter((object) => object.kind === kind);
      expect((await dryRun(objects)).trim().split("\n")).toHaveLength(objects.length);
    });
  }

  it.each(REFUSED)("%j is refused by its name", async (settings, says) => {
    await expect(rendered(settings)).rejects.toThrow(says);
  });
});

describe("the chart's policies", () => {
  const policies = async (settings: Readonly<Record<string, unknown>> = {}, version?: string): Promise<Manifest[]> =>
    (await rendered(settings, version)).filter(({ kind }) => kind.startsWith("ValidatingAdmissionPolicy"));

  it("are there where the server has such, or as the values say", async () => {
    expect((await policies()).map(idOf)).toHaveLength(6);
    expect(await policies({}, "1.29")).toEqual([]);
    expect(await policies({ "policies.ownNode": true }, "1.29")).toHaveLength(2);
    expect(await policies({ "policies.podSecurity": false, "policies.ownNode": false })).toEqual([]);
  });

  it.each(["privileged", "baseline", "restricted"] as const)(
    "are those of the rules, with %s as the default",
    async (level) => {
      const made = await policies({ "agent.config.pod-security-default": level, "policies.ownNode": false });
      const specs = (objects: readonly object[]): unknown[] =>
        (objects as Manifest[]).map(({ kind, metadata: { name }, spec }) => ({ kind, name, spec }));
      expect(specs(made)).toEqual(expect.arrayContaining(specs(podSecurityPolicies(level))));
      expect(made).toHaveLength(podSecurityPolicies(level).length);
    },
  );

  it("know the agents of the release's namespace", async () => {
    const yaml = await helm(["template", "berth", CHART, "--namespace", "other", "--kube-version", "1.36"]);
    expect(yaml).toContain("== 'system:serviceaccount:other:berth'");
    expect(yaml).not.toContain("berth-system");
  });
});

describe("the chart's CRDs", () => {
  it("are those of the schema, stay at an uninstall, and come with every upgrade", async () => {
    const crds = (await rendered()).filter(({ kind }) => kind === "CustomResourceDefinition");
    const specs = crds.map(({ spec }) => spec);
    const wanted = Object.entries(generated()).filter(([name]) => name.startsWith("crd/"));
    expect(specs).toEqual(expect.arrayContaining(wanted.map(([, yaml]) => (parse(yaml) as Manifest).spec)));
    expect(crds.map(({ metadata }) => metadata.annotations)).toEqual(
      crds.map(() => ({ "helm.sh/resource-policy": "keep" })),
    );
  });
});

describe("the chart's CRDs for older servers", () => {
  it.each([
    ["1.20", false, false],
    ["1.24", false, false],
    ["1.25", true, false],
    ["1.29", true, false],
    ["1.30", true, true],
  ])("have for %s no field that it refuses", async (version, hasRules, isSelectable) => {
    const crds = (await rendered({}, version)).filter(({ kind }) => kind === "CustomResourceDefinition");
    expect(crds).toHaveLength(2);
    const text = JSON.stringify(crds);
    expect(text.includes("x-kubernetes-validations")).toBe(hasRules);
    expect(text.includes("selectableFields")).toBe(isSelectable);
    expect(text).not.toMatch(/:\d+(\.\d+)?e\+/);
  });
});

describe("the chart's telemetry", () => {
  it("is what lies in alerts/ and dashboards/", async () => {
    const objects = await rendered({ "monitoring.prometheusRule.enabled": true, "monitoring.dashboard.enabled": true });
    const alerts = readFileSync(join(CHART, "alerts/berth.yaml"), "utf8");
    expect(find(objects, "PrometheusRule", "berth").spec).toEqual(parse(alerts));
    const dashboard = find(objects, "ConfigMap", "berth-dashboard").data?.["berth.json"] ?? "";
    expect(dashboard.trim()).toBe(readFileSync(join(CHART, "dashboards/berth.json"), "utf8").trim());
  });
});
