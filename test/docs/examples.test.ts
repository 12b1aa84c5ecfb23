import { describe, expect, it } from "@jest/globals";
import { parseAllDocuments } from "yaml";
import { type FieldError, validate } from "../../src/api/index.ts";
import { type Fields, isFields } from "../../src/api/schema/node.ts";
import { blocks, pages } from "./pages.ts";
import { containerSpec } from "../../src/api/schema/spec.ts";

type Example = readonly [name: string, object: Fields];

/** The objects in the pages' YAML; a part of a Container's spec is completed to one. */
function examples(): Example[] {
  return pages().flatMap((page) =>
    blocks(page)
      .filter(({ language }) => language === "yaml")
      .flatMap(({ text }) => parseAllDocuments(text).map((document) => document.toJS() as unknown))
      .flatMap((object): Example[] => {
        if (!isFields(object)) return [];
        if (object["apiVersion"] === "berth.dev/v1alpha1") return [[`${page}: ${nameOf(object)}`, object]];
        const keys = Object.keys(object);
        if (!keys.every((key) => Object.hasOwn(containerSpec.properties, key))) return [];
        return [[`${page}: ${keys.join(", ")}`, completed(object)]];
      }),
  );
}

const nameOf = ({ kind, metadata }: Fields) =>
  `${String(kind)} ${isFields(metadata) ? String(metadata["name"]) : "without a name"}`;

/** The ports that a part refers to by name are those of the example around it. */
const completed = (part: Fields): Fields => ({
  apiVersion: "berth.dev/v1alpha1",
  kind: "Container",
  metadata: { name: "part" },
  spec: { nodeName: "node-1", image: "busybox", ports: [{ name: "web", containerPort: 80 }], ...part },
});

describe("the pages' examples", () => {
  it.each(examples())("%s is valid", (_, object) => {
    expect(validate(object)).toEqual([] satisfies FieldError[]);
  });

  it("are found", () => {
    const names = examples().map(([name]) => name);
    expect(names).toContain("README.md: Container hello");
    expect(names).toContain("docs/checkpoints.md: ContainerCheckpoint warm");
    expect(names).toContain("docs/resource.md: healthcheck");
  });
});
