import type { Logger } from "pino";
import type { KubeApi } from "./api.ts";
import { systemClock, type Clock } from "./clock.ts";
import { isAlreadyExists, isConflict, isNotFound } from "./errors.ts";
import { type Lease, type LeaseSpec, microTime } from "./lease.ts";
import { leasePath } from "./paths.ts";

/** client-go's three times of a leader election, milliseconds. */
export type ElectionTiming = {
  /** Who was not seen to renew for so long may be followed by another. */
  leaseMs: number;
  /** A leader that could not renew for so long stops; less than `leaseMs`. */
  renewDeadlineMs: number;
  /** Between two tries, of the leader and of those who wait; less than `renewDeadlineMs`. */
  retryMs: number;
};

/** What is done only as a leader was asked of somebody who is none, or no more. */
export class NotLeader extends Error {
  override readonly name = "NotLeader";

  constructor() {
    super("not the leader");
  }
}

export type LeaderElectorOptions = {
  api: KubeApi;
  namespace: string;
  /** The Lease's name. */
  name: string;
  /** Who this process is; unique among all there are and were. */
  identity: string;
  timing: ElectionTiming;
  /** Called once, when this process leads. */
  onLeading: () => void;
  /** Called once, when it leads no more and did not want that. Nothing is tried again: the process should end. */
  onLost: (why: string) => void;
  logger: Logger;
  clock?: Clock;
  /** Milliseconds of a clock that nobody sets. */
  uptime?: () => number;
};

/**
 * One leader among the processes that share a Lease, by the rules of client-go's leader election. No two machines' clocks
 * are compared: another's Lease holds until it was not seen to change for its whole duration, and an own one counts from
 * before the renewal was sent, for less than that. So whoever asks {@link leading}, or writes within {@link lead}, is
 * never one of two, as long as a request does not take longer than the two times differ by.
 */
export class LeaderElector {
  readonly #options: LeaderElectorOptions;
  readonly #clock: Clock;
  readonly #uptime: () => number;
  readonly #path: string;
  readonly #over = new AbortController();
  #cancelTry: () => void = () => undefined;
  #cancelDeadline: () => void = () => undefined;
  #trying: Promise<void> = Promise.resolve();
  /** When the last renewal that succeeded was sent; undefined while this process has never led. */
  #renewedAt: number | undefined;
  /** The Lease as written last. */
  #own: Lease | undefined;
  #seen: { version: string; at: number } | undefined;
  #failing = false;

  constructor(options: LeaderElectorOptions) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    this.#uptime = options.uptime ?? (() => performance.now());
    this.#path = leasePath(options.namespace, options.name);
  }

  /** Whether this process leads at this moment; asks the clock, so it is right also after the process was frozen. */
  get leading(): boolean {
    return (
      !this.#over.signal.aborted && this.#renewedAt !== undefined && this.#uptime() < this.#deadline(this.#renewedAt)
    );
  }

  /**
   * Does a request that only the leader may do. It gets a signal that ends with the leadership, and the time that the
   * request may take: after it, another may lead.
   * @throws NotLeader; what `request` throws
   */
  async lead<T>(request: (options: { signal: AbortSignal; timeoutMs: number }) => Promise<T>): Promise<T> {
    if (!this.leading) throw new NotLeader();
    const { leaseMs, renewDeadlineMs } = this.#options.timing;
    return request({ signal: this.#over.signal, timeoutMs: Math.max(1, (leaseMs - renewDeadlineMs) * 0.8) });
  }

  /** Begins to stand for election. */
  start(): void {
    this.#try();
  }

  /** Ends that. A Lease that is held is given up, so that another need not wait for its end. */
  async stop(): Promise<void> {
    const led = this.leading;
    this.#end(new NotLeader());
    await this.#trying;
    if (!led || this.#own === undefined) return;
    // As client-go does it: nobody holds it, and the end of that is near.
    const { resourceVersion } = this.#own.metadata;
    const now = microTime(this.#clock.now());
    const spec = { holderIdentity: null, leaseDurationSeconds: 1, renewTime: now, acquireTime: now };
    try {
      await this.#options.api.mergePatch(this.#path, { metadata: { resourceVersion }, spec }, { timeoutMs: 2000 });
    } catch (error) {
      this.#options.logger.debug({ err: error }, "the leadership could not be given up, and runs out by itself");
    }
  }

  #deadline(renewedAt: number): number {
    return renewedAt + this.#options.timing.renewDeadlineMs;
  }

  #end(reason: NotLeader): void {
    this.#cancelTry();
    this.#cancelDeadline();
    this.#over.abort(reason);
  }

  #lose(why: string): void {
    if (this.#over.signal.aborted) return;
    this.#end(new NotLeader());
    this.#options.onLost(why);
  }

  #try(): void {
    this.#trying = this.#round().catch((error: unknown) => {
      this.#options.logger.error({ err: error }, "the election goes wrong");
    });
  }

  async #round(): Promise<void> {
    const { logger, timing } = this.#options;
    // A process that was frozen finds its timers due: what it was is over.
    if (this.#renewedAt !== undefined && !this.leading) {
      this.#lose("the Lease was not renewed in time");
      return;
    }
    const sent = this.#uptime();
    try {
      const other = await this.#acquire();
      this.#failing = false;
      if (other === undefined) this.#renewed(sent);
      else if (this.#renewedAt !== undefined) this.#lose(`${other} leads`);
    } catch (error) {
      if (this.#over.signal.aborted) return;
      if (!this.#failing) logger.warn({ lease: this.#path, err: error }, "the Lease can't be had now, trying again");
      this.#failing = true;
    }
    if (this.#over.signal.aborted) return;
    // Those who wait spread their tries.
    const wait = this.#renewedAt === undefined ? timing.retryMs * (1 + 0.2 * Math.random()) : timing.retryMs;
    this.#cancelTry = this.#clock.after(wait, () => {
      this.#try();
    });
  }

  #renewed(sent: number): void {
    if (this.#over.signal.aborted) return;
    const isFirst = this.#renewedAt === undefined;
    this.#renewedAt = sent;
    this.#cancelDeadline();
    this.#cancelDeadline = this.#clock.after(Math.max(0, this.#deadline(sent) - this.#uptime()), () => {
      this.#lose("the Lease could not be renewed in time");
    });
    if (isFirst && this.leading) this.#options.onLeading();
  }

  /** Renews or takes the Lease; answers with whoever else holds it. */
  async #acquire(): Promise<string | undefined> {
    const renewTime = microTime(this.#clock.now());
    if (this.#own !== undefined && (await this.#write(this.#own.metadata.resourceVersion, { renewTime })))
      return undefined;
    const lease = await this.#read();
    const other = lease === undefined ? undefined : this.#liveHolder(lease);
    if (other !== undefined) return other;
    const claim = this.#claim(lease?.spec);
    const isOurs = await (lease === undefined
      ? this.#create(claim)
      : this.#write(lease.metadata.resourceVersion, claim));
    return isOurs ? undefined : "another one";
  }

  #claim(former: LeaseSpec | undefined): LeaseSpec {
    const { identity, timing } = this.#options;
    const now = microTime(this.#clock.now());
    const isOwn = former?.holderIdentity === identity;
    return {
      holderIdentity: identity,
      leaseDurationSeconds: Math.ceil(timing.leaseMs / 1000),
      acquireTime: isOwn ? (former.acquireTime ?? now) : now,
      renewTime: now,
      leaseTransitions: (former?.leaseTransitions ?? 0) + (isOwn || former === undefined ? 0 : 1),
    };
  }

  #liveHolder({ metadata, spec }: Lease): string | undefined {
    const holder = spec?.holderIdentity;
    if (holder === undefined || holder === "" || holder === this.#options.identity) return undefined;
    const { resourceVersion: version } = metadata;
    if (this.#seen?.version !== version) this.#seen = { version, at: this.#uptime() };
    const seconds = spec?.leaseDurationSeconds;
    const until = this.#seen.at + (seconds === undefined ? this.#options.timing.leaseMs : seconds * 1000);
    return this.#uptime() < until ? holder : undefined;
  }

  async #read(): Promise<Lease | undefined> {
    try {
      return await this.#options.api.get<Lease>(this.#path, this.#request());
    } catch (error) {
      if (isNotFound(error)) return undefined;
      throw error;
    }
  }

  /** False when there is one meanwhile. */
  async #create(spec: LeaseSpec): Promise<boolean> {
    const { api, namespace, name } = this.#options;
    const lease = { apiVersion: "coordination.k8s.io/v1", kind: "Lease", metadata: { name, namespace }, spec };
    try {
      this.#own = await api.create<Lease>(leasePath(namespace), lease, this.#request());
      return true;
    } catch (error) {
      if (!isAlreadyExists(error)) throw error;
      return false;
    }
  }

  /** Writes if the Lease is still at `version`; false when it has changed or gone meanwhile. */
  async #write(version: string, spec: LeaseSpec): Promise<boolean> {
    this.#own = undefined;
    try {
      const patch = { metadata: { resourceVersion: version }, spec };
      this.#own = await this.#options.api.mergePatch<Lease>(this.#path, patch, this.#request());
      return true;
    } catch (error) {
      if (isConflict(error) || isNotFound(error)) return false;
      throw error;
    }
  }

  #request(): { signal: AbortSignal; timeoutMs: number } {
    return { signal: this.#over.signal, timeoutMs: this.#options.timing.renewDeadlineMs };
  }
}
