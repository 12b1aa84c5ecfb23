import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "@jest/globals";
import { MANIFESTS, manifests } from "./generate.ts";

describe("the manifests", () => {
  it.each(Object.entries(manifests()))(
    "%s is what the schema says (else run `node src/api/generate.ts`)",
    (name, manifest) => {
      expect(readFileSync(join(MANIFESTS, name), "utf8")).toBe(manifest);
    },
  );
});
