/** A controller beside a test file's node, and what stands for the parts of a cluster that are not there: Nodes, Leases that run out. */
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { afterEach, beforeAll } from "@jest/globals";
import { Daemon } from "../../hack/cluster/daemon.ts";
import { BERTH } from "../../hack/cluster/local-node.ts";
import { leasePath, type Lease, nodeLeaseName, nodePath } from "../../src/kube/index.ts";
import type { TestNode } from "./test-node.ts";

const [NODE, ...PROGRAM] = BERTH;
const READY_TIMEOUT_MS = 30_000;
const SYSTEM = "berth-system";

/** Waits, milliseconds or so, that a test need not sit through. */
const QUICK = { "grace-period": "2s", "agentless-after": "500ms" };

/** What a controller is started with. */
export interface TestControllerOptions {
  readonly name?: string;
  readonly flags?: Readonly<Record<string, string>>;
  /** Other credentials than its ServiceAccount's. */
  readonly kubeconfig?: string;
}

/** Writes a kubeconfig with the controller's own rights, and answers its path. */
export async function controllerKubeconfig({ cluster, node }: TestNode): Promise<string> {
  const path = join(node.dir, "controller.kubeconfig");
  await cluster.controlPlane.serviceAccountKubeconfig(path, SYSTEM, "berth-controller");
  return path;
}

/** A controller, as a process of its own. */
export class TestController {
  readonly daemon: Daemon;
  readonly metricsAddress: string;
  readonly #command: [string, ...string[]];

  private constructor(daemon: Daemon, metricsAddress: string, command: [string, ...string[]]) {
    this.daemon = daemon;
    this.metricsAddress = metricsAddress;
    this.#command = command;
  }

  /** Starts one and waits until it is ready. */
  static async start(test: TestNode, options: TestControllerOptions = {}): Promise<TestController> {
    const { name = "controller", flags = {} } = options;
    const kubeconfig = options.kubeconfig ?? (await controllerKubeconfig(test));
    // One for each name, above what tests publish and below what the kernel gives to clients.
    const metricsAddress = `127.0.0.1:${30_000 + test.node.index + 300 * (name.charCodeAt(name.length - 1) % 5)}`;
    const all = { ...QUICK, kubeconfig, "metrics-address": metricsAddress, "log-format": "json", ...flags };
    const args = Object.entries(all).map(([flag, value]) => `--${flag}=${value}`);
    const daemon = new Daemon(test.node.dir, name);
    const controller = new TestController(daemon, metricsAddress, [NODE, ...PROGRAM, "controller", ...args]);
    await controller.startAgain();
    return controller;
  }

  /** Starts it, if it has ended, and waits until it is ready. */
  async startAgain(): Promise<void> {
    this.daemon.start(this.#command);
    await this.daemon.waitUntil("ready", () => answers(`http://${this.metricsAddress}/readyz`), READY_TIMEOUT_MS);
  }

  /** What /metrics says, by series. */
  async metrics(): Promise<Map<string, number>> {
    const text = await (await fetch(`http://${this.metricsAddress}/metrics`)).text();
    const lines = text.split("\n").filter((line) => line !== "" && !line.startsWith("#"));
    return new Map(
      lines.map((line) => [line.slice(0, line.lastIndexOf(" ")), Number(line.slice(line.lastIndexOf(" ")))]),
    );
  }

  /** Waits until its log has said something. */
  async untilSaid(words: string, timeoutMs = 30_000): Promise<void> {
    await this.daemon.waitUntil(
      `saying "${words}"`,
      () => Promise.resolve(this.daemon.logTail(1000).includes(words)),
      timeoutMs,
    );
  }

  /** Waits until it has ended by itself. */
  async untilEnded(timeoutMs = 30_000): Promise<void> {
    const deadline = Date.now() + timeoutMs;
    while (this.daemon.pid !== undefined) {
      if (Date.now() > deadline) throw new Error(`the controller goes on\n${this.daemon.logTail()}`);
      await delay(20);
    }
  }

  /** Ends it by SIGTERM. */
  async stop(): Promise<void> {
    await this.daemon.stop();
  }
}

/** A controller for all tests of a file; each of them finds the node's agent at work. Answers a function, for before all tests there is none. */
export function useController(test: () => TestNode): () => TestController {
  let controller: TestController;
  beforeAll(async () => {
    controller = await TestController.start(test());
    test().atEnd.push(() => controller.stop());
  });
  afterEach(async () => {
    test().node.startAgent();
    await test().node.agentReady();
  });
  return () => controller;
}

/** The Lease of the test's agent. */
export function agentLease({ node }: TestNode): string {
  return leasePath(SYSTEM, nodeLeaseName(node.name));
}

/** Lets the Lease of an agent that has ended run out a second after it was last seen to change. */
export async function letLeaseRunOut(test: TestNode): Promise<Lease> {
  return test.api.mergePatch<Lease>(agentLease(test), { spec: { leaseDurationSeconds: 1 } });
}

/** The test's node as a Node object, as a kubelet would have it. */
export async function createNode(test: TestNode, name = test.node.name): Promise<void> {
  await test.api.create(nodePath(), { apiVersion: "v1", kind: "Node", metadata: { name } });
  await setNodeReady(test, "True", name);
}

/** What the Node's kubelet, or the controller that misses it, says of it. */
export async function setNodeReady(
  test: TestNode,
  status: "True" | "False" | "Unknown",
  name = test.node.name,
): Promise<void> {
  const now = new Date().toISOString();
  const ready = { type: "Ready", status, reason: "Test", message: "", lastTransitionTime: now, lastHeartbeatTime: now };
  await test.api.mergePatch(`${nodePath(name)}/status`, { status: { conditions: [ready] } });
}

async function answers(url: string): Promise<boolean> {
  try {
    return (await fetch(url, { signal: AbortSignal.timeout(1000) })).ok;
  } catch {
    return false;
  }
}
