import { describe, expect, it } from "@jest/globals";
import type { ContainerSpec } from "../api/index.ts";
import type { OciSpec } from "../oci/index.ts";
import { withoutSecrets } from "./inspect.ts";

const WISH: ContainerSpec = { nodeName: "node-1", image: "example.com/hello:1" };
const spec = {
  process: { env: ["A=1", "PASSWORD=hush\nhush", "URL=db://hush"], args: ["run", "--key=hush"] },
} as OciSpec;

describe("withoutSecrets", () => {
  it("shows all when no Secret is referred to", () => {
    expect(withoutSecrets(spec, { ...WISH, env: [{ name: "A", value: "1" }] })).toBe(spec);
  });

  it.each<[string, Partial<ContainerSpec>]>([
    ["a key", { env: [{ name: "PASSWORD", valueFrom: { secretKeyRef: { name: "s", key: "k" } } }] }],
    ["all keys", { envFrom: [{ secretRef: { name: "s" } }] }],
  ])("shows no variable's value when %s of one is", (_, wish) => {
    const { process } = withoutSecrets(spec, { ...WISH, ...wish, args: ["--key=$(PASSWORD)"] });
    expect(JSON.stringify(process)).not.toContain("hush");
    expect(process.env.map((entry) => entry.split("=")[0])).toEqual(["A", "PASSWORD", "URL"]);
    expect(withoutSecrets(spec, { ...WISH, ...wish }).process.args).toEqual(spec.process.args);
  });
});
