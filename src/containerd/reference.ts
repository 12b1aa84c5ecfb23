/** Image references, by the grammar of github.com/distribution/reference and with Docker's defaults for what is left out. */
import { ImagePullError } from "./errors.ts";

/** A full image reference. */
export interface Reference {
  /** The registry's host, with its port if it was given: `docker.io`, `127.0.0.1:5000`. */
  readonly domain: string;
  /** The repository's path below the host: `library/busybox`. */
  readonly path: string;
  /** Given or defaulted to `latest`; undefined beside a digest, which alone decides. */
  readonly tag?: string;
  readonly digest?: string;
  /** All of it, the name of the image's record in containerd: `docker.io/library/busybox:latest`. */
  readonly canonical: string;
}

const DOMAIN_PART = "(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])";
const DOMAIN = new RegExp(`^(?:${DOMAIN_PART}(?:\\.${DOMAIN_PART})*|\\[[a-fA-F0-9:]+\\])(?::[0-9]+)?$`);
const PATH_PART = "[a-z0-9]+(?:(?:\\.|_|__|-+)[a-z0-9]+)*";
const PATH = new RegExp(`^${PATH_PART}(?:/${PATH_PART})*$`);
const TAG = /^\w[\w.-]{0,127}$/;
const DIGESTS: Record<string, number> = { sha256: 64, sha384: 96, sha512: 128 };
const MAX_NAME = 255;

/**
 * Completes a reference as Docker does: `busybox` is `docker.io/library/busybox:latest`.
 * @throws ImagePullError of kind InvalidName
 */
export function parseReference(reference: string): Reference {
  const refuse = (why: string): never => {
    throw new ImagePullError("InvalidName", `image "${reference}": ${why}`);
  };
  const [named = "", digest, more] = reference.split("@");
  if (named === "") refuse("the name is empty");
  if (more !== undefined) refuse('there is more than one "@"');
  if (digest !== undefined) checkDigest(digest, refuse);

  // A colon before the last slash belongs to the host's port.
  const colon = named.lastIndexOf(":");
  const tagged = colon > named.lastIndexOf("/");
  const tag = tagged ? named.slice(colon + 1) : undefined;
  if (tag !== undefined && !TAG.test(tag)) {
    refuse(`tag "${tag}" must be letters, digits, "_", "." and "-", at most 128, not beginning with "." or "-"`);
  }
  const { domain, path } = splitDomain(tagged ? named.slice(0, colon) : named);
  if (!DOMAIN.test(domain)) refuse(`"${domain}" is not a host name`);
  if (!PATH.test(path)) {
    refuse(`repository "${path}" must be lowercase letters and digits, separated by "/", ".", "_", "__" or "-"`);
  }
  if (domain.length + 1 + path.length > MAX_NAME) refuse(`the name is longer than ${MAX_NAME} characters`);

  const base = { domain, path };
  if (digest !== undefined) return { ...base, digest, canonical: `${domain}/${path}@${digest}` };
  const finalTag = tag ?? "latest";
  return { ...base, tag: finalTag, canonical: `${domain}/${path}:${finalTag}` };
}

/** Docker's rule: the first part is a host if it has a dot, a colon or an uppercase letter, or is localhost. */
function splitDomain(name: string): { domain: string; path: string } {
  const slash = name.indexOf("/");
  const first = name.slice(0, Math.max(slash, 0));
  const isHost = /[.:]/.test(first) || first === "localhost" || first !== first.toLowerCase();
  const domain = isHost ? first : "docker.io";
  const path = isHost ? name.slice(slash + 1) : name;
  if (domain !== "docker.io" && domain !== "index.docker.io") return { domain, path };
  return { domain: "docker.io", path: path.includes("/") ? path : `library/${path}` };
}

function checkDigest(digest: string, refuse: (why: string) => never): void {
  const [algorithm = "", hex = ""] = digest.split(":");
  const length = Object.hasOwn(DIGESTS, algorithm) ? DIGESTS[algorithm] : undefined;
  if (length === undefined) refuse(`digest "${digest}" must begin with ${Object.keys(DIGESTS).join(":, ")}:`);
  if (hex.length !== length || !/^[a-f0-9]+$/.test(hex) || digest.split(":").length !== 2) {
    refuse(`digest "${digest}" must have ${length} lowercase hexadecimal digits after "${algorithm}:"`);
  }
}
