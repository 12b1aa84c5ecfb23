/** Paths of volumes that exclude each other, though no two are spelled alike: what CEL and list keys can't tell. */
import { invalid } from "./check.ts";
import type { FieldError, Volume, VolumeMount } from "./types.ts";

/** Mounts on the root, or on one path by two spellings. */
export function mountPaths(mounts: readonly VolumeMount[] = []): FieldError[] {
  const first = new Map<string, number>();
  return mounts.flatMap(({ mountPath }, index) => {
    const field = `spec.volumeMounts[${index}].mountPath`;
    const path = namesOf(mountPath).join("/");
    if (path === "") return [invalid(field, mountPath, "must not be the container's root")];
    const other = first.get(path);
    first.set(path, other ?? index);
    if (other === undefined || mounts[other]?.mountPath === mountPath) return [];
    return [invalid(field, mountPath, `must not be the path of another mount: spec.volumeMounts[${other}] has it`)];
  });
}

/** Items of a configMap or secret that become the same file, or one that would lie below another. */
export function filePaths(volumes: readonly Volume[] = []): FieldError[] {
  return volumes.flatMap(({ configMap, secret }, index) => [
    ...itemPaths(configMap?.items, `spec.volumes[${index}].configMap.items`),
    ...itemPaths(secret?.items, `spec.volumes[${index}].secret.items`),
  ]);
}

/** Parts of a configMap or secret that can't be among its files, whatever keys the object has. */
export function filePartPaths(volumes: readonly Volume[] = [], mounts: readonly VolumeMount[] = []): FieldError[] {
  return mounts.flatMap(({ name, subPath = "" }, index) => {
    const volume = volumes.find((each) => each.name === name);
    const source = volume?.configMap ?? volume?.secret;
    const part = namesOf(subPath).join("/");
    // What begins with ".." is the volume's own.
    if (source === undefined || part === "" || part.startsWith("..")) return [];
    const field = `spec.volumeMounts[${index}].subPath`;
    if (source.items === undefined)
      return part.includes("/") ? [invalid(field, subPath, `must be a key: volume ${name} has no directories`)] : [];
    const paths = source.items.map(({ path }) => namesOf(path).join("/"));
    if (paths.some((path) => `${path}/`.startsWith(`${part}/`))) return [];
    return [invalid(field, subPath, `must be the path of an item of volume ${name}: ${paths.join(", ")}`)];
  });
}

function itemPaths(items: readonly { path: string }[] = [], list: string): FieldError[] {
  const paths = items.map(({ path }) => namesOf(path).join("/"));
  return items.flatMap((item, index) => {
    const field = `${list}[${index}].path`;
    const path = paths[index] ?? "";
    if (path === "") return [invalid(field, item.path, "must name a file")];
    if (path.startsWith("..")) return [invalid(field, item.path, "must not begin with '..'")];
    const other = paths.findIndex(
      (each, at) => at !== index && `${path}/`.startsWith(`${each}/`) && (each !== path || at < index),
    );
    if (other === -1) return [];
    return [invalid(field, item.path, `must not be, or lie below, the file of another item: ${list}[${other}] is it`)];
  });
}

function namesOf(path: string): string[] {
  return path.split("/").filter((name) => name !== "" && name !== ".");
}
