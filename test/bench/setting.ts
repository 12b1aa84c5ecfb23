/** What the benchmark runs on: a control plane, and for each peer a node of its own, all of which goes however it ends. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { audit, type Audit } from "../../hack/cluster/audit.ts";
import { Cluster } from "../../hack/cluster/cluster.ts";
import { AGENT, AGENT_SOURCE, LocalNode } from "../../hack/cluster/local-node.ts";
import { KubeApi } from "../../src/kube/index.ts";
import { setGuardian } from "../support/guardian.ts";
import { ANY_PORT } from "../support/inspector.ts";
import { leaks } from "../support/leaks.ts";
import { parameter } from "../support/terminal.ts";

/** The first of the nodes' indexes, of which each on the machine has its own. */
const FIRST_INDEX = 160;
/** Published by containers; below those that the kernel gives to clients. */
const FIRST_PORT = 20_000;
const PORTS_A_NODE = 50;
/** Node.js' flags for the agent: the debugger's port, which is opened on demand, and those to be tried. */
const NODE_FLAGS = [ANY_PORT, ...(process.env["AGENT_NODE_FLAGS"] ?? "").split(/\s+/).filter(Boolean)];

/** A node of the benchmark's by who it is for. */
type Role = "berth" | "floor" | "docker";
const ROLES: readonly Role[] = ["berth", "floor", "docker"];

export class Setting {
  readonly dir = mkdtempSync(join(tmpdir(), "berth-bench-"));
  readonly cluster = new Cluster({ dir: this.dir, nodes: 0 });
  readonly #index = parameter("BERTH_TEST_FIRST_INDEX", FIRST_INDEX);
  readonly #audits = new Map<LocalNode, Audit>();
  #nodes: Record<Role, LocalNode> | undefined;
  #api: KubeApi | undefined;

  constructor() {
    // Whatever ends this process, interruptions included, what it has set up is taken down.
    setGuardian(this.dir);
  }

  /** The cluster's API, as an administrator. */
  get api(): KubeApi {
    this.#api ??= KubeApi.load({ kubeconfig: this.cluster.kubeconfig });
    return this.#api;
  }

  get image(): string {
    return `${this.cluster.registry.host}/library/busybox:1.36`;
  }

  /** The first of the ports that a node's containers may publish. */
  firstPort(role: Role): number {
    return FIRST_PORT + (this.#index + ROLES.indexOf(role)) * PORTS_A_NODE;
  }

  node(role: Role): LocalNode {
    if (this.#nodes === undefined) throw new Error("the setting is not up");
    return this.#nodes[role];
  }

  /** The agent's node, to be started from the modules as they are: a profile then tells which of them takes the time. */
  berthFromSource(): LocalNode {
    return this.#node("berth", [AGENT_SOURCE[0], ...NODE_FLAGS, ...AGENT_SOURCE.slice(1)]);
  }

  async up(): Promise<void> {
    await this.cluster.up();
    await this.cluster.controlPlane.serviceAccountKubeconfig(this.#kubeconfig);
    this.#nodes = { berth: this.#node("berth"), floor: this.#node("floor"), docker: this.#node("docker") };
    const { berth, floor } = this.#nodes;
    await Promise.all([berth.startContainerd(), floor.startContainerd()]);
    berth.startAgent();
    await berth.agentReady();
    for (const node of [berth, floor]) this.#audits.set(node, await audit(node));
  }

  /** What is on the nodes that was not there when they came up, a line each. */
  async leaks(): Promise<string[]> {
    const lines: string[] = [];
    for (const [node, before] of this.#audits)
      lines.push(...(await leaks(node, before)).map((line) => `${node.name}: ${line}`));
    return lines;
  }

  /** Takes all down. Docker, which is a peer's, is down by then. */
  async down(): Promise<void> {
    this.#api?.close();
    await Promise.all(Object.values(this.#nodes ?? {}).map((node) => node.stop()));
    await this.cluster.down();
    rmSync(this.dir, { recursive: true, force: true });
  }

  get #kubeconfig(): string {
    return join(this.dir, "agent.kubeconfig");
  }

  // Called as the tests' nodes are, by which the guardian finds them.
  #node(role: Role, agent: readonly [string, ...string[]] = [AGENT[0], ...NODE_FLAGS, ...AGENT.slice(1)]): LocalNode {
    const index = this.#index + ROLES.indexOf(role);
    const { registry } = this.cluster;
    return new LocalNode({
      dir: join(this.dir, `test-node-${index}`),
      index,
      name: `bench-${role}`,
      containerd: "2.1",
      caFile: registry.caFile,
      registryHostsDir: registry.hostsDir,
      kubeconfig: this.#kubeconfig,
      agent,
    });
  }
}
