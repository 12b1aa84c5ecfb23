/** What tests of pulls and references need of the cluster: Secrets, ConfigMaps, Events. */
import type { Container } from "../../src/api/index.ts";
import { eventPath } from "../../src/kube/index.ts";
import type { TestNode } from "./test-node.ts";

/** A core/v1 Event, as far as it is looked at here. */
export interface EventSeen {
  readonly type: string;
  readonly reason: string;
  readonly message: string;
}

/** Creates an object of core/v1. */
export async function createObject(
  test: TestNode,
  kind: "Secret" | "ConfigMap",
  name: string,
  more: object,
  namespace = "default",
): Promise<void> {
  const path = `/api/v1/namespaces/${namespace}/${kind.toLowerCase()}s`;
  await test.api.create(path, { apiVersion: "v1", kind, metadata: { name, namespace }, ...more });
}

/** What `kubectl create secret docker-registry` makes. */
export function registrySecret(host: string, username: string, password: string): object {
  const auth = Buffer.from(`${username}:${password}`).toString("base64");
  return {
    type: "kubernetes.io/dockerconfigjson",
    stringData: { ".dockerconfigjson": JSON.stringify({ auths: { [host]: { username, password, auth } } }) },
  };
}

/** The Events of an object, when all of `reasons` are among them: they go out a moment after what they tell of. */
export async function untilEvents(test: TestNode, { metadata }: Container, reasons: string[]): Promise<EventSeen[]> {
  const path = eventPath(metadata.namespace);
  const query = { fieldSelector: `involvedObject.uid=${metadata.uid}` };
  const seen = new Map<string, EventSeen>();
  const timeoutMs = 15_000;
  const signal = AbortSignal.timeout(timeoutMs);
  try {
    for await (const event of await test.api.watch<EventSeen & { metadata: { name: string } }>(path, {
      query,
      signal,
    })) {
      if (event.type === "ERROR") break;
      seen.set(event.object.metadata.name, event.object);
      if (reasons.every((reason) => seen.values().some((one) => one.reason === reason))) return [...seen.values()];
    }
  } catch (error) {
    if (!signal.aborted) throw error;
  }
  const told = [...seen.values()].map(({ reason, message }) => `${reason}: ${message}`).join("\n");
  throw new Error(`not all of ${reasons.join(", ")} came within ${timeoutMs} ms:\n${told}`);
}
