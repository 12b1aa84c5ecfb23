/**
 * Makes one key so: observe, decide, act, until nothing is left to do but wait; then one status patch if it differs.
 * Level-triggered: it may be called at any time, for any reason, any number of times.
 */
import { isDeepStrictEqual } from "node:util";
import { type Container, RESTARTED_AT, withDefaults } from "../api/index.ts";
import { isUnavailable } from "../containerd/index.ts";
import { parseKey } from "../kube/index.ts";
import type { Attachment } from "../network/index.ts";
import { StartError } from "../oci/index.ts";
import { act } from "./act.ts";
import { autoRemove, isOver } from "./auto-remove.ts";
import { usedCheckpoint } from "./checkpoint/restore.ts";
import { ABSENT, decide, type Desired, type Instance, type Observed, recordedWish } from "./decide.ts";
import { verdictAfter } from "./failure.ts";
import { dropFinalizer, withFinalizer } from "./finalizer.ts";
import { explainLimits, pressureOf } from "./limits.ts";
import { followLog } from "./log.ts";
import { neighbourOf } from "./neighbour.ts";
import { observe } from "./observe.ts";
import { observedStep } from "./observer.ts";
import { Obstacle } from "./obstacle.ts";
import type { Parts } from "./parts.ts";
import { neededKeys } from "./peers.ts";
import type { Applied, Verdict, Waiting } from "./record.ts";
import { refusalOf } from "./refusal.ts";
import { hasRemains, removeLogs, removeRemains } from "./remove.ts";
import { INSUFFICIENT } from "./room.ts";
import { REMOVAL_FAILED, statusOf } from "./status.ts";
import { isDone } from "./told.ts";
import type { StatusWriter } from "./status-writer.ts";
import { isWanted, NoLongerWanted } from "./wanted.ts";

/** Steps in a row after which something must be wrong with `decide`: a recreation takes six. */
const MAX_STEPS = 20;

/** Milliseconds after which SIGKILL is sent once more to a task that is still there. */
const KILL_AGAIN_MS = 5000;

/** Milliseconds until what the undo of a start that failed for good has left is tried again to be removed. */
const CLEAR_AGAIN_MS = 1000;

const REMOVED = "Removed the container and all that was its own";

/** The objects of this node, as far as they are known. */
export interface ContainerCache {
  readonly synced: boolean;
  get(key: string): Container | undefined;
  /** Runs a write, whose answer goes into the cache and is not reported as a change. */
  write(key: string, request: () => Promise<Container>): Promise<Container>;
}

/** Where a key is put to be looked at again. */
export interface Requeue {
  addAt(key: string, time: Date): void;
}

/** Everything a reconcile works with. */
export interface Reconcile {
  readonly parts: Parts;
  readonly cache: ContainerCache;
  readonly queue: Requeue;
  readonly statuses: StatusWriter;
}

/**
 * Reconciles one key.
 * @throws what made it stop half-way; the caller tries again, with backoff
 */
export async function reconcile(r: Reconcile, key: string): Promise<void> {
  const object = r.cache.get(key);
  if (object === undefined) return withoutObject(r, key);
  const over = await withFinalizer(r.parts.api, r.cache, object, withObject(r, key, object));
  if (over) await autoRemove(r, key, object);
}

/** No object: one that is gone, or, before the API server was first seen, one whose record tells what is wished. */
async function withoutObject(r: Reconcile, key: string): Promise<void> {
  // It may come while the walk is under way, with the first list: what is wished is then its own to say, in the turn that
  // its coming has asked for.
  const hasCome = (): boolean => r.cache.get(key) !== undefined;
  const wish = (seen: Observed): Desired | undefined => {
    if (hasCome()) return undefined;
    return r.cache.synced ? ABSENT : recordedWish(seen);
  };
  const end = await walk(r, key, undefined, wish);
  if (end === undefined) return;
  settleRoom(r.parts, key, end);
  await noteWaiting(r.parts, key, end);
  followLog(r.parts, key, end.observed.current, end.desired);
  r.parts.health.follow(key, end.observed.current, end.desired);
  await tellNeighbours(r.parts, key, end.observed);
  if (end.obstacle !== undefined) throw end.obstacle;
  if (hasCome() || !r.cache.synced) return;
  if (end.observed.current !== undefined || end.observed.leftovers.length > 0) return;
  await forget(r, key);
}

/** Answers whether all that the object asks for is over, and its end told: one with `autoRemove` goes then. */
async function withObject(r: Reconcile, key: string, object: Container): Promise<boolean> {
  const { parts } = r;
  const invalid = refusalOf(object, parts.nodeName);
  let refusal = invalid;
  let end: Walk | undefined;
  try {
    // A record that is removed for another one has used it, also when the status does not tell yet.
    let restoredFrom = r.statuses.restoredFrom(object);
    end = await walk(r, key, object, async ({ current }, verdict) => {
      refusal = invalid ?? (await parts.podSecurity.refusal(key, object, current?.record.applied.spec));
      restoredFrom = (current && usedCheckpoint(current.record.state)) ?? restoredFrom;
      return wishOf(object, refusal !== undefined, verdict ?? r.statuses.verdict(object), restoredFrom);
    });
  } catch (error) {
    if (isUnavailable(error)) await r.statuses.runtimeUnavailable(object, error, parts.clock());
    throw error;
  }
  if (end === undefined) return false;
  const { observed, desired, waiting, obstacle } = end;
  if (waiting === undefined) stopWaiting(parts, key);
  settleRoom(parts, key, end);
  await noteWaiting(parts, key, end);
  const { current } = observed;
  const isGone = current === undefined && observed.leftovers.length === 0 && obstacle === undefined;
  if (desired.kind === "deleting" && isGone) {
    await forget(r, key);
    // The cache may still hold an object that is gone: it is told of once.
    const isDone = await dropFinalizer(parts.api, r.cache, object);
    if (isDone) parts.announce(object.metadata, "Normal", "Removed", REMOVED);
    return false;
  }
  parts.neighbours.need(key, desired.kind === "present" ? neededKeys(object.metadata.namespace, desired.spec) : []);
  const network = await tellNeighbours(parts, key, observed);
  followLog(parts, key, current, desired);
  parts.health.follow(key, current, desired);
  const verdict = desired.kind === "present" ? desired.verdict : undefined;
  const pressure = pressureOf(parts, object, current);
  await r.statuses.write(object, (base) =>
    statusOf({
      object: base,
      desired,
      observed,
      nodeName: parts.nodeName,
      now: parts.clock(),
      ...(network === undefined ? {} : { network }),
      ...(waiting === undefined ? {} : { waiting }),
      ...(verdict === undefined ? {} : { verdict }),
      ...(refusal === undefined ? {} : { refusal }),
      ...(obstacle === undefined ? {} : { obstacle }),
      ...(pressure === undefined ? {} : { pressure }),
    }),
  );
  await parts.fileUpdates.keep(key, current, desired);
  if (obstacle === undefined) return isOver(desired, observed);
  parts.announce(object.metadata, "Warning", "Failed", `${REMOVAL_FAILED}: ${obstacle.message}`);
  // It is tried again, with the queue's backoff.
  throw obstacle;
}

function wishOf(
  object: Container,
  refused: boolean,
  verdict: Verdict | undefined,
  restoredFrom: string | undefined,
): Desired {
  if (object.metadata.deletionTimestamp !== undefined) return { kind: "deleting" };
  const restartedAt = object.metadata.annotations?.[RESTARTED_AT];
  return {
    kind: "present",
    generation: object.metadata.generation,
    spec: withDefaults(object.spec),
    refused,
    done: isDone(object),
    ...(restartedAt === undefined ? {} : { restartedAt }),
    ...(verdict === undefined ? {} : { verdict }),
    ...(restoredFrom === undefined || restoredFrom !== object.spec.restoreFrom ? {} : { restoredFrom }),
  };
}

/** Where a walk ended: nothing is left to do but wait. */
interface Walk {
  readonly observed: Observed;
  readonly desired: Desired;
  readonly waiting?: Waiting;
  /** Something could not be given back, which is in the way of all else. */
  readonly obstacle?: Obstacle;
}

/** Observes, decides and acts until the next step is to wait; undefined when `wish` has nothing to say any more. */
async function walk(
  r: Reconcile,
  key: string,
  object: Container | undefined,
  wish: (observed: Observed, verdict: Verdict | undefined) => Desired | undefined | Promise<Desired | undefined>,
): Promise<Walk | undefined> {
  const { parts } = r;
  const remains = await remainsOf(parts, key, object?.metadata.uid);
  let verdict: Verdict | undefined;
  let deferred: Waiting | undefined;
  let found: Instance | undefined;
  for (let steps = 0; steps < MAX_STEPS; steps++) {
    // A container is started when there is no other one of its key.
    const observed = found ? { current: found, leftovers: [] } : await observe(parts, key, object?.metadata.uid);
    found = undefined;
    const wished = await wish(observed, verdict);
    if (wished === undefined) return undefined;
    const desired: Desired =
      deferred !== undefined && wished.kind === "present" ? { ...wished, deferred: true } : wished;
    const end: Walk = { observed, desired, ...(deferred === undefined ? {} : { waiting: deferred }) };
    if (remains !== undefined) return { observed, desired, obstacle: remains };
    const step = decide(desired, observed, { date: parts.clock(), uptimeMs: parts.uptime() });
    if (step.verb === "none") return end;
    if (step.verb === "wait") {
      r.queue.addAt(key, new Date(step.until));
      return end;
    }
    parts.logger.debug({ key, verb: step.verb }, "next step");
    try {
      const wanted = (applied: Applied): boolean => stillWanted(r, key, applied);
      const action = { key, object, desired, step, wanted, found: (instance: Instance) => (found = instance) };
      const waiting = await observedStep(parts, step.verb, () => act(parts, action));
      if (waiting !== undefined && step.verb !== "update") return { observed, desired, waiting };
      deferred = waiting ?? deferred;
      if (step.verb === "kill") {
        // The end comes as an event; this is for one that gets lost.
        r.queue.addAt(key, new Date(parts.clock().getTime() + KILL_AGAIN_MS));
        return end;
      }
    } catch (error) {
      if (error instanceof Obstacle) return { observed, desired, obstacle: error };
      if (error instanceof NoLongerWanted) {
        await callOff(r, key, observed);
        return undefined;
      }
      if (!(error instanceof StartError) || desired.kind !== "present") throw error;
      verdict = await judge(parts, object, error, { desired, observed });
      if (verdict === undefined || !hasRemains(parts, key, object?.metadata.uid)) continue;
      // Told first; what the undo has left is cleared with the next turn, before anything else is tried.
      const judged = await wish(observed, verdict);
      r.queue.addAt(key, new Date(verdict.nextRetryAt ?? parts.clock().getTime() + CLEAR_AGAIN_MS));
      return judged === undefined ? undefined : { observed, desired: judged };
    }
  }
  throw new Error(`${key}: no end to it after ${MAX_STEPS} steps`);
}

/** What starts that could not be undone have left of a key, and can't be removed now either. */
async function remainsOf(parts: Parts, key: string, uid: string | undefined): Promise<Obstacle | undefined> {
  try {
    await removeRemains(parts, key, uid);
    return undefined;
  } catch (error) {
    if (error instanceof Obstacle) return error;
    throw error;
  }
}

/** Whether a start under way is still wished, by what is known now; before the API server was seen, its record says so. */
function stillWanted({ cache, parts }: Reconcile, key: string, applied: Applied): boolean {
  const now = cache.get(key);
  return now === undefined && !cache.synced ? true : isWanted(now, applied, parts.nodeName);
}

/** Ends a turn whose start was called off: nothing of it counts, and what is wished now is for the next turn. */
async function callOff({ parts, queue }: Reconcile, key: string, { current }: Observed): Promise<void> {
  parts.logger.info({ key }, "start called off");
  if (current !== undefined) await parts.records.saveState(current.record.id, current.record.state);
  queue.addAt(key, parts.clock());
}

/** Keeps the verdict on a failed start: in the record when there is one, else for the status alone. */
async function judge(
  parts: Parts,
  object: Container | undefined,
  thrown: StartError,
  at: { desired: Desired & { kind: "present" }; observed: Observed },
): Promise<Verdict | undefined> {
  const { current } = at.observed;
  const earlier = current === undefined ? at.desired.verdict : current.record.state.verdict;
  const { error, again } = await explainLimits(parts, thrown);
  const verdict = verdictAfter(error, at.desired, earlier, parts.clock(), again);
  const { failure } = verdict;
  const { name, namespace, uid } = object?.metadata ?? current?.record.applied ?? {};
  const { nextRetryAt } = verdict;
  const { reason, message, exitCode } = failure;
  parts.observer.startFailed(reason);
  parts.logger.warn({ namespace, name, reason, exitCode, nextRetryAt, why: message }, "start failed");
  parts.logger.debug({ namespace, name, err: error }, "why the start failed");
  if (name !== undefined && namespace !== undefined && uid !== undefined) {
    parts.announce({ name, namespace, uid }, "Warning", "Failed", `${failure.reason}: ${failure.message}`);
  }
  if (current === undefined) return verdict;
  await parts.records.saveState(current.record.id, { ...current.record.state, verdict });
  return undefined;
}

/** Lets the others know what a key stands for now. Answers the network that its container holds. */
async function tellNeighbours(parts: Parts, key: string, { current }: Observed): Promise<Attachment | undefined> {
  const network =
    current?.record.state.holdsNetwork === true ? await parts.network.status(current.record.id) : undefined;
  await parts.neighbours.note(key, current === undefined ? undefined : neighbourOf(current, network));
  return network;
}

/** Gives up what a key waited for and needs no more: a pull, an object that was to appear. */
function stopWaiting(parts: Parts, key: string): void {
  parts.pulls.forget(key);
  parts.references.forget(key);
}

/** Gives back the place of a key that has ended for good, or was not started after all. */
function settleRoom(parts: Parts, key: string, { observed: { current, leftovers }, waiting }: Walk): void {
  const instances = current === undefined ? leftovers : [current, ...leftovers];
  parts.room.settle(key, instances, waiting?.reason === INSUFFICIENT);
}

/** Keeps in the record what a start again waits for: the node's own commands tell of it when the API server can't. */
async function noteWaiting(parts: Parts, key: string, { observed: { current }, waiting }: Walk): Promise<void> {
  if (current === undefined || isDeepStrictEqual(current.record.state.waiting, waiting)) return;
  if (waiting !== undefined) parts.logger.info({ key, reason: waiting.reason, why: waiting.message }, "start waits");
  const { waiting: _, ...state } = current.record.state;
  await parts.records.saveState(current.record.id, waiting === undefined ? state : { ...state, waiting });
}

async function forget({ parts, statuses }: Reconcile, key: string): Promise<void> {
  stopWaiting(parts, key);
  parts.fileUpdates.forget(key);
  parts.podSecurity.forget(key);
  parts.room.forget(key);
  statuses.forget(key);
  await parts.neighbours.forget(key);
  await parts.health.stop(key);
  await removeLogs(parts, parseKey(key));
}
