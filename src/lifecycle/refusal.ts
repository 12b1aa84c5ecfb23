/** Specs that can't be applied: what the server's schema could not refuse, or the server was too old to. */
import { type Container, type FieldError, unsupported, validate } from "../api/index.ts";
import type { StartFailure } from "../oci/index.ts";

/** Exit code for a start whose spec asks for what can't be. */
const INVALID_SPEC_EXIT = 128;

const answers = new WeakMap<Container, StartFailure | null>();

/** Why an object's spec can't be applied on this node, naming every field; undefined when it can. */
export function refusalOf(object: Container, nodeName: string): StartFailure | undefined {
  const known = answers.get(object);
  if (known !== undefined) return known ?? undefined;
  const errors = errorsOf(object, nodeName);
  const failure = errors.length === 0 ? null : toFailure(errors);
  answers.set(object, failure);
  return failure ?? undefined;
}

function errorsOf(object: Container, nodeName: string): FieldError[] {
  const invalid = validate(object);
  if (invalid.length > 0) return invalid;
  const moved = object.spec.nodeName !== nodeName;
  return moved ? [movedError(object.spec.nodeName, nodeName)] : unsupported(object.spec);
}

/** The agent follows an object by `status.nodeName`, too: a server without CEL lets `spec.nodeName` be changed. */
function movedError(value: string, nodeName: string): FieldError {
  const message = `Invalid value: "${value}": is immutable, the container is on "${nodeName}": delete the Container and apply it anew`;
  return { field: "spec.nodeName", message };
}

function toFailure(errors: readonly FieldError[]): StartFailure {
  const error = errors.map(({ field, message }) => `${field}: ${message}`).join("; ");
  return { exitCode: INVALID_SPEC_EXIT, reason: "InvalidSpec", state: "Exited", final: true, message: error, error };
}
