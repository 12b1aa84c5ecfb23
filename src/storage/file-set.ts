// The files that a configMap or secret volume consists of, as core/v1 has them. Pure.
import type { ContainerSpec } from "../api/index.ts";

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
  /** Keys that a volumeMount's subPath names, where no items do. */
  mounted: readonly string[];
  defaultMode: number;
  optional: boolean;
};

/** A Secret or ConfigMap, as far as it has content. */
export type FileObject = { data?: Readonly<Record<string, string>>; binaryData?: Readonly<Record<string, string>> };

const DEFAULT_MODE = 0o644;

/** The volumes of a spec that are files of a Secret or ConfigMap. */
export function fileSources({
  volumes = [],
  volumeMounts = [],
}: Pick<ContainerSpec, "volumes" | "volumeMounts">): FileSource[] {
  return volumes.flatMap(({ name: volume, secret, configMap }): FileSource[] => {
    const mounted = volumeMounts
      .filter(({ name }) => name === volume)
      .map(({ subPath = "" }) => normal(subPath))
      .filter((path) => path !== "" && !path.startsWith(".."));
    const common = { volume, defaultMode: DEFAULT_MODE, optional: false, mounted };
    if (secret !== undefined) {
      const { secretName: name, ...rest } = secret;
      return [{ ...common, kind: "Secret", name, ...rest }];
    }
    return configMap === undefined ? [] : [{ ...common, kind: "ConfigMap", ...configMap }];
  });
}

/**
 * The files of a volume, or the first key that its `items` or a subPath name and the object lacks, unless that is optional
 * (the kubelet mounts a directory for such a subPath, which nobody means). An object that
 * is not there (undefined) has no keys; whether it may be missing is the caller's to say.
 */
export function filesOf(source: FileSource, object: FileObject | undefined): FileSet | { missing: string } {
  const { items, defaultMode: mode, optional, mounted } = source;
  const contents = contentsOf(source.kind, object ?? {});
  if (items === undefined) {
    const missing = optional ? undefined : mounted.find((key) => !contents.has(key));
    if (missing !== undefined) return { missing };
    return new Map([...contents].map(([key, content]) => [key, { content: content(), mode }]));
  }
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
