/** The `metav1.Status` an API server answers with when a request fails. */
export type Status = { kind?: "Status"; code?: number; reason?: string; message?: string };

/** The API server answered, and the answer is no. `reason` is the Status's (`NotFound`, `Conflict`, `Expired` …). */
export class ApiError extends Error {
  readonly code: number;
  readonly reason: string;
  /** What the server asked to wait before another try (`Retry-After`), in milliseconds. */
  readonly retryAfterMs: number | undefined;

  constructor(code: number, reason: string, message: string, retryAfterMs?: number) {
    super(message);
    this.name = "ApiError";
    this.code = code;
    this.reason = reason;
    this.retryAfterMs = retryAfterMs;
  }
}

/** The API server did not answer: refused, reset, timed out, or the credentials to ask it could not be had. */
export class ApiUnavailable extends Error {
  /** Node's code of the failure (`ECONNREFUSED`, `ERR_TLS_CERT_ALTNAME_INVALID`), where there is one. */
  readonly code: string | undefined;

  constructor(message: string, code?: string) {
    super(message);
    this.name = "ApiUnavailable";
    this.code = code;
  }
}

function hasCode(error: unknown, code: number): error is ApiError {
  return error instanceof ApiError && error.code === code;
}

/** The object is not there (404). */
export function isNotFound(error: unknown): error is ApiError {
  return hasCode(error, 404) && error.reason === "NotFound";
}

/**
 * The whole resource is not there (404, but without a word of an object): its definition was never made or is deleted; or
 * the server has just been started and does not know of it yet, which servers before 1.24 don't tell from that.
 */
export function isNotServed(error: unknown): error is ApiError {
  return hasCode(error, 404) && error.reason !== "NotFound";
}

/** Someone else wrote the object in between (409). */
export function isConflict(error: unknown): error is ApiError {
  return hasCode(error, 409) && error.reason !== "AlreadyExists";
}

/** An object of that name exists (409). */
export function isAlreadyExists(error: unknown): error is ApiError {
  return hasCode(error, 409) && error.reason === "AlreadyExists";
}

/** The credentials lack the right (403); the server's message names the verb and the resource. */
export function isForbidden(error: unknown): error is ApiError {
  return hasCode(error, 403);
}

/** The resourceVersion or continue token is too old for the server (410): list again. */
export function isGone(error: unknown): error is ApiError {
  return hasCode(error, 410);
}

/** Nothing is wrong with the request: the server can't be reached or can't answer now, so the same request may pass later. */
export function isUnavailable(error: unknown): error is ApiError | ApiUnavailable {
  if (error instanceof ApiUnavailable || isNotServed(error)) return true;
  return error instanceof ApiError && (error.code === 429 || error.code >= 500);
}

/** The error of a Status, be it an answer's body or the object of a watch's ERROR event. */
export function errorOfStatus(
  status: Status,
  fallback: { code: number; message: string },
  retryAfterMs?: number,
): ApiError {
  const code = status.code ?? fallback.code;
  return new ApiError(code, status.reason ?? "Unknown", status.message ?? fallback.message, retryAfterMs);
}
