/**
 * What the agent tells Prometheus. The parts report through interfaces of their own, which Metrics fits; none of them
 * knows of it. All labels have few values: no names of objects, namespaces or images.
 */
import { performance } from "node:perf_hooks";
import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from "prom-client";
import type { EndReason, StartReason, State } from "../api/index.ts";

/** What is asked of the agent at each scrape. */
export interface AgentState {
  readonly node: string;
  readonly version: string;
  /** `status.state` of each Container. */
  readonly states: () => Iterable<string>;
  /** What all Containers of the node may have together, and what those that hold a place have asked for. */
  readonly budget: () => Amounts;
  readonly requested: () => Amounts;
  /** How many keys wait in each queue. */
  readonly depths: () => Readonly<Record<string, number>>;
  /** Whether what it depends on can be worked with. */
  readonly ready: () => Iterable<readonly [dependency: string, ok: boolean]>;
}

/** Thousandths of CPUs, bytes of memory, processes. */
interface Amounts {
  readonly milliCPU?: number;
  readonly memoryBytes?: number;
  readonly pids?: number;
}

/** Seconds: what goes on on the node, in milliseconds at best, in seconds under load. */
const QUICK = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30];
/** Seconds: what comes from a registry. */
const SLOW = [0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600];

// All that are in the type, and no other: the compiler sees to it.
const STATES = Object.keys({
  Pending: 0,
  Running: 0,
  Paused: 0,
  Restarting: 0,
  Exited: 0,
  Dead: 0,
  Removing: 0,
  Unknown: 0,
} satisfies Record<State, 0>);

/** Label values that are there from the start: Prometheus can't see the first increase of a series that comes with it. */
const QUEUES = ["containers", "checkpoints"];
const WATCHED = ["containers", "containercheckpoints", "namespaces"];
const WATCH_ENDS = ["closed", "error", "broken"];
const CAUSES = ["policy", "request"];
const END_REASONS = Object.keys({
  Completed: 0,
  Error: 0,
  OOMKilled: 0,
  Unhealthy: 0,
  Checkpointed: 0,
  NodeRebooted: 0,
  Unknown: 0,
} satisfies Record<EndReason | "Unhealthy", 0>);
/** Waiting is no failure, and what may not be at all (Forbidden) is not tried. */
type Failure = Exclude<StartReason, `Waiting${string}` | "InsufficientResources" | "RuntimeUnavailable" | "Forbidden">;
const START_FAILURES = Object.keys({
  CommandNotFound: 0,
  CommandNotExecutable: 0,
  MountMismatch: 0,
  InvalidSpec: 0,
  ErrImagePull: 0,
  ImagePullBackOff: 0,
  ErrImageNeverPull: 0,
  InvalidImageName: 0,
  VolumeSetupFailed: 0,
  NetworkSetupFailed: 0,
  RuntimeError: 0,
} satisfies Record<Failure, 0>);

/**
 * What prom-client has that an agent does without: figures of the event loop that want a timer each few milliseconds, which
 * would be most of an idle agent's work, and gauges that are named as if they were counters.
 */
const WITHOUT = [
  ...["min", "max", "mean", "stddev", "p50", "p90", "p99"].map((name) => `nodejs_eventloop_lag_${name}_seconds`),
  ...["handles", "requests", "resources"].map((name) => `nodejs_active_${name}_total`),
];
/** Milliseconds between samples of the event loop: never, as far as an agent is concerned. */
const NEVER_MS = 2 ** 31 - 1;

/** One agent's metrics. */
export class Metrics {
  readonly #registry = new Registry();
  readonly #waits = this.#histogram(
    "berth_workqueue_queue_duration_seconds",
    "Seconds that a key waited in the queue until it was worked on.",
    ["queue"],
  );
  readonly #reconciles = this.#histogram(
    "berth_reconcile_duration_seconds",
    "Seconds that a reconcile of a key took. One that ends in an error comes again after a backoff.",
    ["queue", "result"],
  );
  readonly #steps = this.#histogram(
    "berth_step_duration_seconds",
    "Seconds that a step of a reconcile took. create and startAgain are whole starts.",
    ["verb", "result"],
  );
  readonly #phases = this.#histogram(
    "berth_start_phase_duration_seconds",
    "Seconds that a phase of a start took, where it succeeded. storage and network go side by side.",
    ["phase"],
  );
  readonly #startFailures = this.#counter(
    "berth_start_failures_total",
    "Starts that failed, by the reason that the status gives.",
    ["reason"],
  );
  readonly #restarts = this.#counter(
    "berth_container_restarts_total",
    "Containers started again after a run, by their restart policy or on request.",
    ["cause"],
  );
  readonly #ends = this.#counter(
    "berth_container_ends_total",
    "Runs of containers that ended, by the reason that the status gives.",
    ["reason"],
  );
  readonly #pulls = this.#histogram(
    "berth_image_pull_duration_seconds",
    "Seconds that a pull of an image took, with its unpacking.",
    ["result"],
    SLOW,
  );
  readonly #pullBytes = this.#counter("berth_image_pull_bytes_total", "Bytes of images fetched from registries.", []);
  readonly #requests = this.#histogram(
    "berth_apiserver_request_duration_seconds",
    "Seconds until the API server's answer was there, of a WATCH until it was accepted. The code is <error> where none came.",
    ["verb", "resource", "code"],
  );
  readonly #watchEnds = this.#counter(
    "berth_apiserver_watch_ends_total",
    "Watches that ended and were begun again: closed by the server, as it does each 5 to 10 minutes, with an error, or broken.",
    ["resource", "how"],
  );
  readonly #calls = this.#histogram(
    "berth_containerd_call_duration_seconds",
    "Seconds that a call to containerd took, by its gRPC status.",
    ["method", "code"],
  );

  constructor(state: AgentState) {
    this.#describe(state);
    this.#describeProcess();
    for (const queue of QUEUES) for (const result of ["success", "error"]) this.#reconciles.zero({ queue, result });
    for (const resource of WATCHED) for (const how of WATCH_ENDS) this.#watchEnds.inc({ resource, how }, 0);
    for (const cause of CAUSES) this.#restarts.inc({ cause }, 0);
    for (const reason of END_REASONS) this.#ends.inc({ reason }, 0);
    for (const reason of START_FAILURES) this.#startFailures.inc({ reason }, 0);
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

  step(verb: string, result: string, seconds: number): void {
    this.#steps.observe({ verb, result }, seconds);
  }

  phase(phase: string, seconds: number): void {
    this.#phases.observe({ phase }, seconds);
  }

  startFailed(reason: string): void {
    this.#startFailures.inc({ reason });
  }

  restarted(cause: string): void {
    this.#restarts.inc({ cause });
  }

  ended(reason: string): void {
    this.#ends.inc({ reason });
  }

  pulled(result: string, seconds: number): void {
    this.#pulls.observe({ result }, seconds);
  }

  fetched(bytes: number): void {
    this.#pullBytes.inc(bytes);
  }

  onRequest(verb: string, resource: string, code: number | undefined, seconds: number): void {
    this.#requests.observe({ verb, resource, code: code ?? "<error>" }, seconds);
  }

  onWatchEnd(resource: string, how: string): void {
    this.#watchEnds.inc({ resource, how });
  }

  onCall(method: string, code: string, seconds: number): void {
    this.#calls.observe({ method, code }, seconds);
  }

  #histogram<L extends string>(name: string, help: string, labelNames: L[], buckets = QUICK): Histogram<L> {
    return new Histogram({ name, help, labelNames, buckets, registers: [this.#registry] });
  }

  #counter<L extends string>(name: string, help: string, labelNames: L[]): Counter<L> {
    return new Counter({ name, help, labelNames, registers: [this.#registry] });
  }

  /** A gauge whose values are asked for at each scrape. */
  #gauge<L extends string>(
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

  #describe(state: AgentState): void {
    const { node, version, states, depths, ready } = state;
    this.#gauge("berth_agent_info", "1, with the node's name and the agent's version.", ["node", "version"], () => [
      [{ node, version }, 1],
    ]);
    const isReady =
      "1 where what the agent depends on (containerd, apiserver) can be worked with, else 0, as in /readyz.";
    this.#gauge("berth_agent_ready", isReady, ["dependency"], () =>
      [...ready()].map(([dependency, ok]) => [{ dependency }, ok ? 1 : 0]),
    );
    this.#gauge("berth_containers", "Containers of this node, by status.state.", ["state"], () => {
      const counts = new Map(STATES.map((state) => [state, 0]));
      for (const state of states()) counts.set(state, (counts.get(state) ?? 0) + 1);
      return [...counts].map(([state, count]) => [{ state }, count]);
    });
    this.#describeRoom(state);
    this.#gauge("berth_workqueue_depth", "Keys that wait in the queue.", ["queue"], () =>
      Object.entries(depths()).map(([queue, depth]) => [{ queue }, depth]),
    );
  }

  /** Named and labelled as kube-state-metrics has those of nodes and Pods. */
  #describeRoom({ budget, requested }: AgentState): void {
    const series = ({ milliCPU, memoryBytes, pids }: Amounts) =>
      [
        [{ resource: "cpu", unit: "core" }, milliCPU === undefined ? undefined : milliCPU / 1000],
        [{ resource: "memory", unit: "byte" }, memoryBytes],
        [{ resource: "pids", unit: "integer" }, pids],
      ].filter((one): one is [{ resource: string; unit: string }, number] => one[1] !== undefined);
    const labels: ("resource" | "unit")[] = ["resource", "unit"];
    const ofBudget = "What all Containers of the node may have together. Absent where there is no budget.";
    this.#gauge("berth_node_budget", ofBudget, labels, () => series(budget()));
    const ofRequests = "What the Containers that hold a place on the node have asked for.";
    this.#gauge("berth_node_requested", ofRequests, labels, () => series(requested()));
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
