/** The conditions of a status, by which `kubectl wait`, Flux and Argo see how it stands. */
import type { Condition, Container, ContainerStatus } from "../api/index.ts";
import { isOutdated } from "./decide.ts";
import { DISK_PRESSURE } from "./limits.ts";
import type { StatusInput } from "./status.ts";

/** What a state means, where there is no more to say: a condition's message is never empty. */
export function sentenceOf({ state, exitCode, health }: ContainerStatus): string {
  switch (state) {
    case "Running":
      return health === undefined || health.status === "Healthy"
        ? "The container is running."
        : "The container is running; its healthcheck has not succeeded yet.";
    case "Paused":
      return "The container is paused.";
    case "Exited":
      return `The container has ended with exit code ${exitCode ?? 0}.`;
    case "Restarting":
      return `The container has ended with exit code ${exitCode ?? 0} and is about to be started again.`;
    case "Dead":
      return "The container can't be removed yet.";
    case "Removing":
      return "The container is being removed.";
    default:
      return "The container is about to be started.";
  }
}

type Verdicts = Partial<globalThis.Record<"Ready" | "Complete" | "Failed" | "Reconciling" | "Stalled", boolean>>;

type Undated = Omit<Condition, "lastTransitionTime">;

/**
 * The conditions that hold, `Ready` always among them (kstatus: the abnormal ones are absent when false).
 * @param final a failure that nothing but a change of the spec or of `restartedAt` ends
 */
export function conditionsOf(input: StatusInput, status: ContainerStatus, final: boolean): Condition[] {
  const held = verdicts(input, status, final);
  const reason = status.reason ?? status.state ?? "Unknown";
  const conditions: Undated[] = [];
  for (const type of ["Ready", "Complete", "Failed", "Reconciling", "Stalled"] as const) {
    if (held[type] !== true && type !== "Ready") continue;
    conditions.push({
      type,
      status: held[type] === true ? "True" : "False",
      reason,
      message: status.message ?? sentenceOf(status),
      observedGeneration: input.object.metadata.generation,
    });
  }
  if (input.pressure !== undefined) {
    const observedGeneration = input.object.metadata.generation;
    conditions.push({ type: DISK_PRESSURE, status: "True", ...input.pressure, observedGeneration });
  }
  return withTransitions(conditions, input.object, input.now);
}

function verdicts(input: StatusInput, status: ContainerStatus, final: boolean): Verdicts {
  const { desired, observed, refusal } = input;
  if (desired.kind !== "present") return { Reconciling: true };
  const alive = observed.current?.task !== undefined;
  if (final) return { Stalled: true, Failed: !alive };
  const { desiredState } = desired.spec;
  const { current, leftovers } = observed;
  const outdated = current !== undefined && isOutdated(current, desired);
  const settled = leftovers.length === 0 && current?.record.state.stopping === undefined && !outdated && !refusal;
  const isHealthy = status.health === undefined || status.health.status === "Healthy";
  const ready =
    settled &&
    (desiredState === "Stopped"
      ? !alive
      : desiredState === "Paused"
        ? status.state === "Paused"
        : status.state === "Running" && isHealthy);
  if (ready) return { Ready: true };
  // Left alone, it is on its way to nothing.
  if (settled && status.reason === "Unhealthy" && status.state === "Running") return {};
  // Unhealthy is a failure whatever the process made of the signal.
  const succeeded = status.exitCode === 0 && status.reason !== "Unhealthy";
  if (status.state === "Exited") return succeeded ? { Complete: true } : { Failed: true };
  return { Reconciling: true };
}

/** Keeps the transition time of a condition whose status has not changed (Kubernetes API conventions). */
function withTransitions(conditions: Undated[], object: Container, now: Date): Condition[] {
  const before = new Map((object.status?.conditions ?? []).map((condition) => [condition.type, condition]));
  return conditions.map((condition) => {
    const earlier = before.get(condition.type);
    const lastTransitionTime = earlier?.status === condition.status ? earlier.lastTransitionTime : now.toISOString();
    return { ...condition, lastTransitionTime };
  });
}
