/** Puts an agent's parts together, connects their events to the queue, and takes them apart again. */
import { randomUUID } from "node:crypto";
import { readFile } from "node:fs/promises";
import { hostname } from "node:os";
import { setTimeout as sleep } from "node:timers/promises";
import type { Logger } from "pino";
import type { Container } from "./api/index.ts";
import type { Config } from "./config.ts";
import { Containerd, type ReceivedEvent, type Subscription, UnsupportedContainerd } from "./containerd/index.ts";
import {
  containerPath,
  EventRecorder,
  keyOf,
  KubeApi,
  ListWatch,
  NodeLease,
  WorkQueue,
  type WorkScope,
} from "./kube/index.ts";
import { CheckpointController } from "./lifecycle/checkpoint/controller.ts";
import { claimNode, namespaceDirectory } from "./lifecycle/claim.ts";
import { checkCluster } from "./lifecycle/cluster.ts";
import { makeParts, type NodeSettings, type Parts } from "./lifecycle/parts.ts";
import { reconcile } from "./lifecycle/reconcile.ts";
import { generationOf, keyOf as recordKey } from "./lifecycle/record.ts";
import { removeOrphan, sweep } from "./lifecycle/remove.ts";
import { takeStock } from "./lifecycle/observe.ts";
import { StatusWriter } from "./lifecycle/status-writer.ts";
import { unnoticed } from "./lifecycle/unnoticed.ts";
import { detectCgroups, nodeFacts, podRoot } from "./node/index.ts";
import { correlated, HealthServer } from "./telemetry/index.ts";
// Not by the index: the commands on the node do without.
import { Metrics } from "./telemetry/metrics.ts";
import { VERSION } from "./version.ts";

/** Milliseconds between attempts of a key that fails for another reason than its own start. */
const RECONCILE_BACKOFF = { baseMs: 200, maxMs: 30_000 };
/** Milliseconds that reconciles under way and Events not yet sent have to end when the agent is told to. */
const CLOSE_BOUND_MS = 3000;
const FLUSH_BOUND_MS = 1000;
/** Milliseconds until a containerd that answers, but not as it should, is tried again. */
const CONNECT_AGAIN_MS = 1000;
/** Characters of a uid, with which a container's id begins. */
const UID_LENGTH = 36;

/** Until containerd's subscription holds. */
const NOT_CONNECTED = new Error("not connected yet");

/** What an agent is given beside its configuration. */
export interface AgentOptions {
  readonly config: Config;
  readonly logger: Logger;
  /** Ends the start, which may take as long as another agent has the node. */
  readonly signal: AbortSignal;
  /** Called when the agent can't work on this node whatever it waits for: the containerd is too old. */
  readonly onFatal: (error: Error) => void;
}

/** An agent at work: it stays up whatever is away, and says so in `/readyz`. */
export class Agent {
  readonly #options: AgentOptions;
  readonly #metrics: Metrics;
  readonly #health: HealthServer;
  readonly #api: KubeApi;
  readonly #containerd: Containerd;
  readonly #containers: ListWatch<Container>;
  readonly #statuses: StatusWriter;
  readonly #queue: WorkQueue;
  /** Ids of containers of which a sweep could not remove all. */
  readonly #orphans: WorkQueue;
  readonly #events: EventRecorder;
  readonly #lease: NodeLease;
  readonly #checkpoints: CheckpointController;
  readonly #parts: Parts;
  /** Keys by uid, for the events of tasks. */
  readonly #keys = new Map<string, string>();
  #subscription: Subscription | undefined;
  #again: NodeJS.Timeout | undefined;
  /** Whether containerd's events are followed. */
  #subscribed = false;
  /** What is done with each connection, one after the other. */
  #settling: Promise<void> = Promise.resolve();
  /** Why containerd can't be used. */
  #away: Error | undefined = NOT_CONNECTED;
  /** What crashed starts left behind is cleared: from then on there may be new ones. */
  #swept = false;

  private constructor(
    options: AgentOptions,
    health: HealthServer,
    facts: NodeSettings["facts"] & { readonly claim: string },
  ) {
    const { config, logger } = options;
    this.#options = options;
    this.#health = health;
    const metrics = this.#makeMetrics();
    this.#metrics = metrics;
    this.#api = KubeApi.load({ kubeconfig: config.kubeconfig, root: podRoot(), observer: metrics });
    this.#containerd = new Containerd({
      address: config.containerdAddress,
      namespace: config.containerdNamespace,
      snapshotter: config.snapshotter,
      onCall: metrics.onCall.bind(metrics),
      logger,
    });
    this.#events = this.#makeEvents();
    const self = `${hostname()}:${facts.claim}`;
    this.#lease = new NodeLease({
      api: this.#api,
      nodeName: config.nodeName,
      namespace: this.#api.namespace,
      holder: `${self}_${randomUUID()}`,
      // Claimed by this process: whoever had it before is gone.
      isPredecessor: (other) => other.startsWith(`${self}_`),
      onOther: (holder) => {
        this.#onOtherHolder(holder);
      },
      logger,
    });
    this.#containers = this.#watchContainers();
    this.#statuses = new StatusWriter(this.#api, this.#containers);
    this.#queue = new WorkQueue({
      concurrency: config.concurrency,
      handler: (key) => this.#handle(key),
      backoff: RECONCILE_BACKOFF,
      scope: this.#scope("containers"),
      logger,
    });
    this.#orphans = new WorkQueue({
      concurrency: 1,
      handler: (id) => this.#clear(id),
      backoff: RECONCILE_BACKOFF,
      logger,
    });
    this.#checkpoints = new CheckpointController({
      api: this.#api,
      nodeName: config.nodeName,
      containers: this.#containers,
      requeue: (key) => {
        this.#queue.add(key);
      },
      scope: this.#scope("checkpoints"),
      before: (signal) => this.#beforeList(signal),
      mayWork: () => this.#lease.otherHolder === undefined,
      logger,
    });
    this.#parts = makeParts({
      config,
      facts,
      api: this.#api,
      containerd: this.#containerd,
      events: this.#events,
      checkpoints: this.#checkpoints.objects,
      objects: this.#containers,
      onDisk: () => {
        this.#onDisk();
      },
      requeue: (key) => {
        this.#queue.add(key);
      },
      isBusy: () => this.#queue.depth > 0,
      idle: () => this.#queue.drain(),
      observer: metrics,
      logger,
    });
  }

  /**
   * Makes an agent and sets it to work, as soon as no other one has the node.
   * @throws Error when the configuration can't be meant: no credentials, an address that can't be listened on; the
   *   signal's reason
   */
  static async start(options: AgentOptions): Promise<Agent> {
    const { config, logger, signal } = options;
    let agent: Agent | undefined;
    const health = new HealthServer({
      address: config.metricsAddress,
      checks: ["containerd", "apiserver"],
      metrics: () => agent?.metrics() ?? Promise.resolve(""),
      logger,
    });
    // Whoever has the node may have the address, too.
    const unserved = await health.start().catch((error: unknown) => error);
    try {
      const onHeld = (why: string): void => {
        health.set("node", false, why);
      };
      if (await claimNode({ config, onHeld, signal, logger })) health.set("node", true);
      if (unserved !== undefined) await health.start();
      const [node, cgroups, bootID, claim] = await Promise.all([
        nodeFacts(),
        detectCgroups(),
        readFile("/proc/sys/kernel/random/boot_id", "utf8"),
        namespaceDirectory(config),
      ]);
      agent = new Agent(options, health, { node, cgroups, bootID: bootID.trim(), claim });
      await agent.#start();
      return agent;
    } catch (error) {
      await health.close();
      throw error;
    }
  }

  async #start(): Promise<void> {
    await this.#parts.network.prepare().catch((error: unknown) => {
      this.#options.logger.warn({ err: error }, "the default network can't work yet");
    });
    await this.#parts.limits.keep();
    this.#subscription = this.#containerd.subscribe({
      filters: [`topic~="^/tasks/",namespace==${JSON.stringify(this.#options.config.containerdNamespace)}`],
      onEvent: (event) => {
        this.#onTaskEvent(event);
      },
      onConnected: (connected, error) => {
        this.#onContainerd(connected, error);
      },
    });
    this.#parts.podSecurity.start();
    this.#containers.start();
    this.#checkpoints.start(this.#parts);
    this.#parts.disks.start();
    this.#parts.images.start();
  }

  /** Ends the agent; containers run on. */
  async stop(): Promise<void> {
    // What is being settled must not try again.
    this.#subscribed = false;
    this.#subscription?.close();
    clearTimeout(this.#again);
    this.#parts.pulls.close();
    this.#parts.references.close();
    this.#parts.fileUpdates.close();
    this.#parts.logs.close();
    this.#parts.disks.close();
    this.#parts.images.close();
    const bounded = (ending: Promise<void>) => Promise.race([ending, sleep(CLOSE_BOUND_MS, undefined, { ref: false })]);
    await Promise.all([
      this.#lease.stop(),
      this.#containers.stop(),
      this.#parts.podSecurity.stop(),
      this.#checkpoints.stop(CLOSE_BOUND_MS),
      this.#queue.close(CLOSE_BOUND_MS),
      this.#orphans.close(CLOSE_BOUND_MS),
      bounded(this.#parts.health.close()),
      // What can't be given back in that time is the next agent's.
      bounded(this.#parts.network.close()),
    ]);
    await this.#events.flush(FLUSH_BOUND_MS);
    this.#containerd.close();
    this.#api.close();
    await this.#health.close();
  }

  /** What `/metrics` answers. */
  metrics(): Promise<string> {
    return this.#metrics.text();
  }

  #makeMetrics(): Metrics {
    return new Metrics({
      node: this.#options.config.nodeName,
      version: VERSION,
      states: () => this.#containers.list().map((container) => this.#statuses.state(container)),
      budget: () => this.#options.config.budget,
      requested: () => this.#parts.room.requested,
      depths: () => ({ containers: this.#queue.depth, checkpoints: this.#checkpoints.depth }),
      ready: () => this.#health.states(),
    });
  }

  #makeEvents(): EventRecorder {
    const { config, logger } = this.#options;
    return new EventRecorder({
      api: this.#api,
      component: "berth.dev/agent",
      host: config.nodeName,
      idle: () => this.#queue.drain(),
      logger,
    });
  }

  /** Around each turn of a queue's keys: one id for its log lines, and its measures. */
  #scope(queue: string): WorkScope {
    return (key, waitedSeconds, work) => correlated(key, () => this.#metrics.work(queue, waitedSeconds, work));
  }

  #watchContainers(): ListWatch<Container> {
    const { config, logger } = this.#options;
    const { nodeName } = config;
    return new ListWatch<Container>({
      api: this.#api,
      path: containerPath(),
      fieldSelector: `spec.nodeName=${nodeName}`,
      before: (signal) => this.#beforeList(signal),
      // The second half holds on servers without CEL alone, where spec.nodeName can be changed: the change is then refused here.
      include: ({ spec, status }) => (status?.nodeName ?? spec.nodeName) === nodeName,
      onChange: (key, object) => {
        if (object !== undefined) this.#keys.set(object.metadata.uid, key);
        else this.#forgetKey(key);
        this.#queue.add(key);
        this.#checkpoints.onContainer(key);
      },
      onSync: () => {
        void this.#addRecords();
        this.#checkpoints.lookAtAll();
      },
      onConnected: (connected, error) => {
        this.#health.set("apiserver", connected, error?.message);
        // What could not be told while it was away.
        if (connected) this.#addObjects();
      },
      logger,
    });
  }

  /** Before the API server is taken at its word: it is the right one, and the node's name is this agent's or is not. */
  async #beforeList(signal: AbortSignal): Promise<void> {
    await Promise.all([checkCluster(this.#parts, this.#options.config.dataDir, signal), this.#lease.claim()]);
  }

  /** Nothing is done on the node's behalf while another agent has its name. */
  #onOtherHolder(holder: string | undefined): void {
    const { nodeName } = this.#options.config;
    this.#health.set("node", holder === undefined, `another agent, ${holder}, runs under the node name ${nodeName}`);
    if (holder !== undefined) return;
    void this.#addRecords();
    this.#addObjects();
    this.#checkpoints.lookAtAll();
  }

  async #handle(key: string): Promise<void> {
    if (this.#lease.otherHolder !== undefined) return;
    const object = this.#containers.get(key);
    if (!this.#swept) {
      if (object !== undefined)
        await this.#statuses.runtimeUnavailable(object, this.#away ?? NOT_CONNECTED, new Date());
      return;
    }
    await reconcile({ parts: this.#parts, cache: this.#containers, queue: this.#queue, statuses: this.#statuses }, key);
    await this.#checkpoints.settle(key);
  }

  /** Events only say where to look. Those of the agent's own making (create, start, delete) say nothing new. */
  #onTaskEvent({ event }: ReceivedEvent): void {
    if (event.type !== "exit" && event.type !== "paused" && event.type !== "resumed") return;
    if (event.type === "exit" && event.execId !== undefined) return;
    const { containerId } = event;
    const key = this.#keyOf(containerId);
    if (key !== undefined) this.#queue.add(key);
    // Its object is gone, or can't be seen now; or it is another tool's.
    else if (generationOf(containerId) > 0) void this.#addRecords((id) => id === containerId);
  }

  #onContainerd(connected: boolean, error?: unknown): void {
    clearTimeout(this.#again);
    this.#subscribed = connected;
    if (connected) {
      // One after the other: what one clears up must not be what the other has let begin.
      this.#settling = this.#settling.then(() => this.#settle());
      return;
    }
    this.#away = error instanceof Error ? error : new Error(String(error));
    this.#health.set("containerd", false, this.#away.message);
    this.#options.logger.warn({ err: error }, "containerd is away");
    // Those that nothing is known of yet are told why.
    this.#addObjects();
  }

  #isSubscribed(): boolean {
    return this.#subscribed;
  }

  /** The subscription holds: whatever has happened before, is looked at now. */
  async #settle(): Promise<void> {
    const { logger, onFatal } = this.#options;
    try {
      if (!this.#isSubscribed()) return;
      const { version } = await this.#containerd.ready();
      if (this.#away === undefined) {
        await this.#addUnnoticed();
        return;
      }
      logger.info({ version }, "connected to containerd");
      if (!this.#swept) await this.#parts.rootfs.clear();
      await this.#sweep();
      if (!this.#swept) await takeStock(this.#parts);
      this.#swept = true;
      // It may be gone again: the next connection says so.
      if (!this.#isSubscribed()) return;
      this.#away = undefined;
      this.#health.set("containerd", true);
      await this.#addRecords();
      this.#addObjects();
    } catch (failure) {
      if (failure instanceof UnsupportedContainerd) {
        onFatal(failure);
        return;
      }
      logger.warn({ err: failure }, "containerd can't be worked with yet");
      if (!this.#isSubscribed()) return;
      this.#again = setTimeout(() => {
        this.#onContainerd(true);
      }, CONNECT_AGAIN_MS);
    }
  }

  /** It was there all the time, but an event may have been lost. */
  async #addUnnoticed(): Promise<void> {
    const told = () =>
      this.#containers.list().map((object) => {
        const { uid } = object.metadata;
        return [keyOf(object), { uid, state: this.#statuses.state(object) }] as const;
      });
    for (const key of await unnoticed(this.#parts, () => new Map(told()))) this.#queue.add(key);
  }

  /** A full disk is told of beside what makes the agent ready: it goes on with what it can do. */
  #onDisk(): void {
    const full = this.#parts.disks.full.map(({ words }) => words);
    this.#health.warn("disk", full.length === 0 ? undefined : `full: ${full.join("; ")}`);
    this.#parts.neighbours.catchUp();
    this.#addObjects();
  }

  /** Clears what no record leads to. The first time nothing can be under way yet; later on only what no object asks for is meant. */
  async #sweep(): Promise<void> {
    const isMeant = (id: string): boolean => !this.#swept || this.#keyOf(id) === undefined;
    for (const id of await sweep(this.#parts, isMeant)) this.#orphans.add(id);
  }

  /** What is left of an object that is known is cleared in its own turn. */
  async #clear(id: string): Promise<void> {
    const key = this.#keyOf(id);
    if (key === undefined) await removeOrphan(this.#parts, id);
    else this.#queue.add(key);
  }

  /** The key of the object that a container was made for, if that is known. */
  #keyOf(id: string): string | undefined {
    return this.#keys.get(id.slice(0, UID_LENGTH));
  }

  #forgetKey(key: string): void {
    for (const [uid, known] of this.#keys) if (known === key) this.#keys.delete(uid);
  }

  #addObjects(): void {
    for (const container of this.#containers.list()) this.#queue.add(keyOf(container));
  }

  /** Looks at every container there is a record of: also at those whose object is gone, or can't be seen now. */
  async #addRecords(isMeant: (id: string) => boolean = () => true): Promise<void> {
    try {
      for (const { id, applied } of await this.#parts.records.list())
        if (isMeant(id)) this.#queue.add(recordKey(applied));
    } catch (error) {
      // When containerd is back, this is done again.
      this.#options.logger.debug({ err: error }, "records can't be listed now");
    }
  }
}
