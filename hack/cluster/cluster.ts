// A whole local cluster: control plane, registry and nodes, in one directory.
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { ControlPlane } from "./control-plane.ts";
import { killAll, markedProcesses } from "./daemon.ts";
import { buildImages, writeArchive } from "./images.ts";
import { LocalNode } from "./local-node.ts";
import { Registry } from "./registry.ts";
import { findTools } from "./tools.ts";
import type { ContainerdVersion, Tools } from "./tools.ts";

const ABANDON_POLL_MS = 100;
const MANIFESTS = resolve(import.meta.dirname, "../../manifests");

export type ClusterOptions = {
  dir: string;
  /** How many nodes, called `node-1` and so on. */
  nodes?: number;
  containerd?: ContainerdVersion;
  /** The index of `node-1`: clusters that run at the same time need ranges of their own. */
  firstIndex?: number;
  /** The agent's program with its subcommand; as LocalNode has it if absent. */
  agent?: readonly [string, ...string[]];
  /** More flags for all agents. */
  flags?: Readonly<Record<string, string>>;
  tools?: Tools;
  /** Told what is going on, for a person. */
  progress?: (message: string) => void;
};

type Saved = { nodes: number; containerd: ContainerdVersion; firstIndex: number };

/** The cluster in a directory. What it is made of is written there first, so that any process can take it down. */
export class Cluster {
  readonly dir: string;
  readonly controlPlane: ControlPlane;
  readonly registry: Registry;
  readonly #options: ClusterOptions;
  readonly #tools: Tools;
  #nodes: LocalNode[] = [];

  constructor(options: ClusterOptions) {
    this.dir = resolve(options.dir);
    this.#options = options;
    this.#tools = options.tools ?? findTools();
    this.controlPlane = new ControlPlane({ dir: join(this.dir, "control-plane"), tools: this.#tools });
    this.registry = new Registry({ dir: join(this.dir, "registry"), tools: this.#tools });
  }

  /** Kubeconfig of a cluster administrator. */
  get kubeconfig(): string {
    return this.controlPlane.adminKubeconfig;
  }

  get nodes(): readonly LocalNode[] {
    return this.#nodes;
  }

  /**
   * Starts what does not run, and waits until all agents are ready. Nodes can be added so.
   *
   * @throws Error when it runs with more nodes or another containerd; DaemonError when a part does not come up
   */
  async up(): Promise<void> {
    const saved = this.#save();
    this.#nodes = Array.from({ length: saved.nodes }, (_, index) => this.#node(saved, index));
    const progress = this.#options.progress ?? (() => undefined);
    await settleAll([
      this.#startControlPlane().then(() => {
        progress("control plane is ready");
      }),
      this.registry.start().then(() => {
        progress(`registry is ready at ${this.registry.host}`);
      }),
      ...this.#nodes.map((node) => node.startContainerd()),
    ]);
    await settleAll(this.#nodes.map((node) => this.#startAgent(node)));
    progress(`${String(saved.nodes)} agent(s) on containerd ${saved.containerd} ready`);
  }

  /** Ends everything and removes every trace. Also of a cluster that came up half-way, or not at all; safe to repeat. */
  async down(): Promise<void> {
    const saved = this.#saved();
    if (saved === undefined && !existsSync(this.dir)) return;
    const nodes = Array.from({ length: saved?.nodes ?? 0 }, (_, index) => this.#node(saved ?? DEFAULTS, index));
    await Promise.all(nodes.map((node) => node.stop()));
    await Promise.all([this.controlPlane.stop(), this.registry.stop()]);
    // Started, and the starter killed before it could write down the process id.
    killAll(markedProcesses(this.dir));
    rmSync(this.dir, { recursive: true, force: true });
    this.#nodes = [];
  }

  /** Takes the cluster down from under some work that uses it (its own {@link up}, too), which is made to fail. */
  async abandon(work: Promise<unknown>): Promise<void> {
    const over = new AbortController();
    const end = () => {
      over.abort();
    };
    const settled = work.then(end, end);
    // Again and again: it may be about to start the next one.
    while (!over.signal.aborted) {
      killAll(markedProcesses(this.dir));
      await Promise.race([settled, delay(ABANDON_POLL_MS)]);
    }
    await this.down();
  }

  async #startControlPlane(): Promise<void> {
    await this.controlPlane.start();
    await this.install();
  }

  /**
   * Gives the API server what it needs of Berth: the CRDs, and the agents' rights by the manifests, which are the chart's.
   * The Secrets and ConfigMaps that agents may read are those of `default`.
   */
  async install(): Promise<void> {
    const crds = join(MANIFESTS, "crd");
    for (const rights of ["rbac.yaml", "rbac-controller.yaml"]) {
      await this.controlPlane.kubectl(["apply", "-f", join(MANIFESTS, rights)]);
    }
    await this.controlPlane.kubectl(["apply", "-f", "-"], JSON.stringify(REFERENCES));
    // Servers before 1.25 do not know all fields of the CRDs; they drop what they do not know.
    await this.controlPlane.kubectl(["apply", "--validate=false", "-f", crds]);
    await this.controlPlane.kubectl(["wait", "--for=condition=Established", "--timeout=30s", "-f", crds]);
  }

  async #startAgent(node: LocalNode): Promise<void> {
    if (!existsSync(this.#credentials(node.name))) {
      await this.controlPlane.serviceAccountKubeconfig(this.#credentials(node.name));
    }
    if (node.containerdVersion === "1.7") await this.#importImages(node);
    node.startAgent();
    await node.agentReady();
  }

  // Its pulls know no mirrors, so docker.io's busybox is brought to the node beforehand.
  async #importImages(node: LocalNode): Promise<void> {
    const images = await buildImages(this.#tools);
    for (const image of images.filter(({ repository }) => repository.startsWith("library/"))) {
      const file = join(node.dir, "image.tar");
      await writeArchive(image, "docker.io", file);
      await node.ctr("images", "import", file);
      rmSync(file);
    }
  }

  #node(saved: Saved, index: number): LocalNode {
    const name = `node-${String(index + 1)}`;
    return new LocalNode({
      dir: join(this.dir, name),
      index: saved.firstIndex + index,
      name,
      containerd: saved.containerd,
      caFile: this.registry.caFile,
      kubeconfig: this.#credentials(name),
      tools: this.#tools,
      ...(saved.containerd === "2.1" ? { registryHostsDir: this.registry.hostsDir } : {}),
      ...(this.#options.agent === undefined ? {} : { agent: this.#options.agent }),
      ...(this.#options.flags === undefined ? {} : { flags: this.#options.flags }),
    });
  }

  #credentials(name: string): string {
    return join(this.controlPlane.dir, `${name}.kubeconfig`);
  }

  #save(): Saved {
    const { nodes, containerd, firstIndex } = this.#options;
    const earlier = this.#saved();
    const saved = {
      nodes: nodes ?? earlier?.nodes ?? DEFAULTS.nodes,
      containerd: containerd ?? earlier?.containerd ?? DEFAULTS.containerd,
      firstIndex: firstIndex ?? earlier?.firstIndex ?? DEFAULTS.firstIndex,
    };
    if (earlier !== undefined && (earlier.containerd !== saved.containerd || earlier.nodes > saved.nodes)) {
      const is = `${String(earlier.nodes)} node(s) on containerd ${earlier.containerd}`;
      throw new Error(`a cluster with ${is} is up in ${this.dir}: take it down first`);
    }
    mkdirSync(this.dir, { recursive: true });
    writeFileSync(this.#file, JSON.stringify(saved));
    return saved;
  }

  #saved(): Saved | undefined {
    return existsSync(this.#file) ? (JSON.parse(readFileSync(this.#file, "utf8")) as Saved) : undefined;
  }

  get #file(): string {
    return join(this.dir, "cluster.json");
  }
}

/** As the chart's `references.namespaces` makes it. */
const REFERENCES = {
  apiVersion: "rbac.authorization.k8s.io/v1",
  kind: "RoleBinding",
  metadata: { name: "berth-references", namespace: "default" },
  roleRef: { apiGroup: "rbac.authorization.k8s.io", kind: "ClusterRole", name: "berth-references" },
  subjects: [{ kind: "ServiceAccount", name: "berth", namespace: "berth-system" }],
};

const DEFAULTS: Saved = { nodes: 1, containerd: "2.1", firstIndex: 1 };

// Returns when nothing of it goes on, so that what comes next (taking it all down) has nobody beside it.
async function settleAll(work: readonly Promise<void>[]): Promise<void> {
  for (const result of await Promise.allSettled(work)) if (result.status === "rejected") throw result.reason;
}
