/** What every process of Berth that works by queues and follows the API server tells Prometheus. */
import { performance } from "node:perf_hooks";
import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from "prom-client";

/** What is asked of the process. */
export interface ProcessState {
  /** Names of its queues, and of the resources that it watches. */
  readonly queues: readonly string[];
  readonly watched: readonly string[];
  /** How many keys wait in each queue. */
  readonly depths: () => Readonly<Record<string, number>>;
}

/** Seconds: what goes on on the node, in milliseconds at best, in seconds under load. */
const QUICK = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30];
const WATCH_ENDS = ["closed", "error", "broken"];

/**
 * What prom-client has that Berth does without: figures of the event loop that want a timer each few milliseconds, which
 * would be most of an idle process's work, and gauges that are named as if they were counters.
 */
const WITHOUT = [
  ...["min", "max", "mean", "stddev", "p50", "p90", "p99"].map((name) => `nodejs_eventloop_lag_${name}_seconds`),
  ...["handles", "requests", "resources"].map((name) => `nodejs_active_${name}_total`),
];
/** Milliseconds between samples of the event loop: never, as far as Berth is concerned. */
const NEVER_MS = 2 ** 31 - 1;

/** One process's metrics: a base to add others to. */
export class ProcessMetrics {
  readonly #registry = new Registry();
  readonly #waits = this.histogram(
    "berth_workqueue_queue_duration_seconds",
    "Seconds that a key waited in the queue until it was worked on.",
    ["queue"],
  );
  readonly #reconciles = this.histogram(
    "berth_reconcile_duration_seconds",
    "Seconds that a reconcile of a key took. One that ends in an error comes again after a backoff.",
    ["queue", "result"],
  );
  readonly #requests = this.histogram(
    "berth_apiserver_request_duration_seconds",
    "Seconds until the API server's answer was there, of a WATCH until it was accepted. The code is <error> where none came.",
    ["verb", "resource", "code"],
  );
  readonly #watchEnds = this.counter(
    "berth_apiserver_watch_ends_total",
    "Watches that ended and were begun again: closed by the server, as it does each 5 to 10 minutes, with an error, or broken.",
    ["resource", "how"],
  );

  constructor({ queues, watched, depths }: ProcessState) {
    this.gauge("berth_workqueue_depth", "Keys that wait in the queue.", ["queue"], () =>
      Object.entries(depths()).map(([queue, depth]) => [{ queue }, depth]),
    );
    this.#describeProcess();
    for (const queue of queues) for (const result of ["success", "error"]) this.#reconciles.zero({ queue, result });
    for (const resource of watched) for (const how of WATCH_ENDS) this.#watchEnds.inc({ resource, how }, 0);
  }

  /** All of them, in Prometheus' text format. */
  text(): Promise<string> {
    return this.#registry.metrics();
  }

  /** A key's work, for the queue of that name. */
  work(queue: string, waitedSeconds: number, work: () => Promise<boolean>): Promise<void> {
    this.#waits.observe({ queue }, waitedSeconds);
    const begun = performance.now();
    return work().then((succeeded) => {
      const result = succeeded ? "success" : "error";
      this.#reconciles.observe({ queue, result }, (performance.now() - begun) / 1000);
    });
  }

  /** Fits `RequestObserver`, as {@link onWatchEnd}. */
  onRequest(verb: string, resource: string, code: number | undefined, seconds: number): void {
    this.#requests.observe({ verb, resource, code: code ?? "<error>" }, seconds);
  }

  onWatchEnd(resource: string, how: string): void {
    this.#watchEnds.inc({ resource, how });
  }

  protected histogram<L extends string>(name: string, help: string, labelNames: L[], buckets = QUICK): Histogram<L> {
    return new Histogram({ name, help, labelNames, buckets, registers: [this.#registry] });
  }

  protected counter<L extends string>(name: string, help: string, labelNames: L[]): Counter<L> {
    return new Counter({ name, help, labelNames, registers: [this.#registry] });
  }

  /** A gauge whose values are asked for at each scrape. */
  protected gauge<L extends string>(
    name: string,
    help: string,
    labelNames: L[],
    values: () => Iterable<readonly [labels: Record<L, string>, value: number]>,
  ): void {
    const collect = function (this: Gauge<L>): void {
      this.reset();
      for (const [labels, value] of values()) this.set(labels, value);
    };
    new Gauge({ name, help, labelNames, registers: [this.#registry], collect });
  }

  #describeProcess(): void {
    collectDefaultMetrics({ register: this.#registry, eventLoopMonitoringPrecision: NEVER_MS });
    for (const name of WITHOUT) this.#registry.removeSingleMetric(name);
    new Counter({
      name: "nodejs_eventloop_time_seconds_total",
      help: "Seconds that the event loop was idle or active. The rate of active is its utilization.",
      labelNames: ["state"],
      registers: [this.#registry],
      collect() {
        const { idle, active } = performance.eventLoopUtilization();
        this.reset();
        this.inc({ state: "idle" }, idle / 1000);
        this.inc({ state: "active" }, active / 1000);
      },
    });
  }
}
