/** The environment of a container to be made: `env` and `envFrom`, with the Secrets and ConfigMaps they refer to. */
import type { Container, ContainerSpec } from "../api/index.ts";
import { ApiError } from "../kube/index.ts";
import { envSources, resolveEnv, type ResolvedEnv } from "../oci/index.ts";
import { at } from "./failure.ts";
import type { Parts } from "./parts.ts";
import { readReference, waitForReference } from "./references.ts";
import type { Waiting } from "./record.ts";

type Values = Readonly<Record<string, string>>;

/**
 * The variables, or what has to appear before they can be told; the key is looked at again when it does.
 * @throws StartError when a reference can't be meant; ApiUnavailable
 */
export async function resolveEnvironment(
  parts: Parts,
  key: string,
  object: Container,
  spec: ContainerSpec,
): Promise<{ env: ResolvedEnv["variables"]; secrets: ResolvedEnv["secrets"] } | Waiting> {
  const { name, namespace, uid } = object.metadata;
  const found = new Map<string, Values>();
  for (const source of envSources(spec)) {
    const read = await readReference(parts, namespace, source);
    if (read instanceof ApiError) return waitForReference(parts, key, namespace, source, read.message);
    const { data = {} } = read ?? {};
    if (read !== undefined)
      found.set(`${source.kind}/${source.name}`, source.kind === "Secret" ? decodeValues(data) : data);
  }
  const resolved = await at("spec", () =>
    resolveEnv(spec, {
      secret: (secret) => found.get(`Secret/${secret}`),
      configMap: (configMap) => found.get(`ConfigMap/${configMap}`),
      fields: { name, namespace, uid, nodeName: parts.nodeName },
    }),
  );
  const missing = resolved.missing[0];
  if (missing !== undefined) return waitForReference(parts, key, namespace, missing);
  for (const { kind, name: source, keys } of resolved.skipped) {
    const message = `spec.envFrom: ${kind} "${source}" has keys that are no variable names, skipped: ${keys.join(", ")}`;
    parts.announce(object.metadata, "Warning", "InvalidEnvironmentVariableNames", message);
  }
  return { env: resolved.variables, secrets: resolved.secrets };
}

function decodeValues(data: Values): Values {
  return Object.fromEntries(
    Object.entries(data).map(([key, value]) => [key, Buffer.from(value, "base64").toString("utf8")]),
  );
}
