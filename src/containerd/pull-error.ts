import type { ImagePullErrorKind } from "./errors.ts";
import { ContainerdError, ImagePullError, isNotFound, isUnavailable } from "./errors.ts";

const UNAUTHORIZED =
  /\b(401|403)\b|unauthorized|authorization failed|access denied|failed to authorize|no basic auth|invalid_token|denied:/i;
const UNREACHABLE =
  /\bdial (tcp|udp)\b|connection re(fused|set)|no such host|i\/o timeout|TLS handshake|tls: |x509: |certificate|no route to host|network is unreachable|context deadline exceeded|Client\.Timeout|server gave HTTP response to HTTPS client|: EOF$|\b50[234]\b/i;

/**
 * Why a pull failed, from what containerd answered. It passes on what the registry said as text, mostly with the code
 * UNKNOWN. That containerd itself is away or ended the call is no error of the image and stays a ContainerdError.
 */
export function pullError(name: string, error: unknown): unknown {
  if (!(error instanceof ContainerdError) || isRuntimeAway(error)) return error;
  return new ImagePullError(kindOf(error), `image "${name}": ${error.details}`, { cause: error });
}

/** Not a registry that answered 503, which reaches us with the same code on some versions. */
function isRuntimeAway(error: ContainerdError): boolean {
  return isUnavailable(error) && !/failed to|unexpected status/.test(error.details);
}

function kindOf(error: ContainerdError): ImagePullErrorKind {
  const { details } = error;
  if (UNAUTHORIZED.test(details)) return "Unauthorized";
  if (isNotFound(error) || /\bnot found$|\b404\b/i.test(details)) return "NotFound";
  return UNREACHABLE.test(details) ? "Unreachable" : "Other";
}
