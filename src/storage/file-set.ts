// The files that a configMap or secret volume consists of, as core/v1 has them. Pure.
import type { Volume } from "../api/index.ts";

/** Files by their path in the volume. */
export type FileSet = ReadonlyMap<string, { content: Uint8Array; mode: number }>;

/** Which object a volume's files come from. */
export type FileSource = {
  /** The volume's name in the spec. */
  volume: string;
  kind: "Secret" | "ConfigMap";
  /** The object's name. */
  name: string;
  items?: readonly { key: string; path: string; mode?: number }[] | undefined;
  defaultMode: number;
  optional: boolean;
};

/** A Secret or ConfigMap, as far as it has content. */
export type FileObject = { data?: Readonly<Record<string, string>>; binaryData?: Readonly<Record<string, string>> };

const DEFAULT_MODE = 0o644;

/** The volumes of a spec that are files of a Secret or ConfigMap. */
export function fileSources(volumes: readonly Volume[] | undefined): FileSource[] {
  return (volumes ?? []).flatMap(({ name: volume, secret, configMap }): FileSource[] => {
    const common = { volume, defaultMode: DEFAULT_MODE, optional: false };
    if (secret !== undefined) {
      const { secretName: name, ...rest } = secret;
      return [{ ...common, kind: "Secret", name, ...rest }];
    }
    return configMap === undefined ? [] : [{ ...common, kind: "ConfigMap", ...configMap }];
  });
}

/**
 * The files of a volume, or the first of its `items` whose key the object lacks, unless that is optional. An object that
 * is not there (undefined) has no keys; whether it may be missing is the caller's to say.
 */
export function filesOf(source: FileSource, object: FileObject | undefined): FileSet | { missing: string } {
  const { items, defaultMode: mode, optional } = source;
  const contents = contentsOf(source.kind, object ?? {});
  if (items === undefined) return new Map([...contents].map(([key, content]) => [key, { content: content(), mode }]));
  const files = new Map<string, { content: Uint8Array; mode: number }>();
  for (const item of items) {
    const content = contents.get(item.key);
    if (content !== undefined) files.set(normal(item.path), { content: content(), mode: item.mode ?? mode });
    else if (!optional) return { missing: item.key };
  }
  return files;
}

function contentsOf(kind: FileSource["kind"], { data = {}, binaryData = {} }: FileObject): Map<string, () => Buffer> {
  const decoded = (encoding: BufferEncoding) => (value: string) => () => Buffer.from(value, encoding);
  const text = decoded(kind === "Secret" ? "base64" : "utf8");
  const binary = decoded("base64");
  return new Map([
    ...Object.entries(data).map(([key, value]) => [key, text(value)] as const),
    ...Object.entries(binaryData).map(([key, value]) => [key, binary(value)] as const),
  ]);
}

/** A relative path without what means nothing. */
function normal(path: string): string {
  return path
    .split("/")
    .filter((name) => name !== "" && name !== ".")
    .join("/");
}
