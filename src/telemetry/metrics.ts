/**
 * What the agent tells Prometheus. The parts report through interfaces of their own, which Metrics fits; none of them
 * knows of it. All labels have few values: no names of objects, namespaces or images.
 */
import type { EndReason, StartReason, State } from "../api/index.ts";
import { ProcessMetrics } from "./process-metrics.ts";

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

/** One agent's metrics. */
export class Metrics extends ProcessMetrics {
  readonly #steps = this.histogram(
    "berth_step_duration_seconds",
    "Seconds that a step of a reconcile took. create and startAgain are whole starts.",
    ["verb", "result"],
  );
  readonly #phases = this.histogram(
    "berth_start_phase_duration_seconds",
    "Seconds that a phase of a start took, where it succeeded. Some go side by side.",
    ["phase"],
  );
  readonly #startFailures = this.counter(
    "berth_start_failures_total",
    "Starts that failed, by the reason that the status gives.",
    ["reason"],
  );
  readonly #restarts = this.counter(
    "berth_container_restarts_total",
    "Containers started again after a run, by their restart policy or on request.",
    ["cause"],
  );
  readonly #ends = this.counter(
    "berth_container_ends_total",
    "Runs of containers that ended, by the reason that the status gives.",
    ["reason"],
  );
  readonly #pulls = this.histogram(
    "berth_image_pull_duration_seconds",
    "Seconds that a pull of an image took, with its unpacking.",
    ["result"],
    SLOW,
  );
  readonly #pullBytes = this.counter("berth_image_pull_bytes_total", "Bytes of images fetched from registries.", []);
  readonly #calls = this.histogram(
    "berth_containerd_call_duration_seconds",
    "Seconds that a call to containerd took, by its gRPC status.",
    ["method", "code"],
  );

  constructor(state: AgentState) {
    super({ queues: QUEUES, watched: WATCHED, depths: state.depths });
    this.#describe(state);
    for (const cause of CAUSES) this.#restarts.inc({ cause }, 0);
    for (const reason of END_REASONS) this.#ends.inc({ reason }, 0);
    for (const reason of START_FAILURES) this.#startFailures.inc({ reason }, 0);
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

  onCall(method: string, code: string, seconds: number): void {
    this.#calls.observe({ method, code }, seconds);
  }

  #describe(state: AgentState): void {
    const { node, version, states, ready } = state;
    this.gauge("berth_agent_info", "1, with the node's name and the agent's version.", ["node", "version"], () => [
      [{ node, version }, 1],
    ]);
    const isReady =
      "1 where what the agent depends on (containerd, apiserver) can be worked with, else 0, as in /readyz.";
    this.gauge("berth_agent_ready", isReady, ["dependency"], () =>
      [...ready()].map(([dependency, ok]) => [{ dependency }, ok ? 1 : 0]),
    );
    this.gauge("berth_containers", "Containers of this node, by status.state.", ["state"], () => {
      const counts = new Map(STATES.map((state) => [state, 0]));
      for (const state of states()) counts.set(state, (counts.get(state) ?? 0) + 1);
      return [...counts].map(([state, count]) => [{ state }, count]);
    });
    this.#describeRoom(state);
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
    this.gauge("berth_node_budget", ofBudget, labels, () => series(budget()));
    const ofRequests = "What the Containers that hold a place on the node have asked for.";
    this.gauge("berth_node_requested", ofRequests, labels, () => series(requested()));
  }
}
