/** What the controller tells Prometheus. */
import { MARK_REASONS } from "../api/index.ts";
import { ProcessMetrics } from "./process-metrics.ts";

/** What is asked of the controller at each scrape. */
export interface ControllerState {
  readonly version: string;
  readonly leading: () => boolean;
  /** How each node's agent stands. */
  readonly standings: () => Iterable<string>;
  /** How many keys wait in each queue. */
  readonly depths: () => Readonly<Record<string, number>>;
  /** Whether what it follows can be followed. */
  readonly ready: () => Iterable<readonly [dependency: string, ok: boolean]>;
}

const QUEUES = ["containers", "checkpoints", "leases"];
const WATCHED = ["containers", "containercheckpoints", "leases", "nodes"];
const STANDINGS = ["undecided", "alive", "silent", "gone", "none"];
const RELEASED = ["containers", "containercheckpoints"];

/** One controller's metrics. */
export class ControllerMetrics extends ProcessMetrics {
  readonly #marks = this.counter(
    "berth_controller_marks_total",
    "Statuses written for an agent that can't, by the reason that they give.",
    ["reason"],
  );
  readonly #releases = this.counter(
    "berth_controller_releases_total",
    "Objects released from their finalizer without having been cleaned up.",
    ["resource"],
  );

  constructor({ version, leading, standings, depths, ready }: ControllerState) {
    super({ queues: QUEUES, watched: WATCHED, depths });
    this.gauge("berth_controller_info", "1, with the controller's version.", ["version"], () => [[{ version }, 1]]);
    this.gauge("berth_controller_leading", "1 while this controller leads, else 0.", [], () => [
      [{}, leading() ? 1 : 0],
    ]);
    this.gauge(
      "berth_controller_agents",
      "Nodes that have an agent or ought to, by how it stands.",
      ["standing"],
      () => {
        const counts = new Map(STANDINGS.map((standing) => [standing, 0]));
        for (const standing of standings()) counts.set(standing, (counts.get(standing) ?? 0) + 1);
        return [...counts].map(([standing, count]) => [{ standing }, count]);
      },
    );
    const isReady = "1 where what the controller follows can be followed, else 0, as in /readyz.";
    this.gauge("berth_controller_ready", isReady, ["dependency"], () =>
      [...ready()].map(([dependency, ok]) => [{ dependency }, ok ? 1 : 0]),
    );
    for (const reason of MARK_REASONS) this.#marks.inc({ reason }, 0);
    for (const resource of RELEASED) this.#releases.inc({ resource }, 0);
  }

  /** A Container's status was written. */
  marked(reason: string): void {
    this.#marks.inc({ reason });
  }

  /** A finalizer was taken off. */
  released(resource: string): void {
    this.#releases.inc({ resource });
  }
}
