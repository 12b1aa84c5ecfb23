import { execFileSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { expect, it } from "@jest/globals";

const ROOT = resolve(import.meta.dirname, "../..");
const FOLDER = "src/containerd/proto";

it("is what `npm run generate` makes of the .proto files", () => {
  const made = mkdtempSync(join(tmpdir(), "berth-proto-"));
  try {
    execFileSync(join(ROOT, "node_modules/.bin/buf"), ["generate", "--output", made], { cwd: ROOT });
    const isGenerated = (name: string): boolean => name.endsWith("_pb.ts");
    const names = readdirSync(join(made, FOLDER)).filter(isGenerated);
    expect(readdirSync(join(ROOT, FOLDER)).filter(isGenerated).sort()).toEqual(names.sort());
    for (const name of names) {
      const committed = readFileSync(join(ROOT, FOLDER, name), "utf8");
      expect({ name, content: committed }).toEqual({ name, content: readFileSync(join(made, FOLDER, name), "utf8") });
    }
  } finally {
    rmSync(made, { recursive: true });
  }
});
