/** Secrets and ConfigMaps that a container refers to: read, and waited for when they are missing. */
import {
  type ApiError,
  configMapPath,
  isForbidden,
  isNotFound,
  type KubeObject,
  type RequestOptions,
  secretPath,
} from "../kube/index.ts";
import type { EnvSource, MissingEnvSource } from "../oci/index.ts";
import type { FileObject } from "../storage/index.ts";
import type { Parts } from "./parts.ts";
import type { Waiting } from "./record.ts";

/** A Secret or ConfigMap. */
export type DataObject = KubeObject & FileObject;

/** The path of a namespace's objects of a kind, or of one. */
export function referencePath(kind: EnvSource["kind"], namespace: string, name?: string): string {
  return kind === "Secret" ? secretPath(namespace, name) : configMapPath(namespace, name);
}

/**
 * The object; undefined when it does not exist, the server's refusal when it may not be read.
 * @throws ApiError, ApiUnavailable
 */
export async function readReference(
  parts: Pick<Parts, "api">,
  namespace: string,
  { kind, name }: EnvSource,
  options: RequestOptions = {},
): Promise<DataObject | ApiError | undefined> {
  try {
    return await parts.api.get<DataObject>(referencePath(kind, namespace, name), options);
  } catch (error) {
    if (isNotFound(error)) return undefined;
    if (isForbidden(error)) return error;
    throw error;
  }
}

/** Has a key looked at again when the object, or the key of it, is there. */
export function waitForReference(
  parts: Pick<Parts, "references">,
  key: string,
  namespace: string,
  source: MissingEnvSource,
  message = explain(source, namespace),
): Waiting {
  const wanted = source.key;
  parts.references.wait(key, {
    path: referencePath(source.kind, namespace),
    name: source.name,
    ...(wanted === undefined ? {} : { part: wanted, satisfied: (object: DataObject) => hasKey(object, wanted) }),
  });
  return { reason: source.kind === "Secret" ? "WaitingForSecret" : "WaitingForConfigMap", message };
}

function hasKey({ data = {}, binaryData = {} }: DataObject, key: string): boolean {
  return data[key] !== undefined || binaryData[key] !== undefined;
}

function explain({ kind, name, key }: MissingEnvSource, namespace: string): string {
  const what = kind === "Secret" ? "secret" : "configmap";
  if (key === undefined)
    return `${what} "${name}" does not exist in namespace "${namespace}": create it, and the start goes on`;
  return `${what} "${name}" in namespace "${namespace}" has no key "${key}": add it, and the start goes on`;
}
