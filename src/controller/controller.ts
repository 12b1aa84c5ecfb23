/**
 * The controller: answers for agents that can't. It follows all Containers and checkpoints, the agents' Leases and the
 * Nodes; what it says or does about an object is `decide`'s, whether an agent lives `standing`'s.
 *
 * Only a leader writes, and only what holds for the version it was judged by: what an agent has written meanwhile is never
 * written over. Those who wait follow all the same, so that the next leader knows how long an agent has been silent.
 */
import type { Logger } from "pino";
import {
  checkpointPath,
  containerPath,
  EventRecorder,
  isConflict,
  isNotFound,
  keyOf,
  KubeApi,
  type KubeObject,
  LeaderElector,
  type Lease,
  leasePath,
  ListWatch,
  NODE_LEASE_SECONDS,
  nodeLeaseName,
  nodeOfLease,
  nodePath,
  NotLeader,
  WorkQueue,
  type WorkScope,
} from "../kube/index.ts";
import { VERSION } from "../version.ts";
import { dropFinalizer } from "../lifecycle/finalizer.ts";
import { isMarked } from "../lifecycle/told.ts";
import { correlated, HealthServer } from "../telemetry/index.ts";
import { ControllerMetrics } from "../telemetry/controller-metrics.ts";
import type { ControllerConfig } from "./config.ts";
import { type Action, decide, decideCheckpoint, type KeptCheckpoint, type KeptContainer, nodeOf } from "./decide.ts";
import { Nodes, type SeenLease, type SeenNode } from "./nodes.ts";
import { isGivenUp, type Standing } from "./standing.ts";

/** What is done about a key is a request or two. */
const CONCURRENCY = 8;
const BACKOFF = { baseMs: 200, maxMs: 30_000 };
/** Milliseconds that what is under way and Events not yet sent have to end. */
const CLOSE_BOUND_MS = 3000;
const FLUSH_BOUND_MS = 1000;
/** No agent's: those begin with "berth-". */
const LEADER_LEASE = "controller.berth.dev";
/**
 * Milliseconds after which a watch of Leases that brings nothing is opened anew: a leader's own renewals come by it every
 * few seconds, so it is dead, and all agents would seem to be.
 */
const LEASE_SILENCE_MS = 30_000;
/** The uid of the Node that the agent of a Lease was seen to be on. */
const NODE_UID = "berth.dev/node-uid";

const WATCHES = ["containers", "containercheckpoints", "leases", "nodes"] as const;

type NodeObject = KubeObject & {
  status?: { conditions?: { type: string; status: string; lastTransitionTime?: string }[] };
};

/** What a controller is given beside its configuration. */
export interface ControllerOptions {
  readonly config: ControllerConfig;
  /** Unique among all controllers there are and were. */
  readonly identity: string;
  readonly logger: Logger;
  /** Called when it leads no more, and must end. */
  readonly onLost: (why: string) => void;
}

/** A controller at work. */
export class Controller {
  readonly #options: ControllerOptions;
  readonly #namespace: string;
  readonly #api: KubeApi;
  readonly #metrics: ControllerMetrics;
  readonly #health: HealthServer;
  readonly #events: EventRecorder;
  readonly #elector: LeaderElector;
  readonly #nodes: Nodes;
  readonly #containers: ListWatch<KeptContainer & KubeObject>;
  readonly #checkpoints: ListWatch<KeptCheckpoint & KubeObject>;
  readonly #leases: ListWatch<Lease>;
  readonly #nodeObjects: ListWatch<NodeObject>;
  readonly #queue: WorkQueue;
  readonly #checkpointQueue: WorkQueue;
  /** Notes in Leases that their agents' Nodes were seen; keys are nodes' names. */
  readonly #notes: WorkQueue;
  /** Keys of Containers by their node, and the other way round. */
  readonly #byNode = new Map<string, Set<string>>();
  readonly #nodeByKey = new Map<string, string>();
  /** Containers whose status is the controller's word, as far as is known. */
  readonly #marked = new Set<string>();

  private constructor(options: ControllerOptions) {
    const { config, identity, logger } = options;
    this.#options = options;
    this.#metrics = this.#makeMetrics();
    this.#api = KubeApi.load({ kubeconfig: config.kubeconfig, observer: this.#metrics });
    this.#namespace = config.namespace ?? this.#api.namespace;
    this.#health = new HealthServer({
      address: config.metricsAddress,
      checks: [...WATCHES],
      metrics: () => this.#metrics.text(),
      logger,
    });
    this.#events = new EventRecorder({ api: this.#api, component: "berth.dev/controller", host: identity, logger });
    this.#elector = new LeaderElector({
      api: this.#api,
      namespace: this.#namespace,
      name: LEADER_LEASE,
      identity,
      timing: config.election,
      onLeading: () => {
        logger.info({ identity }, "leading");
        this.#lookAtAll();
      },
      onLost: options.onLost,
      logger,
    });
    this.#nodes = new Nodes({
      patience: config.patience,
      onChange: (nodeName) => {
        this.#onStanding(nodeName);
      },
    });
    const queue = (name: string, handler: (key: string) => Promise<void>): WorkQueue =>
      new WorkQueue({ concurrency: CONCURRENCY, handler, backoff: BACKOFF, scope: this.#scope(name), logger });
    this.#queue = queue("containers", (key) => this.#asLeader(() => this.#reconcile(key)));
    this.#checkpointQueue = queue("checkpoints", (key) => this.#asLeader(() => this.#reconcileCheckpoint(key)));
    this.#notes = queue("leases", (name) => this.#asLeader(() => this.#noteNode(name)));
    this.#containers = this.#followContainers();
    this.#checkpoints = this.#followCheckpoints();
    this.#leases = this.#followLeases();
    this.#nodeObjects = this.#followNodes();
  }

  /**
   * Makes a controller and sets it to work.
   * @throws Error when the configuration can't be meant: no credentials, an address that can't be listened on
   */
  static async start(options: ControllerOptions): Promise<Controller> {
    const controller = new Controller(options);
    await controller.#health.start();
    controller.#containers.start();
    controller.#checkpoints.start();
    controller.#leases.start();
    controller.#nodeObjects.start();
    controller.#elector.start();
    return controller;
  }

  /** Ends it; a leader gives up its Lease when nothing is under way any more. */
  async stop(): Promise<void> {
    this.#nodes.close();
    await Promise.all([
      this.#queue.close(CLOSE_BOUND_MS),
      this.#checkpointQueue.close(CLOSE_BOUND_MS),
      this.#notes.close(CLOSE_BOUND_MS),
      this.#containers.stop(),
      this.#checkpoints.stop(),
      this.#leases.stop(),
      this.#nodeObjects.stop(),
    ]);
    await this.#elector.stop();
    await this.#events.flush(FLUSH_BOUND_MS);
    this.#api.close();
    await this.#health.close();
  }

  #makeMetrics(): ControllerMetrics {
    return new ControllerMetrics({
      version: VERSION,
      leading: () => this.#elector.leading,
      standings: () => this.#standings(),
      depths: () => ({
        containers: this.#queue.depth,
        checkpoints: this.#checkpointQueue.depth,
        leases: this.#notes.depth,
      }),
      ready: () => this.#health.states(),
    });
  }

  /** Of the nodes that have an agent, or ought to. */
  *#standings(): Iterable<Standing["kind"]> {
    for (const [name, { kind }] of this.#nodes.standings()) {
      if (this.#byNode.has(name) || this.#leases.get(this.#leaseKey(name)) !== undefined) yield kind;
    }
  }

  #scope(queue: string): WorkScope {
    return (key, waitedSeconds, work) => correlated(key, () => this.#metrics.work(queue, waitedSeconds, work));
  }

  /** What concerns all watches alike. */
  #watch(name: (typeof WATCHES)[number], onSync: () => void = () => undefined) {
    const { logger } = this.#options;
    return {
      api: this.#api,
      logger,
      onSync: () => {
        this.#health.set(name, true);
        onSync();
      },
      onConnected: (connected: boolean, error?: Error): void => {
        if (!connected) this.#health.set(name, false, error?.message);
        else if (this.#synced(name)) this.#health.set(name, true);
        if (name === "leases") this.#nodes.connected(connected);
      },
    };
  }

  #synced(name: (typeof WATCHES)[number]): boolean {
    const watches = {
      containers: this.#containers,
      containercheckpoints: this.#checkpoints,
      leases: this.#leases,
      nodes: this.#nodeObjects,
    };
    return watches[name].synced;
  }

  #followContainers(): ListWatch<KeptContainer & KubeObject> {
    return new ListWatch<KeptContainer & KubeObject>({
      ...this.#watch("containers"),
      path: containerPath(),
      trim: ({ apiVersion, kind, metadata, spec, status }) => ({
        ...(apiVersion === undefined ? {} : { apiVersion }),
        ...(kind === undefined ? {} : { kind }),
        metadata,
        spec: { nodeName: spec.nodeName },
        ...(status === undefined ? {} : { status }),
      }),
      onChange: (key, object) => {
        this.#onContainer(key, object);
      },
    });
  }

  #followCheckpoints(): ListWatch<KeptCheckpoint & KubeObject> {
    return new ListWatch<KeptCheckpoint & KubeObject>({
      ...this.#watch("containercheckpoints"),
      path: checkpointPath(),
      onChange: (key, object) => {
        if (object?.metadata.deletionTimestamp !== undefined) this.#checkpointQueue.add(key);
      },
    });
  }

  #followLeases(): ListWatch<Lease> {
    return new ListWatch<Lease>({
      ...this.#watch("leases", () => {
        this.#nodes.leasesSynced();
      }),
      path: leasePath(this.#namespace),
      timers: { silenceMs: LEASE_SILENCE_MS },
      onChange: (key, lease) => {
        const nodeName = nodeOfLease(key.slice(key.indexOf("/") + 1));
        if (nodeName !== undefined) this.#onLease(nodeName, lease);
      },
    });
  }

  #followNodes(): ListWatch<NodeObject> {
    return new ListWatch<NodeObject>({
      ...this.#watch("nodes", () => {
        this.#nodes.nodesSynced();
        for (const nodeName of this.#nodes.agents()) this.#noteIfNew(nodeName);
      }),
      path: nodePath(),
      // Nodes are large, and say how they are every few minutes.
      trim: ({ metadata, status }) => ({
        metadata: { name: metadata.name, uid: metadata.uid, resourceVersion: metadata.resourceVersion },
        status: { conditions: (status?.conditions ?? []).filter(({ type }) => type === "Ready") },
      }),
      onChange: (nodeName, object) => {
        this.#nodes.setNode(nodeName, object === undefined ? undefined : seenNode(object));
        this.#noteIfNew(nodeName);
      },
    });
  }

  #onContainer(key: string, object: KeptContainer | undefined): void {
    const nodeName = object === undefined ? undefined : nodeOf(object);
    const before = this.#nodeByKey.get(key);
    if (before !== nodeName) this.#index(key, before, nodeName);
    if (object === undefined || nodeName === undefined) {
      this.#marked.delete(key);
      this.#queue.forget(key);
      return;
    }
    if (isMarked(object.status)) this.#marked.add(key);
    // Nobody else writes statuses: it is the agent who is there after all.
    else if (this.#marked.delete(key)) this.#nodes.contradicted(nodeName);
    this.#queue.add(key);
  }

  #index(key: string, before: string | undefined, nodeName: string | undefined): void {
    const others = before === undefined ? undefined : this.#byNode.get(before);
    others?.delete(key);
    if (before !== undefined && others?.size === 0) this.#byNode.delete(before);
    if (nodeName === undefined) {
      this.#nodeByKey.delete(key);
      return;
    }
    this.#nodeByKey.set(key, nodeName);
    this.#byNode.set(nodeName, (this.#byNode.get(nodeName) ?? new Set()).add(key));
    this.#nodes.need(nodeName);
  }

  #onLease(nodeName: string, lease: Lease | undefined): void {
    this.#nodes.setLease(nodeName, lease === undefined ? undefined : seenLease(lease));
    this.#noteIfNew(nodeName);
  }

  #onStanding(nodeName: string): void {
    const standing = this.#nodes.standing(nodeName);
    const keys = this.#byNode.get(nodeName) ?? [];
    this.#options.logger.info({ node: nodeName, ...standing }, "the agent's standing has changed");
    for (const key of keys) this.#queue.add(key);
    if (isGivenUp(standing)) this.#lookAtCheckpoints();
  }

  #lookAtAll(): void {
    for (const key of this.#nodeByKey.keys()) this.#queue.add(key);
    for (const nodeName of this.#nodes.agents()) this.#noteIfNew(nodeName);
    this.#lookAtCheckpoints();
  }

  #lookAtCheckpoints(): void {
    for (const { metadata } of this.#checkpoints.list()) {
      if (metadata.deletionTimestamp !== undefined) this.#checkpointQueue.add(keyOf({ metadata }));
    }
  }

  /** Who does not lead leaves it: whoever does has seen the same. */
  async #asLeader(work: () => Promise<void>): Promise<void> {
    if (!this.#elector.leading) return;
    try {
      await work();
    } catch (error) {
      // What was written meanwhile comes by the watch, and is judged then.
      if (!(error instanceof NotLeader) && !isConflict(error) && !isNotFound(error)) throw error;
    }
  }

  async #reconcile(key: string): Promise<void> {
    const container = this.#containers.get(key);
    if (container === undefined) return;
    const around = { agents: this.#nodes.agents(), namespace: this.#namespace, now: new Date() };
    const nodeName = nodeOf(container);
    const action = decide(container, this.#nodes.standing(nodeName), around);
    if (action.kind === "mark") await this.#mark(key, container, action);
    else if (action.kind === "release") {
      await this.#release(this.#containers, container, nodeName, { path: containerPath, why: action.why });
    }
  }

  async #reconcileCheckpoint(key: string): Promise<void> {
    const checkpoint = this.#checkpoints.get(key);
    const nodeName = checkpoint?.status?.nodeName;
    if (checkpoint === undefined || nodeName === undefined) return;
    this.#nodes.need(nodeName);
    const action = decideCheckpoint(checkpoint, (name) => this.#nodes.standing(name));
    if (action.kind !== "release") return;
    await this.#release(this.#checkpoints, checkpoint, nodeName, { path: checkpointPath, why: action.why });
  }

  async #mark(key: string, container: KeptContainer, { patch, reason }: Action & { kind: "mark" }): Promise<void> {
    const { namespace, name, uid, resourceVersion } = container.metadata;
    const body = { metadata: { uid, resourceVersion }, status: patch };
    await this.#containers.write(key, () =>
      this.#elector.lead((request) => this.#api.mergePatch(containerPath(namespace, name, "status"), body, request)),
    );
    // The agent may have answered before this did.
    if (isMarked(this.#containers.get(key)?.status)) this.#marked.add(key);
    else this.#nodes.contradicted(nodeOf(container));
    this.#metrics.marked(reason);
    this.#options.logger.info({ reason }, "answered for an agent that can't");
  }

  /** Looks once more, past the watches, tells of it, and takes the finalizer off. */
  async #release<T extends (KeptContainer | KeptCheckpoint) & KubeObject>(
    cache: ListWatch<T>,
    object: T,
    nodeName: string,
    { path, why }: { path: typeof containerPath; why: string },
  ): Promise<void> {
    const { namespace, name } = object.metadata;
    if (!(await this.#isStillGivenUp(nodeName))) return;
    const message = `Released without having been cleaned up: ${why}. What it left there, should the machine come back, its agent removes.`;
    try {
      await this.#elector.lead(() => this.#events.report(object, "Warning", "NotCleanedUp", message));
    } catch (error) {
      if (error instanceof NotLeader) throw error;
      // A namespace that is deleted takes no Events; that must not keep it.
      this.#options.logger.warn({ err: error }, "the release could not be told of");
    }
    const api: Pick<KubeApi, "mergePatch"> = {
      mergePatch: (to, patch) => this.#elector.lead((request) => this.#api.mergePatch(to, patch, request)),
    };
    if (!(await dropFinalizer(api, cache, object, path(namespace, name)))) return;
    this.#metrics.released(path === containerPath ? "containers" : "containercheckpoints");
    this.#options.logger.warn({ namespace, name, node: nodeName, why }, "released without having been cleaned up");
  }

  /** Asks the API server itself: a watch may be behind. */
  async #isStillGivenUp(nodeName: string): Promise<boolean> {
    if (!isGivenUp(this.#nodes.standing(nodeName))) return false;
    const leaseOf = leasePath(this.#namespace, nodeLeaseName(nodeName));
    const lease = await orMissing(this.#api.get<Lease>(leaseOf));
    const known = this.#leases.get(this.#leaseKey(nodeName));
    if (lease?.spec?.renewTime !== known?.spec?.renewTime || (lease === undefined) !== (known === undefined))
      return false;
    if (lease === undefined) return true;
    return (await orMissing(this.#api.get(nodePath(nodeName)))) === undefined;
  }

  #noteIfNew(nodeName: string): void {
    const node = this.#nodes.node(nodeName);
    const lease = this.#leases.get(this.#leaseKey(nodeName));
    if (node !== undefined && lease !== undefined && lease.metadata.annotations?.[NODE_UID] !== node.uid) {
      this.#notes.add(nodeName);
    }
  }

  #leaseKey(nodeName: string): string {
    return `${this.#namespace}/${nodeLeaseName(nodeName)}`;
  }

  /** Notes in a Lease which Node its agent was seen on, so that the Node's deletion can be told from its never having been. */
  async #noteNode(nodeName: string): Promise<void> {
    const node = this.#nodes.node(nodeName);
    const lease = this.#leases.get(this.#leaseKey(nodeName));
    if (node === undefined || lease === undefined || lease.metadata.annotations?.[NODE_UID] === node.uid) return;
    const { resourceVersion } = lease.metadata;
    const patch = { metadata: { resourceVersion, annotations: { [NODE_UID]: node.uid } } };
    const path = leasePath(this.#namespace, nodeLeaseName(nodeName));
    // Not by the cache's own write: the news of it are wanted.
    await this.#elector.lead((request) => this.#api.mergePatch<Lease>(path, patch, request));
  }
}

function seenLease({ spec, metadata }: Lease): SeenLease {
  return {
    durationMs: (spec?.leaseDurationSeconds ?? NODE_LEASE_SECONDS) * 1000,
    ...(spec?.renewTime === undefined ? {} : { renewTime: spec.renewTime }),
    hadNode: metadata.annotations?.[NODE_UID] !== undefined,
  };
}

function seenNode({ metadata, status }: NodeObject): SeenNode {
  const ready = status?.conditions?.find(({ type }) => type === "Ready");
  if (ready?.status === "True") return { uid: metadata.uid };
  return { uid: metadata.uid, notReadySince: ready?.lastTransitionTime ?? "it was made" };
}

async function orMissing<T>(answer: Promise<T>): Promise<T | undefined> {
  try {
    return await answer;
  } catch (error) {
    if (isNotFound(error)) return undefined;
    throw error;
  }
}
