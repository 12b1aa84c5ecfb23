/** What the controller says of a Container, or does about an object: a pure function of it and of how its node's agent stands. */
import {
  type CheckpointStatus,
  type Condition,
  type ContainerStatus,
  FINALIZER,
  type MarkReason,
  type ObjectMeta,
} from "../api/index.ts";
import { patchFor } from "../kube/index.ts";
import { endedForGood } from "../lifecycle/told.ts";
import { isGivenUp, type Standing } from "./standing.ts";

/** A Container, as far as the controller keeps it. */
export interface KeptContainer {
  readonly apiVersion?: string;
  readonly kind?: string;
  readonly metadata: ObjectMeta;
  readonly spec: { readonly nodeName: string };
  readonly status?: ContainerStatus;
}

/** A ContainerCheckpoint, as far as the controller keeps it. */
export interface KeptCheckpoint {
  readonly apiVersion?: string;
  readonly kind?: string;
  readonly metadata: ObjectMeta;
  readonly status?: Pick<CheckpointStatus, "nodeName">;
}

/** What there is to do about an object. */
export type Action =
  | { readonly kind: "none" }
  /** Write this part of its status. */
  | { readonly kind: "mark"; readonly reason: MarkReason; readonly patch: object }
  /** Take the finalizer off, for nobody else will. */
  | { readonly kind: "release"; readonly why: string };

/** What a message tells beside the standing. */
export interface Surroundings {
  /** Nodes that have an agent. */
  readonly agents: readonly string[];
  /** Where the agents' Leases are. */
  readonly namespace: string;
  readonly now: Date;
}

const NONE: Action = { kind: "none" };
const NEAREST = 3;

/** The node whose agent has a Container: on servers without CEL, spec.nodeName may be changed under it. */
export function nodeOf({ spec, status }: Pick<KeptContainer, "spec" | "status">): string {
  return status?.nodeName ?? spec.nodeName;
}

/** What to do about a Container. */
export function decide(container: KeptContainer, standing: Standing, around: Surroundings): Action {
  if (standing.kind === "alive" || standing.kind === "undecided") return NONE;
  const released = release(container, nodeOf(container), standing);
  if (released !== undefined) return released;
  // A result is a result: nothing runs, and nothing will without a new wish.
  if (endedForGood(container) && container.metadata.deletionTimestamp === undefined) return NONE;
  const { status = {} } = container;
  const { reason, message } = wordsOf(container, standing, around);
  if (isSaid(container, reason) && reason === "NoAgent") return NONE;
  const isTaken = wasTaken(container);
  const state = isTaken ? "Unknown" : "Pending";
  const conditions = conditionsOf(container, { reason, message }, around.now);
  const patch = patchFor(status, { ...status, state, reason, message, conditions });
  return patch === undefined ? NONE : { kind: "mark", reason, patch };
}

/** What to do about a checkpoint: its data lies on one node, whose agent alone removes it. */
export function decideCheckpoint(checkpoint: KeptCheckpoint, standingOf: (nodeName: string) => Standing): Action {
  const nodeName = checkpoint.status?.nodeName;
  if (nodeName === undefined) return NONE;
  return release(checkpoint, nodeName, standingOf(nodeName)) ?? NONE;
}

function release({ metadata }: { metadata: ObjectMeta }, nodeName: string, standing: Standing): Action | undefined {
  if (metadata.deletionTimestamp === undefined || !isGivenUp(standing)) return undefined;
  if (metadata.finalizers?.includes(FINALIZER) !== true) return undefined;
  const why =
    standing.kind === "gone"
      ? `node "${nodeName}" was deleted and its agent is silent`
      : `node "${nodeName}" has no agent, and no Lease of one`;
  return { kind: "release", why };
}

/** Whether an agent has ever had it: then something of it may run. The schema's default for one that none has seen is -1. */
function wasTaken({ metadata, status }: KeptContainer): boolean {
  return metadata.finalizers?.includes(FINALIZER) === true || (status?.observedGeneration ?? -1) >= 0;
}

/** Whether this was said of the object's present generation. */
function isSaid({ metadata, status }: KeptContainer, reason: string): boolean {
  const ready = status?.conditions?.find(({ type }) => type === "Ready");
  return status?.reason === reason && ready?.reason === reason && ready.observedGeneration === metadata.generation;
}

interface Words {
  readonly reason: MarkReason;
  readonly message: string;
}

/** Why, and what to do about it. The same as long as nothing changes: no time but such as others have written. */
function wordsOf(container: KeptContainer, standing: Standing, around: Surroundings): Words {
  const nodeName = nodeOf(container);
  const lease = `kubectl delete lease -n ${around.namespace} berth-${nodeName}`;
  const isDeleting = container.metadata.deletionTimestamp !== undefined;
  if (standing.kind === "none") {
    const where = standing.hasNode
      ? `The Node is there: see why the agent's DaemonSet has no pod on it (node selector, taints).`
      : `There is no such Node either: is the name right?`;
    const waits = isDeleting ? " The deletion is carried through soon, without it." : "";
    return {
      reason: "NoAgent",
      message: `No agent serves node "${nodeName}". ${where} ${known(nodeName, around.agents)}${waits}`,
    };
  }
  if (standing.kind !== "silent" && standing.kind !== "gone") throw new Error(`nothing to say of ${standing.kind}`);
  const { renewTime } = standing;
  const silent = `has not renewed its Lease since ${renewTime ?? "it was made"}`;
  if (standing.kind === "gone") {
    const message = `Node "${nodeName}" was deleted, and its agent ${silent}: what ran there is taken for lost. Delete the Container, and apply it for another node.`;
    return { reason: "NodeGone", message };
  }
  const away = standing.hasNode ? `the Node is deleted, or the Lease (${lease})` : `its Lease is deleted (${lease})`;
  const advice = isDeleting
    ? `The deletion waits for it. If the machine never comes back, it goes on when ${away}.`
    : "What ran there may run on. Look at the machine, its network and the agent's log.";
  if (standing.notReadySince !== undefined) {
    const message = `Node "${nodeName}" is not Ready since ${standing.notReadySince}, and its agent ${silent}. ${advice}`;
    return { reason: "NodeNotReady", message };
  }
  return { reason: "AgentUnreachable", message: `The agent of node "${nodeName}" ${silent}. ${advice}` };
}

/** The agents that a misspelt name may have meant. */
function known(nodeName: string, agents: readonly string[]): string {
  if (agents.length === 0) return "No node has an agent yet.";
  const nearest = agents
    .map((name) => ({ name, distance: distance(nodeName, name) }))
    .sort((a, b) => a.distance - b.distance || a.name.localeCompare(b.name))
    .slice(0, NEAREST);
  const names = nearest.map(({ name }) => `"${name}"`).join(", ");
  return agents.length <= NEAREST
    ? `There are agents on ${names}.`
    : `The most alike of ${agents.length} with an agent: ${names}.`;
}

/** How many letters have to be changed, put in or left out (Levenshtein). */
function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (const [i, letter] of Array.from(a).entries()) {
    const next = [i + 1];
    for (const [j, other] of Array.from(b).entries()) {
      next.push(Math.min((next[j] ?? 0) + 1, (row[j + 1] ?? 0) + 1, (row[j] ?? 0) + (letter === other ? 0 : 1)));
    }
    row = next;
  }
  return row[b.length] ?? 0;
}

/** `Ready` is the controller's; what the agent has said beside it stays, for that is what it goes on from. */
function conditionsOf(container: KeptContainer, { reason, message }: Words, now: Date): Condition[] {
  const before = container.status?.conditions ?? [];
  const isTaken = wasTaken(container);
  const own: Pick<Condition, "type" | "status">[] = [{ type: "Ready", status: isTaken ? "Unknown" : "False" }];
  // Nothing goes on until somebody does something.
  if (!isTaken && reason === "NoAgent") own.push({ type: "Stalled", status: "True" });
  const written = own.map(({ type, status }) => {
    const earlier = before.find((condition) => condition.type === type);
    const lastTransitionTime = earlier?.status === status ? earlier.lastTransitionTime : now.toISOString();
    const observedGeneration = container.metadata.generation;
    return { type, status, observedGeneration, lastTransitionTime, reason, message };
  });
  return [...written, ...(isTaken ? before.filter(({ type }) => type !== "Ready") : [])];
}
