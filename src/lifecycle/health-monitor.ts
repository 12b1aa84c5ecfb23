/**
 * Checks containers' health while they run. What a check finds goes into the container's record, if it is news; the key is
 * then looked at again, which tells it and acts on it. So the health outlives the agent.
 */
import { setTimeout as delay } from "node:timers/promises";
import { isDeepStrictEqual } from "node:util";
import type { Logger } from "pino";
import { isUnavailable } from "../containerd/index.ts";
import type { Healthcheck } from "../oci/index.ts";
import type { Desired, Instance } from "./decide.ts";
import {
  afterProbe,
  type Health,
  healthOf,
  type HealthRecord,
  isNews,
  type ProbeResult,
  waitBeforeProbe,
} from "./health.ts";
import type { Applied } from "./record.ts";

/** What timers can count to. */
const LONGEST_MS = 2 ** 31 - 1;

/** A run of a container that is to be checked. */
export interface Watched {
  readonly id: string;
  readonly applied: Applied;
  /** When the run was started. */
  readonly run: string;
  /** The same in the milliseconds of {@link HealthMonitorOptions.uptime}. */
  readonly startedMs?: number;
  readonly check: Healthcheck;
}

/** What the monitor is made from. */
export interface HealthMonitorOptions {
  /** Milliseconds since the node's boot, whatever the clock is set to. */
  readonly uptime: () => number;
  /**
   * Checks once.
   * @throws when nothing can be told of the container: containerd is away, or the signal was aborted
   */
  readonly probe: (watched: Watched, signal: AbortSignal) => Promise<ProbeResult>;
  /** Clears up after a check that another process began. */
  readonly clear: (id: string) => Promise<void>;
  /** Whether the container still runs: one that has ended, or is frozen, can't pass a check. */
  readonly runs: (id: string) => Promise<boolean>;
  readonly save: (id: string, health: HealthRecord) => Promise<void>;
  /** There is news of a key. */
  readonly onNews: (key: string, watched: Watched, before: Health, after: Health) => void;
  readonly logger: Logger;
}

interface Loop {
  readonly watched: Watched;
  readonly controller: AbortController;
  readonly ended: Promise<void>;
}

/** One loop of checks for each container that runs and has a check. */
export class HealthMonitor {
  readonly #options: HealthMonitorOptions;
  readonly #loops = new Map<string, Loop>();
  #closed = false;

  constructor(options: HealthMonitorOptions) {
    this.#options = options;
  }

  /** Checks what runs by the check it has now; ends that for what does not, or not for long. */
  follow(key: string, instance: Instance | undefined, desired: Desired): void {
    const wish = desired.kind === "present" && instance?.task?.status === "running" ? watchedOf(instance) : undefined;
    const loop = this.#loops.get(key);
    if (wish !== undefined && loop !== undefined && isSame(loop.watched, wish.watched)) return;
    void this.stop(key);
    if (wish === undefined || this.#closed) return;
    const controller = new AbortController();
    const ended = this.#run(key, wish, controller.signal).catch((error: unknown) => {
      if (!controller.signal.aborted) this.#options.logger.error({ err: error, key }, "health is not checked any more");
    });
    this.#loops.set(key, { watched: wish.watched, controller, ended });
  }

  /** Ends the checks of a key; resolves when the one under way has ended, too. */
  async stop(key: string): Promise<void> {
    const loop = this.#loops.get(key);
    this.#loops.delete(key);
    loop?.controller.abort();
    await loop?.ended;
  }

  /** Ends all checks. */
  async close(): Promise<void> {
    this.#closed = true;
    await Promise.all([...this.#loops.keys()].map((key) => this.stop(key)));
  }

  async #run(
    key: string,
    { watched, health }: { watched: Watched; health: Health },
    signal: AbortSignal,
  ): Promise<void> {
    const { uptime } = this.#options;
    const { check, startedMs = uptime() } = watched;
    const sinceStart = (): number => uptime() - startedMs;
    await this.#options.clear(watched.id).catch(() => undefined);
    // What is known already need not be found out at once; what is not was due an interval after the start.
    const isKnown = health.output !== undefined;
    let wait = waitBeforeProbe(health, check, isKnown ? sinceStart() : 0) - (isKnown ? 0 : sinceStart());
    let now = health;
    for (let told = health; ; wait = waitBeforeProbe(now, check, sinceStart())) {
      await delay(Math.min(Math.max(wait, 0), LONGEST_MS), undefined, { signal });
      const begun = sinceStart();
      const result = await this.#probe(watched, signal);
      if (result === undefined) continue;
      now = afterProbe(now, result, check, begun);
      if (!isNews(told, now) || !(await this.#save(watched, now))) continue;
      signal.throwIfAborted();
      this.#options.onNews(key, watched, told, now);
      told = now;
    }
  }

  /** The result of a check; undefined when it says nothing of the container. */
  async #probe(watched: Watched, signal: AbortSignal): Promise<ProbeResult | undefined> {
    const { probe, runs, logger } = this.#options;
    try {
      const result = await probe(watched, signal);
      const counts = result.healthy || (await runs(watched.id));
      signal.throwIfAborted();
      return counts ? result : undefined;
    } catch (error) {
      signal.throwIfAborted();
      logger.debug({ err: error, container: watched.id }, "a healthcheck could not be made");
      return undefined;
    }
  }

  async #save({ id, run, check }: Watched, health: Health): Promise<boolean> {
    try {
      await this.#options.save(id, { ...health, run, probe: check.probe });
      return true;
    } catch (error) {
      const level = isUnavailable(error) ? "debug" : "warn";
      this.#options.logger[level]({ err: error, container: id }, "health could not be recorded");
      return false;
    }
  }
}

function watchedOf({ record }: Instance): { watched: Watched; health: Health } | undefined {
  const { id, applied, state } = record;
  const found = healthOf(record);
  if (found === undefined || state.run === undefined || state.stopping !== undefined) return undefined;
  const { startedAt: run, startedMs } = state.run;
  const since = startedMs === undefined ? {} : { startedMs };
  return { watched: { id, applied, run, ...since, check: found.check }, health: found.health };
}

function isSame(a: Watched, b: Watched): boolean {
  return a.id === b.id && a.run === b.run && isDeepStrictEqual(a.check, b.check);
}
