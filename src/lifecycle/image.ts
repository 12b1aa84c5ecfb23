/** The image of a container to be made: there already, or pulled first. */
import { type ContainerSpec, imagePullPolicy } from "../api/index.ts";
import { parseReference, type PulledImage } from "../containerd/index.ts";
import { isForbidden, isNotFound, secretPath } from "../kube/index.ts";
import { ImageNeverPullError } from "../oci/index.ts";
import { credentialsFor, type PullSecret } from "./credentials.ts";
import { at } from "./failure.ts";
import type { Parts } from "./parts.ts";
import type { Credentials } from "./pulls.ts";
import type { Applied, Waiting } from "./record.ts";

/** For which object an image is wanted, and for which attempt to make its container. */
export interface ImageWish {
  readonly key: string;
  readonly token: string;
  readonly object: Pick<Applied, "namespace" | "name" | "uid">;
  readonly spec: ContainerSpec;
}

/**
 * The image, by `imagePullPolicy`: `Always` asks the registry each time this is called for a new attempt. While a pull is
 * under way the answer is what to wait for; the key is looked at again when it is over.
 *
 * @throws StartError when the pull failed, or the image is absent and must not be pulled
 */
export async function ensureImage(parts: Parts, wish: ImageWish): Promise<PulledImage | Waiting> {
  const { key, token, spec } = wish;
  const ref = await at("pull", () => parseReference(spec.image).canonical);
  const settled = parts.pulls.take(key, token);
  if (settled !== undefined) {
    return at("pull", () => {
      if ("error" in settled) throw settled.error;
      const { image, seconds } = settled;
      parts.announce(
        wish.object,
        "Normal",
        "Pulled",
        `Pulled image "${spec.image}" in ${seconds.toFixed(1)} s (${image.digest})`,
      );
      return image;
    });
  }
  const pulling = { reason: "Pulling", message: `Pulling image "${spec.image}"` };
  if (parts.pulls.underWay(key, token)) return pulling;
  await parts.images.settled(ref);
  const policy = imagePullPolicy(spec);
  if (policy !== "Always") {
    const image = await at("pull", () => parts.containerd.image(ref));
    if (image !== undefined) return image;
    if (policy === "Never") return at("pull", () => Promise.reject(new ImageNeverPullError(spec.image)));
  }
  const credentials = await pullCredentials(parts, wish, ref);
  if (credentials !== undefined && "reason" in credentials) return credentials;
  parts.announce(wish.object, "Normal", "Pulling", pulling.message, "pull");
  parts.pulls.begin({ key, token, ref, object: wish.object, ...(credentials === undefined ? {} : { credentials }) });
  return pulling;
}

async function pullCredentials(parts: Parts, wish: ImageWish, ref: string): Promise<Credentials | Waiting | undefined> {
  const { key, object, spec } = wish;
  const path = secretPath(object.namespace);
  const secrets: PullSecret[] = [];
  for (const { name } of spec.imagePullSecrets ?? []) {
    try {
      secrets.push(await parts.api.get<PullSecret>(secretPath(object.namespace, name)));
    } catch (error) {
      if (!isNotFound(error) && !isForbidden(error)) throw error;
      parts.references.wait(key, { path, name });
      const missing = `secret "${name}" does not exist in namespace "${object.namespace}": create it, and the start goes on`;
      const why = isForbidden(error) ? error.message : missing;
      return { reason: "WaitingForSecret", message: `spec.imagePullSecrets: ${why}` };
    }
  }
  return at("pull", () => credentialsFor(ref, secrets));
}
