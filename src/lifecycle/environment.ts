/** The environment of a container to be made: `env` and `envFrom`, with the Secrets and ConfigMaps they refer to. */
import type { Container, ContainerSpec } from "../api/index.ts";
import { ApiError, configMapPath, isForbidden, isNotFound, type KubeObject, secretPath } from "../kube/index.ts";
import { type EnvSource, envSources, type MissingEnvSource, resolveEnv, type ResolvedEnv } from "../oci/index.ts";
import { at } from "./failure.ts";
import type { Parts } from "./parts.ts";
import type { Waiting } from "./status.ts";

type Values = Readonly<Record<string, string>>;
type DataObject = KubeObject & { data?: Values };

/**
 * The variables, or what has to appear before they can be told; the key is looked at again when it does.
 * @throws StartError when a reference can't be meant; ApiUnavailable
 */
export async function resolveEnvironment(
  parts: Parts,
  key: string,
  object: Container,
  spec: ContainerSpec,
): Promise<{ env: ResolvedEnv["variables"] } | Waiting> {
  const { name, namespace, uid } = object.metadata;
  const found = new Map<string, Values>();
  for (const source of envSources(spec)) {
    const values = await readSource(parts, namespace, source);
    if (values instanceof ApiError) return waitFor(parts, key, namespace, source, values.message);
    if (values !== undefined) found.set(`${source.kind}/${source.name}`, values);
  }
  const resolved = await at("spec", () =>
    resolveEnv(spec, {
      secret: (secret) => found.get(`Secret/${secret}`),
      configMap: (configMap) => found.get(`ConfigMap/${configMap}`),
      fields: { name, namespace, uid, nodeName: parts.nodeName },
    }),
  );
  const missing = resolved.missing[0];
  if (missing !== undefined) return waitFor(parts, key, namespace, missing, explain(missing, namespace));
  for (const { kind, name: source, keys } of resolved.skipped) {
    const message = `spec.envFrom: ${kind} "${source}" has keys that are no variable names, skipped: ${keys.join(", ")}`;
    parts.announce(object.metadata, "Warning", "InvalidEnvironmentVariableNames", message);
  }
  return { env: resolved.variables };
}

/** The source's values as text; undefined when it does not exist, the server's refusal when it may not be read. */
async function readSource(
  parts: Parts,
  namespace: string,
  { kind, name }: EnvSource,
): Promise<Values | ApiError | undefined> {
  const path = kind === "Secret" ? secretPath(namespace, name) : configMapPath(namespace, name);
  try {
    const { data = {} } = await parts.api.get<DataObject>(path);
    return kind === "Secret" ? decodeValues(data) : data;
  } catch (error) {
    if (isNotFound(error)) return undefined;
    if (isForbidden(error)) return error;
    throw error;
  }
}

function decodeValues(data: Values): Values {
  return Object.fromEntries(
    Object.entries(data).map(([key, value]) => [key, Buffer.from(value, "base64").toString("utf8")]),
  );
}

function waitFor(parts: Parts, key: string, namespace: string, source: MissingEnvSource, message: string): Waiting {
  const path = source.kind === "Secret" ? secretPath(namespace) : configMapPath(namespace);
  const wanted = source.key;
  parts.references.wait(key, {
    path,
    name: source.name,
    ...(wanted === undefined ? {} : { satisfied: (object) => (object as DataObject).data?.[wanted] !== undefined }),
  });
  return { reason: source.kind === "Secret" ? "WaitingForSecret" : "WaitingForConfigMap", message };
}

function explain({ kind, name, key }: MissingEnvSource, namespace: string): string {
  const what = kind === "Secret" ? "secret" : "configmap";
  if (key === undefined)
    return `${what} "${name}" does not exist in namespace "${namespace}": create it, and the start goes on`;
  return `${what} "${name}" in namespace "${namespace}" has no key "${key}": add it, and the start goes on`;
}
