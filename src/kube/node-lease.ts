import type { Logger } from "pino";
import type { KubeApi } from "./api.ts";
import { systemClock, type Clock } from "./clock.ts";
import { ApiError, isAlreadyExists, isConflict, isNotFound, isUnavailable } from "./errors.ts";
import { type Lease, type LeaseSpec, microTime, nodeLeaseName } from "./lease.ts";
import { leasePath } from "./paths.ts";

const RENEW_MS = 60_000;
/** Sooner than the next renewal, so that the lease outlives a short outage. */
const RETRY_MS = 10_000;
/** A holder that was not seen to renew for so long, two renewals and then some, is gone. */
export const NODE_LEASE_SECONDS = 150;

/** Each time that it fails, somebody else has written. */
const CLAIM_TRIES = 5;

export type NodeLeaseOptions = {
  api: KubeApi;
  /** Names the lease: `berth-<nodeName>`. */
  nodeName: string;
  namespace: string;
  /** Who this process is; unique among all agents there are and were. */
  holder: string;
  /** Whether a holder is a former process of this same agent, whose lease is taken over without waiting for its end. */
  isPredecessor?: (holder: string) => boolean;
  /** Told when another live agent turns out to hold the node's name, and (undefined) when none does any more. */
  onOther?: (holder: string | undefined) => void;
  logger: Logger;
  clock?: Clock;
  /** Milliseconds of a clock that nobody sets. */
  uptime?: () => number;
};

/**
 * This agent's claim on its node's name, a coordination.k8s.io Lease renewed once a minute: it shows that the agent lives,
 * and tells it when another agent runs under the same node name. Losing sight of the API server loses nothing.
 *
 * As in client-go's leader election, no two machines' clocks are compared: a holder lives as long as its renewals are seen
 * to come, and one that was found in the lease is given the lease's whole duration for the next.
 */
export class NodeLease {
  readonly #options: NodeLeaseOptions;
  readonly #clock: Clock;
  readonly #uptime: () => number;
  readonly #path: string;
  readonly #stop = new AbortController();
  #cancelTimer: () => void = () => undefined;
  #working: Promise<void> = Promise.resolve();
  #claimed: Promise<void> | undefined;
  /** Version of our last write; a renewal that builds on it needs no look before. */
  #held: string | undefined;
  #otherHolder: string | undefined;
  /** The other holder's last renewal that was seen, and until when that holds. */
  #seen: { version: string; until: number } | undefined;
  #wasHeld = false;
  #failing = false;

  constructor(options: NodeLeaseOptions) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    this.#uptime = options.uptime ?? (() => performance.now());
    this.#path = leasePath(options.namespace, nodeLeaseName(options.nodeName));
  }

  /** Another live agent that holds this node's lease. */
  get otherHolder(): string | undefined {
    return this.#otherHolder;
  }

  /** Whether the last renewal made it ours. */
  get held(): boolean {
    return this.#held !== undefined;
  }

  /**
   * Finds out whose the node's name is, and claims it if it is free; from then on the claim is renewed by itself. Later
   * calls do nothing.
   * @throws ApiUnavailable, ApiError (isUnavailable) when that can't be told now
   */
  async claim(): Promise<void> {
    this.#claimed ??= this.#round(true);
    this.#working = this.#claimed.catch(() => undefined);
    try {
      await this.#claimed;
    } catch (error) {
      this.#claimed = undefined;
      throw error;
    }
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

  async #round(isFirst = false): Promise<void> {
    const { logger } = this.#options;
    let next = RENEW_MS;
    try {
      await this.#renew();
      if (this.#failing) logger.info({ lease: this.#path }, "the node's lease is renewed again");
      this.#failing = false;
      if (this.#seen !== undefined) next = Math.min(next, Math.max(this.#seen.until - this.#uptime(), 0));
    } catch (error) {
      if (this.#stop.signal.aborted) return;
      // A server that has no Lease for this agent keeps nobody from work, one that can't answer now will tell.
      if (isFirst && (isUnavailable(error) || !(error instanceof ApiError))) throw error;
      next = RETRY_MS;
      // What was not seen to be renewed may have been as little able to.
      this.#seen = undefined;
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
    if (this.#held !== undefined && (await this.#write(this.#held, { renewTime: this.#now() }))) return;
    for (let tries = 0; tries < CLAIM_TRIES; tries++) {
      const lease = await this.#read();
      const other = lease && this.#liveHolder(lease);
      if (other === undefined) {
        const isOurs = await (lease === undefined
          ? this.#create()
          : this.#write(lease.metadata.resourceVersion, this.#claim(lease.spec)));
        // Someone was quicker.
        if (!isOurs) continue;
        this.#wasHeld = true;
      }
      this.#noteOther(other);
      return;
    }
    throw new Error(`${this.#path} changes faster than it can be claimed`);
  }

  async #read(): Promise<Lease | undefined> {
    try {
      return await this.#options.api.get<Lease>(this.#path, { signal: this.#stop.signal });
    } catch (error) {
      if (isNotFound(error)) return undefined;
      throw error;
    }
  }

  /** False when there is one meanwhile. */
  async #create(): Promise<boolean> {
    const { api, namespace, nodeName } = this.#options;
    const metadata = { name: nodeLeaseName(nodeName), namespace };
    const lease = { apiVersion: "coordination.k8s.io/v1", kind: "Lease", metadata, spec: this.#claim(undefined) };
    try {
      const created = await api.create<Lease>(leasePath(namespace), lease, { signal: this.#stop.signal });
      this.#held = created.metadata.resourceVersion;
      return true;
    } catch (error) {
      if (!isAlreadyExists(error)) throw error;
      return false;
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
      leaseDurationSeconds: NODE_LEASE_SECONDS,
      acquireTime: former?.holderIdentity === holder ? (former.acquireTime ?? now) : now,
      renewTime: now,
      leaseTransitions: former === undefined || former.holderIdentity === holder ? transitions : transitions + 1,
    };
  }

  /** Who else holds a lease, and was not seen to be gone. One that was displaced is displaced by the living. */
  #liveHolder({ metadata, spec }: Lease): string | undefined {
    const { holder, isPredecessor } = this.#options;
    const other = spec?.holderIdentity;
    if (other === undefined || other === "" || other === holder) return undefined;
    if (!this.#wasHeld && isPredecessor?.(other) === true) return undefined;
    const version = metadata.resourceVersion;
    if (this.#seen?.version !== version) {
      const durationMs = (spec?.leaseDurationSeconds ?? NODE_LEASE_SECONDS) * 1000;
      this.#seen = { version, until: this.#uptime() + durationMs };
    }
    return this.#uptime() < this.#seen.until ? other : undefined;
  }

  #noteOther(other: string | undefined): void {
    const { logger, nodeName, onOther } = this.#options;
    if (other === undefined) this.#seen = undefined;
    if (other === this.#otherHolder) return;
    this.#otherHolder = other;
    if (other !== undefined)
      logger.error({ holder: other, lease: this.#path }, `another agent runs under the node name ${nodeName}`);
    else logger.info({ lease: this.#path }, `the node name ${nodeName} is this agent's now`);
    onOther?.(other);
  }

  #now(): string {
    return microTime(this.#clock.now());
  }
}
