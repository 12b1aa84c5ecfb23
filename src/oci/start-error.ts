/**
 * What a start that failed means: exit code, reason and whether another try makes sense. The exit codes are Docker's
 * (`setExitCodeFromError`), which tells them by the error's text; the reason follows from the step and the part of it that
 * failed, so that a missing mount source is not taken for a missing command as in Docker.
 */
import type { StartReason } from "../api/index.ts";
import { ContainerdError, ImagePullError, isUnavailable } from "../containerd/index.ts";
import { SpecError } from "./errors.ts";
import { type RuntimeFault, runtimeFault } from "./runtime-error.ts";

/** The steps of a start, as far as their failures differ. */
export type StartStep = "pull" | "storage" | "network" | "spec" | "create" | "start";

/** The reasons that are a failure's: not those of a start that waits. */
export type StartFailureReason = Exclude<StartReason, `Waiting${string}` | "InsufficientResources">;

/** The verdict on a start that failed, as the status shows it. */
export interface StartFailure {
  /** Absent while containerd is away, which is no verdict on the container. */
  readonly exitCode?: number;
  readonly reason: string;
  readonly state: "Exited" | "Pending";
  /** No other try before the spec or `berth.dev/restartedAt` changes. */
  readonly final: boolean;
  /** For a person: what is wrong and, where it can be told, what to do. */
  readonly message: string;
  /** The error's own words. */
  readonly error: string;
}

/** A start that failed, with what it means. */
export class StartError extends Error {
  override readonly name: string = "StartError";
  readonly failure: StartFailure;

  constructor(failure: StartFailure, options?: ErrorOptions) {
    super(failure.message, options);
    this.failure = failure;
  }
}

/** The image is not on the node, and `imagePullPolicy: Never` forbids to ask a registry. */
export class ImageNeverPullError extends Error {
  override readonly name: string = "ImageNeverPullError";

  constructor(image: string) {
    super(`image "${image}" is not on the node, and spec.imagePullPolicy is Never: import it there, or allow the pull`);
  }
}

const VERDICTS: Record<StartFailureReason, Pick<StartFailure, "exitCode" | "state" | "final">> = {
  CommandNotFound: { exitCode: 127, state: "Exited", final: true },
  CommandNotExecutable: { exitCode: 126, state: "Exited", final: true },
  MountMismatch: { exitCode: 127, state: "Exited", final: true },
  InvalidSpec: { exitCode: 128, state: "Exited", final: true },
  Forbidden: { exitCode: 128, state: "Exited", final: true },
  ErrImagePull: { exitCode: 128, state: "Pending", final: false },
  ImagePullBackOff: { exitCode: 128, state: "Pending", final: false },
  ErrImageNeverPull: { exitCode: 128, state: "Pending", final: false },
  InvalidImageName: { exitCode: 128, state: "Pending", final: true },
  VolumeSetupFailed: { exitCode: 128, state: "Pending", final: false },
  NetworkSetupFailed: { exitCode: 128, state: "Pending", final: false },
  RuntimeError: { exitCode: 128, state: "Pending", final: false },
  RuntimeUnavailable: { state: "Pending", final: false },
};

/** A verdict with a reason that the caller knows. Without `error`, the message is the error's own words. */
export function startFailure(reason: StartFailureReason, message: string, error = message): StartFailure {
  return { ...VERDICTS[reason], reason, message, error };
}

/** The verdict on what a step of a start has thrown. */
export function classifyStartError(thrown: unknown, step: StartStep): StartFailure {
  if (thrown instanceof StartError) return thrown.failure;
  const error = wordsOf(thrown);
  if (thrown instanceof SpecError) return startFailure("InvalidSpec", thrown.message);
  if (isUnavailable(thrown)) return startFailure("RuntimeUnavailable", `containerd can't be reached: ${error}`, error);
  switch (step) {
    case "pull":
      return startFailure(pullReason(thrown), `${error}${pullAdvice(thrown)}`, error);
    case "storage":
      // Leases and snapshots are containerd's, volumes the node's.
      return startFailure(thrown instanceof ContainerdError ? "RuntimeError" : "VolumeSetupFailed", error);
    case "network":
      return startFailure("NetworkSetupFailed", error);
    case "spec":
      return startFailure("RuntimeError", error);
    case "create":
    case "start":
      // Only what the runtime said is told by its words: a log folder that the agent may not write is no user's command.
      if (!(thrown instanceof ContainerdError)) return startFailure("RuntimeError", error);
      return ofRuntime(runtimeFault(error), error);
  }
}

function wordsOf(thrown: unknown): string {
  if (thrown instanceof ContainerdError) return thrown.details;
  return thrown instanceof Error ? thrown.message : String(thrown);
}

function pullReason(thrown: unknown): StartFailureReason {
  if (thrown instanceof ImageNeverPullError) return "ErrImageNeverPull";
  return thrown instanceof ImagePullError && thrown.kind === "InvalidName" ? "InvalidImageName" : "ErrImagePull";
}

function pullAdvice(thrown: unknown): string {
  const refused = thrown instanceof ImagePullError && thrown.kind === "Unauthorized";
  return refused ? ": check the credentials for this registry in spec.imagePullSecrets" : "";
}

function ofRuntime({ reason, advice }: RuntimeFault, error: string): StartFailure {
  const words = withoutPreamble(error);
  return startFailure(reason, advice === "" ? words : `${words}: ${advice}`, error);
}

// Each layer between the runtime's init and containerd's client says that it has failed too; a person needs none of them.
function withoutPreamble(error: string): string {
  return error
    .replace(
      /^(?:.*?\bOCI runtime create failed: |failed to create (?:shim )?task: )(?:runc create failed: )?(?:unable to start container process: )?(?:error during container init: )?/s,
      "",
    )
    .replace(/: unknown$/, "");
}
