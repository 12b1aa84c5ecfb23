/**
 * What Berth keeps in a container's record at containerd, so that it outlives the agent: the spec as applied and how the
 * container's runs went. Names of all that belongs to a container follow from the record's id.
 */
import type { Container, ContainerSpec } from "../api/index.ts";
import type { ImageHealthcheck } from "../containerd/index.ts";
import type { StartFailure } from "../oci/index.ts";
import type { HealthRecord } from "./health.ts";

/** Labels on a container's record, by which the agent finds its own records again. */
export const LABEL = {
  uid: "berth.dev/uid",
  namespace: "berth.dev/namespace",
  name: "berth.dev/name",
} as const;

/** Keys of the record's extensions. */
export const EXTENSION = {
  applied: "berth.dev/container",
  state: "berth.dev/state",
  health: "berth.dev/health",
} as const;

/** Which object a record was made for, and from what. */
export interface Applied {
  readonly namespace: string;
  readonly name: string;
  readonly uid: string;
  /** metadata.generation of the object whose spec this is. */
  readonly generation: number;
  /** The spec with its static defaults. */
  readonly spec: ContainerSpec;
  readonly image: AppliedImage;
}

/** The image a container was made from. */
export interface AppliedImage {
  readonly name: string;
  readonly digest: string;
  readonly chainID: string;
  readonly stopSignal?: string;
  /** Paths that the image declares as VOLUME. */
  readonly volumes?: readonly string[];
  /** Ports that the image declares with EXPOSE, as `80/tcp`. */
  readonly exposedPorts?: readonly string[];
  /** Its HEALTHCHECK, and the SHELL that runs it. */
  readonly healthcheck?: ImageHealthcheck;
  readonly shell?: readonly string[];
}

/** How a run ended. */
export interface End {
  readonly exitCode: number;
  readonly reason: string;
  readonly oomKilled: boolean;
  readonly startedAt?: string;
  readonly finishedAt: string;
  /** The end was asked for: `desiredState`, `restartedAt`, a recreation or a deletion. It does not count for the restart policy. */
  readonly requested: boolean;
  /** The name of the ContainerCheckpoint that ended it (`leaveRunning: false`): it is not started again by itself. */
  readonly checkpoint?: string;
}

/** A stop under way: the signal is sent, SIGKILL follows at the deadline. */
export interface Stopping {
  /** In `Parts.uptime`'s milliseconds: a task does not outlive the node's boot, and nobody sets that clock. */
  readonly deadlineMs: number;
  /** It was the healthcheck that wanted it: the end counts as a failed one, which nobody asked for. */
  readonly unhealthy?: true;
  /** The value of the annotation `berth.dev/restartedAt` that asks for it. */
  readonly restartedAt?: string;
  /** The name of the ContainerCheckpoint that asks for it. */
  readonly checkpoint?: string;
}

/** The verdict on a start that failed. */
export interface Verdict {
  readonly failure: StartFailure;
  readonly attempts: number;
  /** Absent when there is no next try before the spec or `restartedAt` changes. */
  readonly nextRetryAt?: string;
  readonly generation: number;
  readonly restartedAt?: string;
}

/** Whether a verdict is about what is wished now: not about an earlier spec, or an earlier value of the annotation. */
export function isAbout(
  verdict: Verdict,
  wish: { readonly generation: number; readonly restartedAt?: string | undefined },
): boolean {
  return verdict.generation === wish.generation && verdict.restartedAt === wish.restartedAt;
}

/** Why a start waits, when no failure is the cause. */
export interface Waiting {
  readonly reason: string;
  readonly message: string;
}

/** A run of a container's task. */
export interface Run {
  readonly startedAt: string;
  /** The same in `Parts.uptime`'s milliseconds, of the boot with this id. */
  readonly startedMs?: number;
  readonly pid: number;
  readonly bootID: string;
}

/** How a container's runs went so far. */
export interface RunState {
  readonly restartCount: number;
  /** Of these, how many the restart policy has made since the last start that was asked for: what `maxRestarts` limits. */
  readonly policyRestarts?: number;
  /** A start is under way: its count and annotation are in here already, its task may not be there yet. */
  readonly starting?: true;
  /** Its task was made but never started, and is being killed: that is no end of a run. The next start forgets it. */
  readonly discarding?: true;
  /** Set when the current run's task was started; cleared with its end. */
  readonly run?: Run;
  readonly lastEnd?: End;
  readonly stopping?: Stopping;
  /** The last wait before a restart, in milliseconds, and when the next one is over (Docker's restart manager). */
  readonly backoffMs: number;
  readonly nextRetryAt?: string;
  /** Its removal has begun, or is certain: whatever is wished, it is not started any more. */
  readonly removing?: true;
  /** `desiredState: Stopped` was reached: the next start is one that the user asks for. */
  readonly stopped?: true;
  /** The container has a network namespace and address. */
  readonly holdsNetwork?: true;
  /** The value of the annotation `berth.dev/restartedAt` acted on. */
  readonly restartedAt?: string;
  /** A value of that annotation for which the last run was stopped: the start that follows acts on it. */
  readonly stoppedFor?: string;
  /** The ContainerCheckpoint that this record's first start begins from, by its name (`spec.restoreFrom`). */
  readonly restoredFrom?: string;
  /** The verdict on the last attempt to start this record's task again. */
  readonly verdict?: Verdict;
  /** What its next start waits for. */
  readonly waiting?: Waiting;
}

/** A container's record as Berth sees it. */
export interface Record {
  readonly id: string;
  readonly applied: Applied;
  readonly state: RunState;
  /** Apart from the state: it is written while the container's key may be worked on. */
  readonly health?: HealthRecord;
  /** When it was made; absent until it was read. */
  readonly createdAt?: Date;
}

/** The state of a record whose task was never started. */
export const NEVER_RUN: RunState = { restartCount: 0, backoffMs: 0 };

/** The id of the record, and the name of everything that belongs to it: the object's uid and the generation it is made from. */
export function containerID(object: Pick<Container, "metadata">): string {
  return `${object.metadata.uid}-${object.metadata.generation}`;
}

/** The generation that an id made by {@link containerID} was made from; 0 for any other id. */
export function generationOf(id: string): number {
  const generation = /^[0-9a-f-]{36}-([1-9][0-9]*)$/.exec(id)?.[1];
  return generation === undefined ? 0 : Number(generation);
}

/** The key of the object that a record was made for. */
export function keyOf(applied: Pick<Applied, "namespace" | "name">): string {
  return `${applied.namespace}/${applied.name}`;
}
