/**
 * Registry credentials from `imagePullSecrets`, as the kubelet finds them: the entry of the secret whose host and path
 * fit the image best.
 */
import type { Credentials } from "./pulls.ts";

/** A Secret, as far as it is used here. */
export interface PullSecret {
  readonly metadata: { readonly name: string };
  readonly type?: string;
  readonly data?: Readonly<Record<string, string>>;
}

interface AuthEntry {
  auth?: string;
  username?: string;
  password?: string;
}

/** A pull secret that can't be used. The message names the secret and what is wrong with it. */
export class PullSecretError extends Error {
  override readonly name = "PullSecretError";
}

/**
 * The credentials for a normalised image reference (`registry.example.com/team/app:1`), undefined when no secret has any.
 * The most specific entry wins; of equals the one of the first secret.
 * @throws PullSecretError when a secret is of another type or can't be read
 */
export function credentialsFor(ref: string, secrets: readonly PullSecret[]): Credentials | undefined {
  const repository = ref.replace(/@.*$/, "").replace(/:[^:/]*$/, "");
  let best: { length: number; entry: AuthEntry; secret: string } | undefined;
  for (const secret of secrets) {
    for (const [pattern, entry] of Object.entries(entriesOf(secret))) {
      const place = placeOf(pattern);
      if (!fits(place, repository) || (best !== undefined && best.length >= place.length)) continue;
      best = { length: place.length, entry, secret: secret.metadata.name };
    }
  }
  return best === undefined ? undefined : decodeEntry(best.secret, best.entry);
}

/** `https://index.docker.io/v1/` is how Docker's own configuration names Docker Hub. */
function placeOf(pattern: string): string {
  const place = pattern.replace(/^https?:\/\//, "").replace(/\/(v[12]\/?)?$/, "");
  return place.replace(/^(index\.)?docker\.io(?=\/|$)/, "docker.io");
}

/** Whether a host, with or without a path, covers a repository; `*` stands for one label of the host, as in the kubelet. */
function fits(place: string, repository: string): boolean {
  const [host = "", ...path] = place.split("/");
  const [repositoryHost = "", ...repositoryPath] = repository.split("/");
  const labels = host.split(".");
  const repositoryLabels = repositoryHost.split(".");
  return (
    labels.length === repositoryLabels.length &&
    labels.every((label, i) => label === "*" || label === repositoryLabels[i]) &&
    path.every((part, i) => part === repositoryPath[i])
  );
}

function entriesOf(secret: PullSecret): Record<string, AuthEntry> {
  const { name } = secret.metadata;
  const modern = secret.data?.[".dockerconfigjson"];
  const legacy = secret.data?.[".dockercfg"];
  const encoded = modern ?? legacy;
  if (encoded === undefined) {
    throw new PullSecretError(
      `secret "${name}" of type "${secret.type ?? "Opaque"}" has no key ".dockerconfigjson": create it with "kubectl create secret docker-registry"`,
    );
  }
  try {
    const content = JSON.parse(Buffer.from(encoded, "base64").toString("utf8")) as {
      auths?: Record<string, AuthEntry>;
    };
    return (modern === undefined ? content : content.auths) ?? {};
  } catch (error) {
    throw new PullSecretError(`secret "${name}": its registry configuration is not JSON: ${(error as Error).message}`);
  }
}

function decodeEntry(secret: string, entry: AuthEntry): Credentials {
  if (entry.username !== undefined && entry.password !== undefined) {
    return { username: entry.username, password: entry.password };
  }
  const plain = Buffer.from(entry.auth ?? "", "base64").toString("utf8");
  const colon = plain.indexOf(":");
  if (colon < 0) throw new PullSecretError(`secret "${secret}": "auth" must be the base64 of user:password`);
  return { username: plain.slice(0, colon), password: plain.slice(colon + 1) };
}
