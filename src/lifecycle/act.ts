/** Carries out one step that `decide` named. */
import { type Container, type ContainerSpec, imagePullPolicy } from "../api/index.ts";
import type { PulledImage } from "../containerd/index.ts";
import { requestsOf, StartError } from "../oci/index.ts";
import { checkRestorable, findCheckpoint, restoringFrom, type Restore } from "./checkpoint/restore.ts";
import type { Desired, Instance, Step } from "./decide.ts";
import { adopt, recordEnd, recordLoss } from "./end.ts";
import { resolveEnvironment } from "./environment.ts";
import { at } from "./failure.ts";
import { ensureImage } from "./image.ts";
import type { Parts } from "./parts.ts";
import { peersOf } from "./peers.ts";
import { type Applied, containerID, type Record, type Waiting } from "./record.ts";
import { removeLogs, removeRecorded } from "./remove.ts";
import { type Start, start } from "./start.ts";
import { kill, pause, rest, resume, stop } from "./stop.ts";
import { discardTask } from "./task.ts";
import { update } from "./update.ts";
import { refreshFiles, resolveFiles } from "./volume-files.ts";
import { NoLongerWanted } from "./wanted.ts";

/** A step with what it is for. */
export interface Action {
  readonly key: string;
  readonly object: Container | undefined;
  readonly desired: Desired;
  readonly step: Exclude<Step, { verb: "none" | "wait" }>;
  /** Whether a container made so is still to be started. */
  readonly wanted: (applied: Applied) => boolean;
  /** Is told what was found right after the step, which need not be asked for again. */
  readonly found: (instance: Instance) => void;
}

type Present = Desired & { kind: "present" };

/**
 * Carries out a step. Answers what has to be waited for when it could not go on.
 * @throws StartError when it was a start and failed
 * @throws NoLongerWanted when it was a start and was called off
 * @throws Obstacle when something could not be given back
 */
export async function act(parts: Parts, action: Action): Promise<Waiting | undefined> {
  const { key, object, desired, step } = action;
  switch (step.verb) {
    case "create":
      return object === undefined || desired.kind !== "present" ? undefined : create(parts, action, object, desired);
    case "startAgain":
      return desired.kind === "present" ? startAgain(parts, action, step, desired) : undefined;
    case "update":
      if (object === undefined || desired.kind !== "present") return undefined;
      return updateInRoom(parts, action, step.instance, object, desired.spec);
    case "rest":
      await rest(parts, step.instance, desired.kind === "present" && desired.spec.desiredState === "Stopped");
      return undefined;
    case "discardTask":
      await discardTask(parts, step.instance.record);
      return undefined;
    case "stop":
      await stop(parts, step.instance, desired.kind === "present" ? step : { reason: "removal" });
      return undefined;
    case "pause":
      // A check that is frozen with the container could neither end nor be ended.
      await parts.health.stop(key);
      await pause(parts, step.instance);
      return undefined;
    case "remove":
      parts.pulls.forget(key);
      await removeInstance(parts, step.instance.record, object);
      return undefined;
    default:
      await PLAIN[step.verb](parts, step.instance);
      return undefined;
  }
}

/** With a container of an earlier object of the same name goes its output, too: it is not the new one's. */
async function removeInstance(parts: Parts, record: Record, object: Container | undefined): Promise<void> {
  if (object !== undefined && object.metadata.uid !== record.applied.uid) await removeLogs(parts, record.applied);
  await removeRecorded(parts, record);
}

/** Verbs that need no more than the instance. */
const PLAIN = { recordEnd, recordLoss, adopt, kill, resume };

async function create(
  parts: Parts,
  { key, wanted, found }: Action,
  object: Container,
  desired: Present,
): Promise<Waiting | undefined> {
  const begun = performance.now();
  const { name, namespace, uid, generation } = object.metadata;
  const { spec } = desired;
  const id = containerID(object);
  const { restoreFrom } = spec;
  const isUsed = restoreFrom === undefined || restoreFrom === desired.restoredFrom;
  const restore = isUsed ? undefined : await findCheckpoint(parts, namespace, restoreFrom);
  if (restore !== undefined && "reason" in restore) return restore;
  const environment = await resolveEnvironment(parts, key, object, spec);
  if ("reason" in environment) return environment;
  const volumes = await resolveFiles(parts, key, object.metadata, spec);
  if ("reason" in volumes) return volumes;
  const peers = await peersOf(parts, key, { namespace, name, spec });
  if ("reason" in peers) return peers;
  const image = await ensureImage(parts, { key, token: id, object: object.metadata, spec });
  if ("reason" in image) return image;
  const applied: Applied = { namespace, name, uid, generation, spec, image: appliedImage(image) };
  if (restore !== undefined) await checkRestorable(parts, restore, applied);
  const lack = await takePlace(parts, key, spec, object);
  if (lack !== undefined) return lack;
  parts.observer.phase("guards", (performance.now() - begun) / 1000);
  const started = await startWanted(parts, {
    id,
    applied,
    source: { image: image.config, env: environment.env, secretEnv: environment.secrets },
    files: volumes.files,
    peers,
    counts: false,
    asked: true,
    wanted: () => wanted(applied),
    ...restartedAt(desired),
    ...(restore === undefined ? {} : { restore }),
    ...(restoreFrom === undefined ? {} : { restoredFrom: restoreFrom }),
  });
  if (started !== undefined) found(started);
  announceStart(parts, applied, `Started container ${id}`, restore);
  return undefined;
}

async function startAgain(
  parts: Parts,
  { key, object, wanted, found }: Action,
  step: Step & { verb: "startAgain" },
  desired: Present,
): Promise<Waiting | undefined> {
  const begun = performance.now();
  const { record } = step.instance;
  const { applied } = record;
  const peers = await peersOf(parts, key, applied);
  if ("reason" in peers) return peers;
  if (step.refreshImage && imagePullPolicy(applied.spec) === "Always") {
    const image = await ensureImage(parts, { key, token: record.id, object: applied, spec: applied.spec });
    if ("reason" in image) return image;
    if (image.digest !== applied.image.digest) {
      // The tag has moved on: a container of the new image takes the place of this one.
      await removeRecorded(parts, record);
      return undefined;
    }
  }
  const { restoredFrom } = record.state;
  const from = restoringFrom(record.state);
  const restore = from === undefined ? undefined : await findCheckpoint(parts, applied.namespace, from);
  if (restore !== undefined && "reason" in restore) return restore;
  const volumes = await refreshFiles(parts, key, record);
  if ("reason" in volumes) return volumes;
  const lack = await takePlace(parts, key, applied.spec, object, record);
  if (lack !== undefined) return lack;
  parts.observer.phase("guards", (performance.now() - begun) / 1000);
  const started = await startWanted(parts, {
    id: record.id,
    applied,
    record,
    files: volumes.files,
    peers,
    counts: step.counts,
    asked: step.asked,
    wanted: () => wanted(applied),
    ...restartedAt(desired),
    ...(restore === undefined ? {} : { restore }),
    ...(restoredFrom === undefined ? {} : { restoredFrom }),
  });
  if (started !== undefined) found(started);
  if (step.counts) parts.observer.restarted(step.asked ? "request" : "policy");
  announceStart(parts, applied, `Started container ${record.id} again`, restore);
  return undefined;
}

/**
 * The last of a start's guards: who waits for something else holds no room. Answers what is lacking.
 * @throws StartError when the spec asks for what can't be
 */
async function takePlace(
  parts: Parts,
  key: string,
  spec: ContainerSpec,
  object: Container | undefined,
  record?: Record,
): Promise<Waiting | undefined> {
  const requests = await at("spec", () => requestsOf(spec));
  const lack = parts.room.take({ key, requests, since: ageOf(object, record) });
  // The cgroup root may have been removed meanwhile.
  if (lack === undefined) await parts.limits.keep();
  return lack;
}

/** Since when there is the Container, or as much of it as is known without the API server. */
function ageOf(object: Container | undefined, record?: Record): Date {
  const created = object?.metadata.creationTimestamp;
  return created === undefined ? (record?.createdAt ?? new Date(0)) : new Date(created);
}

/** A container that holds a place must have room for what it asks for more. */
async function updateInRoom(
  parts: Parts,
  { key }: Action,
  instance: Instance,
  object: Container,
  spec: ContainerSpec,
): Promise<Waiting | undefined> {
  const holds = parts.room.has(key) && (instance.task !== undefined || spec.desiredState !== "Stopped");
  const lack = holds ? await takePlace(parts, key, spec, object, instance.record) : undefined;
  if (lack === undefined) await update(parts, instance, object, spec);
  return lack;
}

function announceStart(parts: Parts, applied: Applied, message: string, restore: Restore | undefined): void {
  if (restore === undefined) parts.announce(applied, "Normal", "Started", message);
  else parts.announce(applied, "Normal", "Restored", `${message} from ContainerCheckpoint "${restore.name}"`);
}

/** A start that fails after it was called off has not failed: nobody waits for it. */
async function startWanted(parts: Parts, wish: Start): Promise<Instance | undefined> {
  try {
    return await start(parts, wish);
  } catch (error) {
    throw error instanceof StartError && !wish.wanted() ? new NoLongerWanted(wish.id) : error;
  }
}

function restartedAt(desired: Present): { restartedAt?: string } {
  return desired.restartedAt === undefined ? {} : { restartedAt: desired.restartedAt };
}

function appliedImage({ name, digest, chainID, config }: PulledImage): Applied["image"] {
  const volumes = Object.keys(config.Volumes ?? {});
  const exposedPorts = Object.keys(config.ExposedPorts ?? {});
  return {
    name,
    digest,
    chainID,
    ...(config.StopSignal === undefined ? {} : { stopSignal: config.StopSignal }),
    ...(volumes.length === 0 ? {} : { volumes }),
    ...(exposedPorts.length === 0 ? {} : { exposedPorts }),
    ...(config.Healthcheck === undefined ? {} : { healthcheck: config.Healthcheck }),
    ...(config.Shell === undefined ? {} : { shell: config.Shell }),
  };
}
