import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "@jest/globals";
import { generated, ROOT } from "./generate.ts";

describe("the generated files", () => {
  it.each(Object.entries(generated()))(
    "%s is what the schema says (else run `node src/api/generate.ts`)",
    (name, content) => {
      expect(readFileSync(join(ROOT, name), "utf8")).toBe(content);
    },
  );
});
