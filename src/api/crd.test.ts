import { describe, expect, it } from "@jest/globals";
import { checkpointCRD, containerCRD } from "./crd.ts";
import { isFields, type SchemaNode } from "./schema/node.ts";

type Definition = {
  spec: {
    names: object;
    versions: {
      additionalPrinterColumns: { name: string; priority?: number }[];
      schema: { openAPIV3Schema: SchemaNode };
    }[];
  };
};
const versionOf = (crd: object) => (crd as Definition).spec.versions[0];
const schemaOf = (crd: object) => versionOf(crd)?.schema.openAPIV3Schema ?? {};

/** The nodes of a schema by their paths, without metadata, which is the API server's. */
function nodes(schema: SchemaNode, path = ""): [string, SchemaNode][] {
  const below = Object.entries(schema.properties ?? {}).filter(([name]) => path !== "" || name !== "metadata");
  const items = schema.items ? nodes(schema.items, `${path}[]`) : [];
  return [[path, schema], ...below.flatMap(([name, field]) => nodes(field, `${path}.${name}`)), ...items];
}
const failing = (fits: (node: SchemaNode, path: string) => boolean) =>
  [...nodes(schemaOf(containerCRD())), ...nodes(schemaOf(checkpointCRD()))]
    .filter(([path, node]) => !fits(node, path))
    .map(([path]) => path);

// Words that say nothing by themselves, and what a description has besides its own sentence.
const LITTLE = new Set(
  "a an the of its it is in on to and or for by with whether which that this as at from".split(" "),
);
const ASIDES = / ?(Docker: [^.]*\.|Defaults to \S*\.)/g;

/** How many words a description has that its field's name has not. */
function newWords(path: string, description: string): number {
  const name = path.split(".").at(-1)?.replaceAll("[]", "").toLowerCase() ?? "";
  const words =
    description
      .replaceAll(ASIDES, "")
      .toLowerCase()
      .match(/[\w$/]+/g) ?? [];
  const isNew = (word: string) => !LITTLE.has(word) && !name.includes(word.replace(/s$/, ""));
  return new Set(words.filter(isNew)).size;
}

describe("the CRDs' schema", () => {
  it("describes every field for kubectl explain, in a sentence", () => {
    expect(failing(({ description = "" }) => /^[A-Z$].{19,}[.…]$/.test(description))).toEqual([]);
  });

  it("tells more of a field than its name does", () => {
    expect(newWords(".spec.tty", "The tty. Docker: --tty. Defaults to false.")).toBe(0);
    expect(failing(({ description = "" }, path) => newWords(path, description) >= 3)).toEqual([]);
  });

  it("tells what a field is that is left out, for kubectl explain shows no defaults", () => {
    const isSimple = ({ default: value }: SchemaNode) => value !== undefined && !isFields(value);
    const isTold = ({ description = "", default: value }: SchemaNode) =>
      description.endsWith(` Defaults to ${String(value)}.`);
    expect(failing((node) => !isSimple(node) || isTold(node))).toEqual([]);
  });

  it("counts a status that no agent has written as of no generation, as kstatus asks", () => {
    const { status } = schemaOf(containerCRD()).properties ?? {};
    expect(status?.default).toEqual({ observedGeneration: -1 });
  });

  it("is structural: every node has one type", () => {
    expect(failing((node) => (node.type !== undefined) !== (node["x-kubernetes-int-or-string"] === true))).toEqual([]);
  });

  it("bounds every text, list and number, for the cost of CEL", () => {
    const isBound = (node: SchemaNode) =>
      (node.type !== "string" || node.maxLength !== undefined || node.enum !== undefined) &&
      (node.type !== "array" || (node.maxItems !== undefined && node["x-kubernetes-list-type"] !== undefined)) &&
      (node.type !== "integer" || (node.minimum !== undefined && node.maximum !== undefined));
    expect(failing(isBound)).toEqual([]);
  });

  it("requires the keys of every list map, or has defaults for them", () => {
    const hasKeys = (node: SchemaNode) =>
      (node["x-kubernetes-list-map-keys"] ?? []).every((key) => node.items?.required?.includes(key));
    expect(failing(hasKeys)).toEqual([]);
  });

  it("holds nothing of the agent's own, and of rules what Kubernetes 1.25 knows", () => {
    const isForeign = (node: SchemaNode) => Object.keys(node).every((keyword) => !keyword.startsWith("x-berth"));
    const isOld = (node: SchemaNode) =>
      (node["x-kubernetes-validations"] ?? []).every((rule) => Object.keys(rule).sort().join() === "message,rule");
    expect(failing(isForeign)).toEqual([]);
    expect(failing(isOld)).toEqual([]);
  });

  it("has no rule on metadata, which a server refuses", () => {
    expect(JSON.stringify(schemaOf(containerCRD()).properties?.["metadata"])).not.toContain("x-kubernetes-validations");
  });

  it("has the defaults of the presets of network fulfil its rules by themselves", () => {
    const network = schemaOf(containerCRD()).properties?.["spec"]?.properties?.["network"];
    expect(isFields(network?.default) && network.default["mode"]).toBe("Bridge");
  });
});

describe("the CRD of Container", () => {
  it("prints the columns of the contract", () => {
    const columns = versionOf(containerCRD())?.additionalPrinterColumns ?? [];
    const named = (wide: boolean) =>
      columns.filter(({ priority = 0 }) => priority > 0 === wide).map(({ name }) => name.toUpperCase());
    expect(named(false)).toEqual(["NODE", "STATE", "EXIT", "RESTARTS", "IMAGE", "IP", "AGE"]);
    expect(named(true)).toEqual(["DESIRED", "REASON", "CONTAINER-ID"]);
  });
});
