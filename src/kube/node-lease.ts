import type { Logger } from "pino";
import type { KubeApi } from "./api.ts";
import { systemClock, type Clock } from "./clock.ts";
import { isAlreadyExists, isConflict, isNotFound } from "./errors.ts";
import type { KubeObject } from "./object.ts";
import { leasePath } from "./paths.ts";

const RENEW_MS = 60_000;
/** Sooner than the next renewal, so that the lease outlives a short outage. */
const RETRY_MS = 10_000;
/** A holder that missed two renewals and then some is gone. */
const DURATION_SECONDS = 150;

type LeaseSpec = {
  holderIdentity?: string;
  leaseDurationSeconds?: number;
  acquireTime?: string;
  renewTime?: string;
  leaseTransitions?: number;
};
type Lease = KubeObject & { spec?: LeaseSpec };

export type NodeLeaseOptions = {
  api: KubeApi;
  /** Names the lease: `berth-<nodeName>`. */
  nodeName: string;
  namespace: string;
  /** Who this process is; unique among all agents there are and were. */
  holder: string;
  /** Whether a holder is a former process of this same agent, whose lease is taken over without waiting for its end. */
  isPredecessor?: (holder: string) => boolean;
  logger: Logger;
  clock?: Clock;
};

/**
 * This agent's claim on its node's name, a coordination.k8s.io Lease renewed once a minute: it shows that the agent lives,
 * and tells it when another agent runs under the same node name. Losing sight of the API server loses nothing.
 */
export class NodeLease {
  readonly #options: NodeLeaseOptions;
  readonly #clock: Clock;
  readonly #path: string;
  readonly #stop = new AbortController();
  #cancelTimer: () => void = () => undefined;
  #working: Promise<void> = Promise.resolve();
  /** Version of our last write; a renewal that builds on it needs no look before. */
  #held: string | undefined;
  #otherHolder: string | undefined;
  #failing = false;

  constructor(options: NodeLeaseOptions) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    this.#path = leasePath(options.namespace, `berth-${options.nodeName}`);
  }

  /** Another live agent that holds this node's lease. */
  get otherHolder(): string | undefined {
    return this.#otherHolder;
  }

  /** Whether the last renewal made it ours. */
  get held(): boolean {
    return this.#held !== undefined;
  }

  start(): void {
    this.#working = this.#round();
  }

  /**
   * Stops renewing. The lease stays as it is and runs out by itself: the node's containers go on running, so nobody else
   * should take the node for free at once.
   */
  async stop(): Promise<void> {
    this.#stop.abort();
    this.#cancelTimer();
    await this.#working;
  }

  async #round(): Promise<void> {
    const { logger } = this.#options;
    let next = RENEW_MS;
    try {
      await this.#renew();
      if (this.#failing) logger.info({ lease: this.#path }, "the node's lease is renewed again");
      this.#failing = false;
    } catch (error) {
      if (this.#stop.signal.aborted) return;
      next = RETRY_MS;
      if (!this.#failing)
        logger.warn({ lease: this.#path, err: error }, "the node's lease could not be renewed, trying again");
      this.#failing = true;
    }
    if (this.#stop.signal.aborted) return;
    this.#cancelTimer = this.#clock.after(next, () => {
      this.#working = this.#round();
    });
  }

  async #renew(): Promise<void> {
    if (this.#held !== undefined) {
      const renewed = await this.#write(this.#held, { renewTime: this.#now() });
      if (renewed) return;
    }
    const lease = await this.#read();
    if (lease === undefined) {
      await this.#create();
      return;
    }
    const other = this.#liveHolder(lease.spec);
    this.#noteOther(other);
    if (other === undefined) await this.#write(lease.metadata.resourceVersion, this.#claim(lease.spec));
  }

  async #read(): Promise<Lease | undefined> {
    try {
      return await this.#options.api.get<Lease>(this.#path, { signal: this.#stop.signal });
    } catch (error) {
      if (isNotFound(error)) return undefined;
      throw error;
    }
  }

  async #create(): Promise<void> {
    const { api, namespace, nodeName } = this.#options;
    const metadata = { name: `berth-${nodeName}`, namespace };
    const lease = { apiVersion: "coordination.k8s.io/v1", kind: "Lease", metadata, spec: this.#claim(undefined) };
    try {
      const created = await api.create<Lease>(leasePath(namespace), lease, { signal: this.#stop.signal });
      this.#held = created.metadata.resourceVersion;
      this.#noteOther(undefined);
    } catch (error) {
      if (!isAlreadyExists(error)) throw error; // Else: someone was quicker; the next round looks.
    }
  }

  /** Writes if the lease is still at `version`; false when it has changed or gone meanwhile. */
  async #write(version: string, spec: LeaseSpec): Promise<boolean> {
    this.#held = undefined;
    const patch = { metadata: { resourceVersion: version }, spec };
    try {
      const lease = await this.#options.api.mergePatch<Lease>(this.#path, patch, { signal: this.#stop.signal });
      this.#held = lease.metadata.resourceVersion;
      return true;
    } catch (error) {
      if (isConflict(error) || isNotFound(error)) return false;
      throw error;
    }
  }

  #claim(former: LeaseSpec | undefined): LeaseSpec {
    const { holder } = this.#options;
    const now = this.#now();
    const transitions = former?.leaseTransitions ?? 0;
    return {
      holderIdentity: holder,
      leaseDurationSeconds: DURATION_SECONDS,
      acquireTime: former?.holderIdentity === holder ? (former.acquireTime ?? now) : now,
      renewTime: now,
      leaseTransitions: former === undefined || former.holderIdentity === holder ? transitions : transitions + 1,
    };
  }

  #liveHolder(spec: LeaseSpec | undefined): string | undefined {
    const { holder, isPredecessor } = this.#options;
    const other = spec?.holderIdentity;
    if (other === undefined || other === "" || other === holder || isPredecessor?.(other) === true) return undefined;
    const until = Date.parse(spec?.renewTime ?? "") + (spec?.leaseDurationSeconds ?? DURATION_SECONDS) * 1000;
    return until > this.#clock.now() ? other : undefined;
  }

  #noteOther(other: string | undefined): void {
    const { logger, nodeName } = this.#options;
    if (other !== undefined && other !== this.#otherHolder)
      logger.error({ holder: other, lease: this.#path }, `another agent runs under the node name ${nodeName}`);
    this.#otherHolder = other;
  }

  /** A metav1.MicroTime. */
  #now(): string {
    return new Date(this.#clock.now()).toISOString().replace("Z", "000Z");
  }
}
