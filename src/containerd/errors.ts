import { status } from "@grpc/grpc-js";

/** A call to containerd that failed, with the gRPC status it answered. */
export class ContainerdError extends Error {
  override readonly name: string = "ContainerdError";
  /** The gRPC status code (`status` of @grpc/grpc-js). */
  readonly code: number;
  /** The code's name, `NOT_FOUND`. */
  readonly codeName: string;
  /** The method called, `Tasks.Create`. */
  readonly method: string;
  /** containerd's own words, without code and method: what a status or an Event shows to a person. */
  readonly details: string;

  constructor(method: string, code: number, details: string, options?: ErrorOptions) {
    const codeName = status[code] ?? `code ${code}`;
    super(`${method}: ${codeName}: ${details}`, options);
    this.method = method;
    this.code = code;
    this.codeName = codeName;
    this.details = details;
  }
}

/** Turns what grpc-js throws or emits into a ContainerdError; leaves other errors as they are. */
export function toContainerdError(method: string, error: unknown): Error {
  if (error instanceof ContainerdError) return error;
  if (error instanceof Error && "code" in error && typeof error.code === "number") {
    const details = "details" in error && typeof error.details === "string" ? error.details : error.message;
    return new ContainerdError(method, error.code, details.replace(/ Resolution note: $/, ""), { cause: error });
  }
  return error instanceof Error ? error : new Error(String(error));
}

/** The gRPC status of a call that failed so, or did not (`OK`). */
export function codeNameOf(failure: Error | undefined): string {
  if (failure === undefined) return "OK";
  return failure instanceof ContainerdError ? failure.codeName : "UNKNOWN";
}

/** Why an image can't be had: what decides whether another try makes sense and what a person should look at. */
export type ImagePullErrorKind = "InvalidName" | "NotFound" | "Unauthorized" | "Unreachable" | "Other";

/** An image that can't be had. The message names the image and what is wrong. */
export class ImagePullError extends Error {
  override readonly name: string = "ImagePullError";
  readonly kind: ImagePullErrorKind;

  constructor(kind: ImagePullErrorKind, message: string, options?: ErrorOptions) {
    super(message, options);
    this.kind = kind;
  }
}

/** A containerd older than Berth can work with. */
export class UnsupportedContainerd extends Error {
  override readonly name: string = "UnsupportedContainerd";
  readonly found: string;
  readonly needed: string;

  constructor(found: string, needed: string) {
    super(`containerd ${found} is not supported: Berth needs ${needed} or later`);
    this.found = found;
    this.needed = needed;
  }
}

function has(code: number): (error: unknown) => error is ContainerdError {
  return (error): error is ContainerdError => error instanceof ContainerdError && error.code === code;
}

/** There is no such container, task, snapshot, image or blob. */
export const isNotFound = has(status.NOT_FOUND);
/** Something of this id is there already. */
export const isAlreadyExists = has(status.ALREADY_EXISTS);
/** containerd is away: no socket, no listener, or the connection broke during the call, which may or may not have been carried out. */
export const isUnavailable = has(status.UNAVAILABLE);
/** No answer within the deadline; the call may or may not have been carried out. */
export const isDeadlineExceeded = has(status.DEADLINE_EXCEEDED);
/** The call was cancelled by its AbortSignal or by `close()`. */
export const isCancelled = has(status.CANCELLED);
