import { describe, expect, it } from "@jest/globals";
import { ACCEPTED } from "./cases/accepted.ts";
import { objectOf, type Case } from "./cases/case.ts";
import { CONTRADICTORY } from "./cases/contradictory.ts";
import { MALFORMED } from "./cases/malformed.ts";
import { rulesOf } from "./rules.ts";
import { asNode } from "./schema/node.ts";
import { container } from "./schema/objects.ts";
import type { ContainerSpec } from "./types.ts";
import { validate, validateUpdate } from "./validate.ts";

const errorsOf = (spec: Record<string, unknown>) => validate(objectOf({ name: "", spec }));

describe("validate", () => {
  it.each([...MALFORMED, ...CONTRADICTORY])("refuses: $name", (refused: Case) => {
    const errors = validate(objectOf(refused));
    expect(errors.map(({ field }) => field)).toEqual([refused.field]);
    expect(errors[0]?.message).toMatch(
      /^(Invalid value|Unsupported value|Required value|Duplicate value|Too (long|many))/,
    );
    expect(errors[0]?.message).toContain(refused.says ?? "");
  });

  it.each(ACCEPTED)("accepts: $name", (accepted: Case) => {
    expect(validate(objectOf(accepted))).toEqual([]);
  });

  it("has a case for every rule", () => {
    const messages = CONTRADICTORY.flatMap((refused) => validate(objectOf(refused))).map(({ message }) => message);
    const rules = rulesOf(asNode(container)).filter(({ rule }) => !rule.includes("oldSelf"));
    expect(rules.length).toBeGreaterThan(30);
    expect(rules.filter((rule) => !messages.some((said) => said.endsWith(rule.message)))).toEqual([]);
  });

  it("names all that is wrong at once", () => {
    const spec = {
      image: undefined,
      ports: [{ containerPort: 1 }, { containerPort: 70000, protocol: "ICMP" }],
      tty: "yes",
    };
    expect(errorsOf(spec)).toEqual([
      { field: "spec.image", message: "Required value" },
      { field: "spec.ports[1].containerPort", message: "Invalid value: 70000: must be between 1 and 65535" },
      { field: "spec.ports[1].protocol", message: 'Unsupported value: "ICMP": supported values: "TCP", "UDP", "SCTP"' },
      { field: "spec.tty", message: 'Invalid value: "yes": must be true or false' },
    ]);
    const broken = { maxRestarts: 1, autoRemove: true, network: { container: "peer" } };
    expect(errorsOf(broken).map(({ field }) => field)).toEqual([
      "spec.maxRestarts",
      "spec.autoRemove",
      "spec.network.container",
    ]);
  });

  it("knows no field that the schema lacks, not even one that every object has", () => {
    expect(errorsOf({ livenessProbe: {}, constructor: {} })).toEqual([
      { field: "spec.livenessProbe", message: "unknown field" },
      { field: "spec.constructor", message: "unknown field" },
    ]);
  });

  it("takes null as absent where the server does, and refuses it elsewhere", () => {
    expect(errorsOf({ restartPolicy: null })).toEqual([]);
    expect(errorsOf({ image: null })).toEqual([{ field: "spec.image", message: "Required value" }]);
    expect(errorsOf({ command: null })).toEqual([
      { field: "spec.command", message: "Invalid value: null: must be a list" },
    ]);
  });

  it("counts characters as the server does", () => {
    const hostname = (value: string) => errorsOf({ user: value }).map(({ message }) => message);
    expect(hostname("😀".repeat(253))).toEqual([]);
    expect(hostname("😀".repeat(254))).toEqual(["Too long: may not be longer than 253 characters"]);
  });

  it.each(["a.b", "A", "a".repeat(64)])("refuses the name %s", (name) => {
    const object = { ...objectOf({ name: "", spec: {} }), metadata: { name, namespace: "default" } };
    expect(validate(object).map(({ field }) => field)).toEqual(["metadata.name"]);
  });

  it("refuses what is no object of ours", () => {
    expect(validate(null)).toEqual([{ field: "", message: "Invalid value: null: must be an object" }]);
    expect(validate({})).toEqual([{ field: "kind", message: "Required value" }]);
    expect(validate({ kind: "constructor" }).map(({ field }) => field)).toEqual(["kind"]);
    expect(validate({ kind: "Container" }).map(({ field }) => field)).toEqual(["metadata", "spec"]);
  });

  it("checks a ContainerCheckpoint by its own schema", () => {
    const checkpoint = { apiVersion: "berth.dev/v1alpha1", kind: "ContainerCheckpoint", metadata: { name: "c" } };
    expect(validate({ ...checkpoint, spec: { containerName: "web" } })).toEqual([]);
    expect(validate({ ...checkpoint, spec: {} })).toEqual([{ field: "spec.containerName", message: "Required value" }]);
  });
});

describe("validateUpdate", () => {
  const spec: ContainerSpec = { nodeName: "node-1", image: "example.com/hello:1" };

  it("keeps nodeName", () => {
    const [error, ...more] = validateUpdate(spec, { ...spec, nodeName: "node-2" });
    expect(error?.field).toBe("spec.nodeName");
    expect(error?.message).toContain("can't be changed");
    expect(more).toEqual([]);
  });

  it("lets the rest change, and looks at no rule but those of a change", () => {
    expect(validateUpdate(spec, { ...spec, image: "example.com/hello:2", maxRestarts: 3 })).toEqual([]);
  });
});
