/**
 * Follows the cluster's ContainerCheckpoints and makes those of this node's Containers so. A checkpoint belongs to the
 * node whose Container it names; from its taking on, `status.nodeName` binds it there.
 *
 * It is taken under the Container's key, so that nothing else is done to the container meanwhile; all else that concerns
 * it is done under a key of its own.
 */
import type { Logger } from "pino";
import type { CheckpointReason, CheckpointStatus, Container, ContainerCheckpoint } from "../../api/index.ts";
import {
  checkpointPath,
  containerPath,
  isConflict,
  isNotFound,
  keyOf,
  type KubeApi,
  ListWatch,
  patchFor,
  WorkQueue,
  type WorkScope,
} from "../../kube/index.ts";
import type { Instance } from "../decide.ts";
import { dropFinalizer, ensureFinalizer } from "../finalizer.ts";
import { observe } from "../observe.ts";
import type { Parts } from "../parts.ts";
import type { Taken } from "./data.ts";
import { CheckpointError, isThrough, take } from "./take.ts";

/** What is done under a checkpoint's own key is a request or two. */
const CONCURRENCY = 8;
const BACKOFF = { baseMs: 200, maxMs: 30_000 };
/** Milliseconds over which the agents of a cluster spread their looking for a Container that none of them has. */
const SPREAD_MS = 500;
const MAX_TEXT = 4096;

/** What the controller is given. */
export interface CheckpointControllerOptions {
  readonly api: KubeApi;
  readonly nodeName: string;
  /** This node's Containers. */
  readonly containers: { readonly synced: boolean; get(key: string): Container | undefined; list(): Container[] };
  /** Has a Container's key looked at again. */
  readonly requeue: (key: string) => void;
  /** Called before each list of checkpoints; what it throws counts as the list's failure. */
  readonly before: (signal: AbortSignal) => Promise<void>;
  /** Whether the node is this agent's. */
  readonly mayWork: () => boolean;
  readonly scope: WorkScope;
  readonly logger: Logger;
}

/** The checkpoints, from the side of one node. */
export class CheckpointController {
  /** The ContainerCheckpoints of the cluster. */
  readonly objects: ListWatch<ContainerCheckpoint>;
  readonly #options: CheckpointControllerOptions;
  readonly #queue: WorkQueue;
  /** Keys of checkpoints by the key of the Container that they are of. */
  readonly #keys = new Map<string, Set<string>>();
  /** Uids of checkpoints that are being taken: their data is not to be removed under it. */
  readonly #underWay = new Set<string>();
  /** When to look for the Container that a checkpoint waits for, by the checkpoint's uid. */
  readonly #lookAt = new Map<string, number>();
  #parts: Parts | undefined;

  constructor(options: CheckpointControllerOptions) {
    const { api, scope, logger } = options;
    this.#options = options;
    this.#queue = new WorkQueue({
      concurrency: CONCURRENCY,
      handler: (key) => this.#reconcile(key),
      backoff: BACKOFF,
      scope,
      logger,
    });
    this.objects = new ListWatch<ContainerCheckpoint>({
      api,
      path: checkpointPath(),
      before: options.before,
      onChange: (key, object) => {
        if (object !== undefined) this.#note(key, object);
        this.#queue.add(key);
        this.#wakeRestores((name) => name === key);
      },
      onSync: () => {
        this.#wakeRestores(() => true);
        void this.#sweep().catch((error: unknown) => {
          logger.error({ err: error }, "the data of checkpoints that are gone can't be removed now");
        });
      },
      logger,
    });
  }

  /** How many checkpoints wait to be worked on. */
  get depth(): number {
    return this.#queue.depth;
  }

  /** Begins to follow the checkpoints. */
  start(parts: Parts): void {
    this.#parts = parts;
    this.objects.start();
  }

  /** Ends that, and waits for what is under way at most `boundMs`. */
  async stop(boundMs: number): Promise<void> {
    await Promise.all([this.objects.stop(), this.#queue.close(boundMs)]);
  }

  /** To be told that a Container has come, changed or gone. */
  onContainer(key: string): void {
    for (const checkpoint of this.#pendingOf(key)) this.#queue.add(keyOf(checkpoint));
  }

  /** Looks at all of them: this node's Containers are known now, or the node is this agent's. */
  lookAtAll(): void {
    for (const checkpoint of this.objects.list()) this.#queue.add(keyOf(checkpoint));
  }

  /**
   * Takes the checkpoints of a Container that are due. The caller has made the Container so, and holds its key's place in
   * the queue.
   * @throws what made it stop half-way; the caller tries again, with backoff
   */
  async settle(key: string): Promise<void> {
    for (const checkpoint of this.#pendingOf(key)) {
      const container = this.#options.containers.get(key);
      if (container === undefined || container.metadata.deletionTimestamp !== undefined) return;
      const { current } = await observe(this.#started(), key, container.metadata.uid);
      await this.#settleOne(checkpoint, current);
    }
  }

  async #settleOne(checkpoint: ContainerCheckpoint, current: Instance | undefined): Promise<void> {
    const parts = this.#started();
    const { nodeName } = this.#options;
    const { uid } = checkpoint.metadata;
    const isBound = checkpoint.status?.nodeName === nodeName;
    // An earlier attempt was cut short: all of it is there, or it is made anew.
    const taken = isBound ? await parts.checkpointData.read(uid) : undefined;
    if (taken !== undefined && isThrough(taken, checkpoint, current)) return this.#completed(checkpoint, taken);
    if (current === undefined || !isAlive(current)) {
      if (isBound) await parts.checkpointData.remove(uid);
      return this.#await(checkpoint, "is not running: the checkpoint is taken as soon as it runs");
    }
    this.#underWay.add(uid);
    try {
      await this.#takeNow(checkpoint, current);
    } finally {
      this.#underWay.delete(uid);
      // Its deletion had to wait.
      const now = this.objects.get(keyOf(checkpoint));
      if (now?.metadata.uid !== uid || now.metadata.deletionTimestamp !== undefined) this.#queue.add(keyOf(checkpoint));
    }
  }

  async #takeNow(checkpoint: ContainerCheckpoint, instance: Instance): Promise<void> {
    const parts = this.#started();
    const { nodeName, requeue, logger } = this.#options;
    const { namespace, name, uid } = checkpoint.metadata;
    const { applied, id } = instance.record;
    const message = `Container ${id} is held while its memory and files are written`;
    await this.#write(checkpoint, { state: "Pending", reason: "Checkpointing", message, nodeName });
    await this.#ensureFinalizer(checkpoint);
    const bound = this.objects.get(keyOf(checkpoint));
    if (bound?.metadata.uid !== uid || bound.metadata.deletionTimestamp !== undefined) return;
    // A check would find it held, or be held with it; the next look at the container begins anew with them.
    await parts.health.stop(keyOf({ metadata: applied }));
    try {
      const taken = await take(parts, bound, instance);
      parts.announce(applied, "Normal", "Checkpointed", `Took ContainerCheckpoint "${name}" (${sizeOf(taken.size)})`);
      await this.#completed(bound, taken);
    } catch (error) {
      if (!(error instanceof CheckpointError)) throw error;
      logger.warn({ namespace, name, err: error }, "checkpoint failed");
      parts.announce(applied, "Warning", "Failed", `ContainerCheckpoint "${name}": ${error.message}`);
      await this.#failed(bound, error.reason, error.message);
    } finally {
      // Held, or to be ended: what happened to it meanwhile is to be seen.
      requeue(keyOf({ metadata: applied }));
    }
  }

  async #reconcile(key: string): Promise<void> {
    const { containers, nodeName, requeue, mayWork } = this.#options;
    if (!mayWork()) return;
    const object = this.objects.get(key);
    if (object === undefined) return this.#sweep();
    const { metadata, status } = object;
    const isBound = status?.nodeName === nodeName;
    if (metadata.deletionTimestamp !== undefined) return isBound ? this.#remove(object) : undefined;
    if (!isPending(object)) return isBound ? this.#ensureFinalizer(object) : undefined;
    if (!containers.synced || (status?.nodeName !== undefined && !isBound)) return;
    const containerKey = containerKeyOf(object);
    if (containers.get(containerKey) !== undefined) requeue(containerKey);
    else if (isBound) await this.#containerGone(object);
    else await this.#lookForContainer(key, object);
  }

  async #remove(object: ContainerCheckpoint): Promise<void> {
    const parts = this.#started();
    const { namespace, name, uid } = object.metadata;
    if (this.#underWay.has(uid)) return;
    await parts.checkpointData.remove(uid);
    await dropFinalizer(parts.api, this.objects, object, checkpointPath(namespace, name));
  }

  /** The Container went before its checkpoint was seen to be complete. */
  async #containerGone(object: ContainerCheckpoint): Promise<void> {
    const { checkpointData } = this.#started();
    const { uid } = object.metadata;
    if (this.#underWay.has(uid)) return;
    const taken = await checkpointData.read(uid);
    if (taken !== undefined) return this.#completed(object, taken);
    await checkpointData.remove(uid);
    await this.#failed(
      object,
      "ContainerGone",
      `Container "${object.spec.containerName}" went away while it was taken`,
    );
  }

  /** No Container of this node: of another one, whose agent sees to it, or of none, which somebody has to say. */
  async #lookForContainer(key: string, object: ContainerCheckpoint): Promise<void> {
    const { uid, namespace } = object.metadata;
    const { containerName } = object.spec;
    const due = this.#lookAt.get(uid);
    const now = performance.now();
    if (due === undefined || due > now) {
      const at = due ?? now + Math.random() * SPREAD_MS;
      this.#lookAt.set(uid, at);
      this.#queue.addAt(key, Date.now() + at - now);
      return;
    }
    this.#lookAt.delete(uid);
    const why = `does not exist in namespace "${namespace}": the checkpoint is taken as soon as it runs`;
    if (object.status?.message === waitingMessage(object, why)) return;
    try {
      await this.#options.api.get<Container>(containerPath(namespace, containerName));
    } catch (error) {
      if (!isNotFound(error)) throw error;
      await this.#await(object, why);
    }
  }

  async #await(object: ContainerCheckpoint, why: string): Promise<void> {
    const { nodeName } = object.status ?? {};
    await this.#write(object, {
      state: "Pending",
      reason: "WaitingForContainer",
      message: waitingMessage(object, why),
      ...(nodeName === undefined ? {} : { nodeName }),
    });
  }

  async #completed(object: ContainerCheckpoint, { createdAt, size, containerID }: Taken): Promise<void> {
    const message = `Taken of container ${containerID}`;
    const { nodeName } = this.#options;
    await this.#write(object, {
      state: "Completed",
      reason: "Checkpointed",
      message,
      nodeName,
      size: sizeOf(size),
      createdAt,
    });
    this.#wakeRestores((name) => name === keyOf(object));
  }

  async #failed(object: ContainerCheckpoint, reason: CheckpointReason, message: string): Promise<void> {
    const { nodeName } = this.#options;
    await this.#write(object, { state: "Failed", reason, message: message.slice(0, MAX_TEXT), nodeName });
    this.#wakeRestores((name) => name === keyOf(object));
  }

  async #write(object: ContainerCheckpoint, status: CheckpointStatus): Promise<void> {
    const { namespace, name, uid } = object.metadata;
    const patch = patchFor(object.status ?? {}, status);
    if (patch === undefined) return;
    const path = checkpointPath(namespace, name, "status");
    const body = { metadata: { uid }, status: patch };
    try {
      await this.objects.write(keyOf(object), () => this.#options.api.mergePatch<ContainerCheckpoint>(path, body));
    } catch (error) {
      if (!isNotFound(error) && !isConflict(error)) throw error;
    }
  }

  async #ensureFinalizer(object: ContainerCheckpoint): Promise<void> {
    const { namespace, name } = object.metadata;
    const now = this.objects.get(keyOf(object)) ?? object;
    await ensureFinalizer(this.#options.api, this.objects, now, checkpointPath(namespace, name));
  }

  /** Removes the data of checkpoints that are gone without having waited for that. */
  async #sweep(): Promise<void> {
    if (!this.objects.synced) return;
    const { checkpointData } = this.#started();
    const known = new Set(this.objects.list().map(({ metadata }) => metadata.uid));
    for (const uid of this.#lookAt.keys()) if (!known.has(uid)) this.#lookAt.delete(uid);
    for (const uid of await checkpointData.uids()) {
      if (!known.has(uid) && !this.#underWay.has(uid)) await checkpointData.remove(uid);
    }
  }

  #note(key: string, object: ContainerCheckpoint): void {
    const containerKey = containerKeyOf(object);
    const keys = this.#keys.get(containerKey) ?? new Set();
    this.#keys.set(containerKey, keys.add(key));
  }

  /** The checkpoints of a Container that are still to be taken, by this node as far as is known. */
  #pendingOf(containerKey: string): ContainerCheckpoint[] {
    const keys = this.#keys.get(containerKey);
    if (keys === undefined) return [];
    const { nodeName } = this.#options;
    const found: ContainerCheckpoint[] = [];
    for (const key of keys) {
      const object = this.objects.get(key);
      if (object === undefined || !isPending(object)) keys.delete(key);
      else if ((object.status?.nodeName ?? nodeName) === nodeName && object.metadata.deletionTimestamp === undefined) {
        found.push(object);
      }
    }
    if (keys.size === 0) this.#keys.delete(containerKey);
    return found;
  }

  /** Has those Containers looked at that may wait for a checkpoint. */
  #wakeRestores(isMeant: (checkpointKey: string) => boolean): void {
    for (const { metadata, spec, status } of this.#options.containers.list()) {
      const { restoreFrom } = spec;
      if (restoreFrom === undefined || restoreFrom === status?.restoredFrom) continue;
      if (isMeant(`${metadata.namespace}/${restoreFrom}`)) this.#options.requeue(keyOf({ metadata }));
    }
  }

  #started(): Parts {
    if (this.#parts === undefined) throw new Error("the checkpoints are not followed yet");
    return this.#parts;
  }
}

function isPending({ status }: ContainerCheckpoint): boolean {
  return status?.state !== "Completed" && status?.state !== "Failed";
}

function isAlive({ record, task }: Instance): boolean {
  const { run, stopping } = record.state;
  return (task?.status === "running" || task?.status === "paused") && run !== undefined && stopping === undefined;
}

function containerKeyOf({ metadata, spec }: ContainerCheckpoint): string {
  return `${metadata.namespace}/${spec.containerName}`;
}

function waitingMessage({ spec }: ContainerCheckpoint, why: string): string {
  return `Container "${spec.containerName}" ${why}`;
}

/** Bytes in Kubernetes' notation, rounded up. */
function sizeOf(bytes: number): string {
  return bytes < 1024 * 1024 ? `${Math.ceil(bytes / 1024)}Ki` : `${Math.ceil(bytes / 1024 / 1024)}Mi`;
}
