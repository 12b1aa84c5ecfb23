/**
 * A node for one test file: a containerd and an agent of its own, beside the API server that all files share. What a test
 * waits for comes as events of a watch; what it leaves behind fails it.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll } from "@jest/globals";
import { pino } from "pino";
import { audit, type Audit, diff } from "../../hack/cluster/audit.ts";
import { Cluster } from "../../hack/cluster/cluster.ts";
import { LocalNode, type LocalNodeOptions } from "../../hack/cluster/local-node.ts";
import type { ContainerdVersion } from "../../hack/cluster/tools.ts";
import type { Container, ContainerSpec } from "../../src/api/index.ts";
import { containerPath, KubeApi, keyOf, ListWatch } from "../../src/kube/index.ts";
import { CLUSTER_DIR } from "./cluster-dir.ts";

/** Given by the jest project. */
declare const globalThis: { CONTAINERD?: ContainerdVersion };

/** The containerd that this run of the test file is for. */
export const CONTAINERD: ContainerdVersion = globalThis.CONTAINERD ?? "2.1";

/** What a Container is until a test says otherwise: it sleeps, and ends at once when it is told to. */
const SLEEPER: Partial<ContainerSpec> = {
  command: ["sh", "-c", "trap 'exit 0' TERM; sleep 3600 & wait"],
  network: { mode: "None" },
};

const DEFAULT_TIMEOUT_MS = 30_000;
/** Milliseconds that containerd's shims and garbage collection may take to be through after the last deletion. */
const SETTLE_MS = 5000;

/** Options of a test file's node. */
export interface TestNodeOptions extends Partial<Pick<LocalNodeOptions, "flags" | "containerd" | "asMachine">> {
  /** Start the agent with the node (default). */
  readonly startAgent?: boolean;
  /** A control plane of the file's own, instead of the one that all files share: for tests that take it away. */
  readonly ownControlPlane?: boolean;
}

/** A test file's node and what it asks of the API server. */
export class TestNode {
  /** What is to be done before the node goes, and with it its directory: a file's own `afterAll` comes after. */
  readonly atEnd: (() => Promise<void>)[] = [];
  readonly cluster: Cluster;
  readonly node: LocalNode;
  readonly api: KubeApi;
  #containers: ListWatch<Container>;
  readonly #listeners = new Set<() => void>();
  #names = 0;

  constructor(cluster: Cluster, node: LocalNode, api: KubeApi) {
    this.cluster = cluster;
    this.node = node;
    this.api = api;
    this.#containers = this.#follow();
  }

  #follow(): ListWatch<Container> {
    const containers = new ListWatch<Container>({
      api: this.api,
      path: containerPath(),
      // As the agent looks at it: an old server lets spec.nodeName be changed.
      include: ({ spec, status }) => (status?.nodeName ?? spec.nodeName) === this.node.name,
      onChange: () => {
        for (const listener of this.#listeners) listener();
      },
      logger: pino({ level: "silent" }),
    });
    containers.start();
    return containers;
  }

  /** Looks at the API server anew: after its storage was lost, versions are others. */
  async lookAnew(): Promise<void> {
    await this.#containers.stop();
    this.#containers = this.#follow();
  }

  /** A busybox image that the node can pull; another test image by its tag (`files`, `config`, …). */
  image(tag?: string): string {
    const { host } = this.cluster.registry;
    return tag === undefined ? `${host}/library/busybox:1.36` : `${host}/berth/test:${tag}`;
  }

  /** Creates a Container on this node and answers it as the server has it. */
  async create(spec: Partial<ContainerSpec> = {}, metadata: Partial<Container["metadata"]> = {}): Promise<Container> {
    const name = metadata.name ?? `c${++this.#names}-${this.node.index}`;
    const object = {
      apiVersion: "berth.dev/v1alpha1",
      kind: "Container",
      metadata: { ...metadata, name, namespace: metadata.namespace ?? "default" },
      spec: { nodeName: this.node.name, image: this.image(), ...SLEEPER, ...spec },
    };
    return this.api.create<Container>(containerPath(object.metadata.namespace), object);
  }

  /** Changes a Container by a merge patch. */
  async patch(container: Container, patch: object): Promise<Container> {
    const { namespace, name } = container.metadata;
    return this.api.mergePatch<Container>(containerPath(namespace, name), patch);
  }

  /** The Container as the watch told of it last. */
  get(container: Container): Container | undefined {
    return this.#containers.get(keyOf(container));
  }

  /** Waits until a Container is as wanted; the error tells what it was instead. */
  async until(
    container: Container,
    what: string,
    wanted: (now: Container) => boolean,
    timeoutMs = DEFAULT_TIMEOUT_MS,
  ): Promise<Container> {
    const found = await this.#wait(() => {
      const now = this.get(container);
      return now !== undefined && wanted(now) ? now : undefined;
    }, timeoutMs);
    if (found !== undefined) return found;
    const status = JSON.stringify(this.get(container)?.status, null, 2);
    throw new Error(
      `${container.metadata.name} was not ${what} within ${timeoutMs} ms; its status: ${status}\n${this.agentLog()}`,
    );
  }

  /** Waits for a state, of the spec's newest generation. */
  async untilState(container: Container, state: string, timeoutMs?: number): Promise<Container> {
    const { generation } = container.metadata;
    return this.until(
      container,
      state,
      ({ status }) => status?.state === state && (status.observedGeneration ?? 0) >= generation,
      timeoutMs,
    );
  }

  /** Waits until a condition is True for the spec's newest generation. */
  async untilCondition(container: Container, type: string, timeoutMs?: number): Promise<Container> {
    const { generation } = container.metadata;
    const holds = ({ status }: Container): boolean =>
      (status?.conditions ?? []).some(
        (condition) =>
          condition.type === type && condition.status === "True" && (condition.observedGeneration ?? 0) >= generation,
      );
    return this.until(container, type, holds, timeoutMs);
  }

  /** Deletes a Container and waits until it is gone. */
  async delete(container: Container, timeoutMs?: number): Promise<void> {
    const { namespace, name } = container.metadata;
    await this.api.delete(containerPath(namespace, name));
    await this.untilGone(container, timeoutMs);
  }

  /** Waits until a Container is gone. */
  async untilGone(container: Container, timeoutMs = DEFAULT_TIMEOUT_MS): Promise<void> {
    const { name, uid } = container.metadata;
    const gone = await this.#wait(() => this.get(container)?.metadata.uid !== uid || undefined, timeoutMs);
    if (gone === undefined) throw new Error(`${name} was not gone within ${timeoutMs} ms\n${this.agentLog()}`);
  }

  /** Deletes all Containers of this node. */
  async deleteAll(): Promise<void> {
    await Promise.all(this.#containers.list().map((container) => this.delete(container)));
  }

  /** What a container has written. */
  output({ metadata }: Container): string {
    return readFileSync(join(this.node.logDir, metadata.namespace, metadata.name, "output.log"), "utf8");
  }

  /** The agent's last log lines, for a failure's message. */
  agentLog(lines = 30): string {
    return readFileSync(this.node.agentLogFile, "utf8").trimEnd().split("\n").slice(-lines).join("\n");
  }

  /** What the node holds now. */
  async audit(): Promise<Audit> {
    return audit(this.node);
  }

  /**
   * What has come or gone since an audit, once it has settled; images and their committed snapshots aside, which stay.
   * A shim ends a moment after its task is deleted, and nothing tells of that: hence the looking again.
   */
  async leaks(before: Audit): Promise<string[]> {
    const deadline = Date.now() + SETTLE_MS;
    for (;;) {
      const leaks = diff(before, await this.audit(), /^image /);
      if (leaks.length === 0 || Date.now() > deadline) return leaks;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }

  /** Ends the watch and the connections; the node is the caller's. */
  async close(): Promise<void> {
    await this.#containers.stop();
    this.api.close();
  }

  async #wait<T>(look: () => T | undefined, timeoutMs: number): Promise<T | undefined> {
    const done = Promise.withResolvers<T | undefined>();
    const listener = (): void => {
      const found = look();
      if (found !== undefined) done.resolve(found);
    };
    const timer = setTimeout(() => {
      done.resolve(undefined);
    }, timeoutMs);
    this.#listeners.add(listener);
    listener();
    try {
      return await done.promise;
    } finally {
      this.#listeners.delete(listener);
      clearTimeout(timer);
    }
  }
}

/**
 * Gives a test file its node, and audits it when all tests are through: with every Container deleted, it holds what it
 * held before the first.
 */
export function useNode(options: TestNodeOptions = {}): () => TestNode {
  let test: TestNode | undefined;
  let before: Audit | undefined;
  beforeAll(async () => {
    test = await openNode(options);
    before = await test.audit();
  }, 120_000);
  afterAll(async () => {
    if (test === undefined) return;
    const problems: string[] = [];
    for (const end of test.atEnd) await end();
    try {
      await test.deleteAll();
      if (before !== undefined) problems.push(...(await test.leaks(before)));
    } finally {
      await test.close();
      await test.node.stop();
      if (options.ownControlPlane === true) await test.cluster.down();
    }
    if (problems.length > 0) throw new Error(`left behind:\n${problems.join("\n")}`);
  }, 90_000);
  return () => {
    if (test === undefined) throw new Error("the node is there from beforeAll on");
    return test;
  };
}

/** Below which everything lies that the tests start: the directory of the cluster that all files share. */
export function sharedDir(): string {
  const dir = process.env[CLUSTER_DIR];
  if (dir === undefined) throw new Error(`${CLUSTER_DIR} is not set: run the integration project`);
  return dir;
}

/** One node a jest worker at a time: what it is called follows from the worker. Runs side by side need ranges of their own. */
export function nodeIndex(): number {
  return Number(process.env["BERTH_TEST_FIRST_INDEX"] ?? "200") + Number(process.env["JEST_WORKER_ID"] ?? "1");
}

async function openNode(options: TestNodeOptions): Promise<TestNode> {
  const { flags, containerd = CONTAINERD, startAgent = true, ownControlPlane = false, asMachine = false } = options;
  const dir = sharedDir();
  const index = nodeIndex();
  const cluster = new Cluster(ownControlPlane ? { dir: join(dir, `cluster-${index}`), nodes: 0 } : { dir });
  if (ownControlPlane) await cluster.up();
  const kubeconfig = join(dir, `test-node-${index}.kubeconfig`);
  await cluster.controlPlane.serviceAccountKubeconfig(kubeconfig);
  await cluster.registry.start();
  const node = new LocalNode({
    dir: join(dir, `test-node-${index}`),
    index,
    name: `node-${index}`,
    containerd,
    asMachine,
    caFile: cluster.registry.caFile,
    kubeconfig,
    ...(containerd === "2.1" ? { registryHostsDir: cluster.registry.hostsDir } : {}),
    ...(flags === undefined ? {} : { flags }),
  });
  await node.startContainerd();
  if (startAgent) {
    node.startAgent();
    await node.agentReady();
  }
  return new TestNode(cluster, node, KubeApi.load({ kubeconfig: cluster.kubeconfig }));
}
