import { describe, expect, it } from "@jest/globals";
import { type FileSource, fileSources, filesOf } from "./file-set.ts";

const base64 = (text: string) => Buffer.from(text).toString("base64");
const source = (more: Partial<FileSource> = {}): FileSource => ({
  volume: "v",
  kind: "ConfigMap",
  name: "c",
  defaultMode: 0o644,
  optional: false,
  mounted: [],
  ...more,
});
const isMissing = (files: ReturnType<typeof filesOf>): files is { missing: string } => "missing" in files;
const shown = (files: ReturnType<typeof filesOf>) =>
  isMissing(files)
    ? files
    : Object.fromEntries(
        [...files].map(([path, { content, mode }]) => [path, `${Buffer.from(content).toString()} ${mode.toString(8)}`]),
      );

describe("filesOf", () => {
  it("makes every key a file, text of a ConfigMap as it is, binary data and a Secret's decoded", () => {
    const object = { data: { a: "text" }, binaryData: { b: base64("binary") } };
    expect(shown(filesOf(source(), object))).toEqual({ a: "text 644", b: "binary 644" });
    const secret = source({ kind: "Secret", defaultMode: 0o400 });
    expect(shown(filesOf(secret, { data: { k: base64("hidden") } }))).toEqual({ k: "hidden 400" });
  });

  it("keeps bytes that are no text", () => {
    const bytes = Buffer.from([0, 255, 254, 10]);
    const files = filesOf(source(), { binaryData: { b: bytes.toString("base64") } });
    expect(!isMissing(files) && Buffer.from(files.get("b")?.content ?? "").equals(bytes)).toBe(true);
  });

  it("makes only the items files, at their paths and with their modes", () => {
    const items = [
      { key: "a", path: "x//./y" },
      { key: "a", path: "z", mode: 0o755 },
    ];
    expect(shown(filesOf(source({ items }), { data: { a: "1", b: "2" } }))).toEqual({ "x/y": "1 644", z: "1 755" });
  });

  it("names the first key that is missing, unless it may be", () => {
    const items = ["a", "b", "c"].map((key) => ({ key, path: key }));
    expect(filesOf(source({ items }), { data: { a: "1" } })).toEqual({ missing: "b" });
    expect(shown(filesOf(source({ items, optional: true }), { data: { a: "1" } }))).toEqual({ a: "1 644" });
    expect(shown(filesOf(source({ items, optional: true }), undefined))).toEqual({});
  });

  it("misses a key that a subPath names, where no items say what there is", () => {
    const mounted = ["a", "b"];
    expect(filesOf(source({ mounted }), { data: { a: "1" } })).toEqual({ missing: "b" });
    expect(shown(filesOf(source({ mounted, optional: true }), undefined))).toEqual({});
    const items = [{ key: "a", path: "x" }];
    expect(shown(filesOf(source({ mounted: ["x"], items }), { data: { a: "1" } }))).toEqual({ x: "1 644" });
  });
});

describe("fileSources", () => {
  it("finds those of the API server, with the schema's defaults where they are not filled in", () => {
    const items = [{ key: "k", path: "p" }];
    expect(
      fileSources({
        volumes: [
          { name: "a", emptyDir: {} },
          { name: "b", secret: { secretName: "s", items, optional: true } },
          { name: "c", configMap: { name: "m", defaultMode: 0o600 } },
        ],
        volumeMounts: ["./k", ".", "..data/x", undefined].map((subPath, index) => ({
          name: "c",
          mountPath: `/${index}`,
          ...(subPath === undefined ? {} : { subPath }),
        })),
      }),
    ).toEqual([
      { volume: "b", kind: "Secret", name: "s", items, defaultMode: 0o644, optional: true, mounted: [] },
      { volume: "c", kind: "ConfigMap", name: "m", defaultMode: 0o600, optional: false, mounted: ["k"] },
    ]);
  });
});
