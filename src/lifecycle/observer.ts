/** What the verbs tell of themselves to whoever counts and measures. */
import type { ImagePullErrorKind } from "../containerd/index.ts";
import { StartError } from "../oci/index.ts";
import { Obstacle } from "./obstacle.ts";
import type { Parts } from "./parts.ts";
import type { Step } from "./decide.ts";
import type { Waiting } from "./record.ts";
import { NoLongerWanted } from "./wanted.ts";

/**
 * The phases of a start, as `start.ts` has them; before them `guards`: what it is made from and needs is there. A start
 * again has no `spec` and no `record`.
 */
export type Phase =
  "guards" | "storage" | "namespace" | "network" | "files" | "spec" | "record" | "task" | "start" | "save";

/** How a step ended. `waiting`: it could not go on for want of something, which its key waits for. */
export type StepResult = "success" | "waiting" | "startFailed" | "calledOff" | "obstacle" | "error";

/** How a pull ended; `cancelled`: nobody waits for it any more. */
export type PullOutcome = "success" | "cancelled" | "error" | ImagePullErrorKind;

/** Is told of what happens. What it does must be quick, and throws nothing. */
export interface Observer {
  step(verb: Step["verb"], result: StepResult, seconds: number): void;
  /** A phase of a start has succeeded. */
  phase(phase: Phase, seconds: number): void;
  startFailed(reason: string): void;
  /** A container was started again: its restart policy wanted it, or somebody did. */
  restarted(cause: "policy" | "request"): void;
  /** A run has ended. */
  ended(reason: string): void;
  pulled(outcome: PullOutcome, seconds: number): void;
  /** So many bytes more were fetched. */
  fetched(bytes: number): void;
}

type Ended<T> = { readonly value: T } | { readonly error: unknown };

/** Tells how an action ended and how long it took; what it answers or throws is the caller's, as ever, and no later. */
function observed<T>(action: () => Promise<T>, tell: (end: Ended<T>, seconds: number) => void): Promise<T> {
  const begun = performance.now();
  const seconds = (): number => (performance.now() - begun) / 1000;
  const promise = action();
  void promise.then(
    (value) => {
      tell({ value }, seconds());
    },
    (error: unknown) => {
      tell({ error }, seconds());
    },
  );
  return promise;
}

/** Does one phase of a container's start. */
export function phase<T>(
  { observer, logger }: Pick<Parts, "observer" | "logger">,
  { id }: { readonly id: string },
  name: Phase,
  action: () => Promise<T>,
): Promise<T> {
  return observed(action, (end, seconds) => {
    if ("error" in end) return;
    observer.phase(name, seconds);
    logger.trace({ container: id, phase: name, seconds }, "phase of a start");
  });
}

/** Does one step of a reconcile. */
export function observedStep(
  { observer }: Pick<Parts, "observer">,
  verb: Step["verb"],
  action: () => Promise<Waiting | undefined>,
): Promise<Waiting | undefined> {
  return observed(action, (end, seconds) => {
    observer.step(verb, resultOf(end), seconds);
  });
}

function resultOf(end: Ended<Waiting | undefined>): StepResult {
  if ("value" in end) return end.value === undefined ? "success" : "waiting";
  if (end.error instanceof StartError) return "startFailed";
  if (end.error instanceof NoLongerWanted) return "calledOff";
  return end.error instanceof Obstacle ? "obstacle" : "error";
}
