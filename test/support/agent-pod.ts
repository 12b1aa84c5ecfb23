/**
 * The agent in a container of its image, on its node's own containerd, as the chart's DaemonSet has it run: hostPID,
 * hostNetwork, privileged, its ServiceAccount's files, and nothing else.
 */
import { createReadStream, mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { pino } from "pino";
import { findTools } from "../../hack/cluster/tools.ts";
import { Containerd, packSpec, type PulledImage } from "../../src/containerd/index.ts";
import { nodeFacts, type Output, run } from "../../src/node/index.ts";
import { capabilitySet } from "../../src/oci/index.ts";
import { SIGKILL } from "../../src/lifecycle/task.ts";
import type { TestNode } from "./test-node.ts";

/** containerd's namespace of Pods. */
const NAMESPACE = "pods";
const NAME = "example.com/berth:test";
const SNAPSHOTTER = "overlayfs";
const TOKEN_DIR = "/var/run/secrets/kubernetes.io/serviceaccount";
const BUILD_TIMEOUT_MS = 40 * 60_000;
const READY_TIMEOUT_MS = 60_000;
const LOG_TIMEOUT_MS = 5000;

/** What of the DaemonSet's Pod is otherwise. */
export interface PodChanges {
  /** A pid namespace of its own. */
  readonly ownPid?: boolean;
  readonly privileged?: boolean;
  readonly user?: number;
  /** Instead of `agent` with its flags. */
  readonly args?: readonly string[];
}

/** The image of this checkout, built unless it is in the cache; the path of its archive. */
export async function buildImage(): Promise<string> {
  const script = join(import.meta.dirname, "../../hack/image.sh");
  return (await run(script, [], { timeoutMs: BUILD_TIMEOUT_MS })).stdout.trim();
}

/** Runs agents of the image, one at a time. */
export class AgentPod {
  readonly #test: TestNode;
  readonly #containerd: Containerd;
  readonly image: PulledImage;
  #count = 0;

  private constructor(test: TestNode, containerd: Containerd, image: PulledImage) {
    this.#test = test;
    this.#containerd = containerd;
    this.image = image;
  }

  /** Brings the image to the node. */
  static async open(test: TestNode, archive: string): Promise<AgentPod> {
    const { containerdAddress: address } = test.node;
    const logger = pino({ level: "silent" });
    const containerd = new Containerd({ address, namespace: NAMESPACE, snapshotter: SNAPSHOTTER, logger });
    const image = await containerd.importImage({ name: NAME, archive: createReadStream(archive) });
    return new AgentPod(test, containerd, image);
  }

  /** What the Pod in use has written. */
  get log(): string {
    return readFileSync(this.#logFile, "utf8");
  }

  get id(): string {
    return `agent-${this.#count}`;
  }

  /** Starts an agent and waits until it is ready. */
  async start(): Promise<void> {
    await this.#create({});
    const deadline = Date.now() + READY_TIMEOUT_MS;
    while (!(await this.#isReady())) {
      const task = await this.#containerd.task(this.id);
      if (task?.status === "stopped" || Date.now() > deadline) throw new Error(`the agent is not ready: ${this.log}`);
      await delay(50);
    }
  }

  /** Runs a Pod to its end, and answers its exit code and what it wrote. */
  async runToEnd(changes: PodChanges): Promise<{ exitCode: number; log: string }> {
    await this.#create(changes);
    const { exitStatus } = await this.#containerd.tasks.wait({ containerId: this.id }, { timeoutMs: 60_000 });
    // The shim may still have to write what it has read.
    const deadline = Date.now() + LOG_TIMEOUT_MS;
    while (this.log === "" && Date.now() < deadline) await delay(50);
    await this.#delete();
    return { exitCode: exitStatus, log: this.log };
  }

  /** Ends the agent, as the kubelet does; or all of its Pod at once. Answers its exit code. */
  async stop(how: "stop" | "kill" = "stop"): Promise<number> {
    const { tasks } = this.#containerd;
    const ended = tasks.wait({ containerId: this.id }, { timeoutMs: 30_000 });
    await tasks.kill({ containerId: this.id, signal: how === "stop" ? 15 : SIGKILL, all: how === "kill" });
    const { exitStatus } = await ended;
    await this.#delete();
    return exitStatus;
  }

  /** What `kubectl exec` does: runs a command in the agent's container. */
  async exec(...command: string[]): Promise<Output> {
    const { node } = this.#test;
    const ctr = join(findTools().containerdDir(node.containerdVersion), "ctr");
    const where = ["--address", node.containerdAddress, "--namespace", NAMESPACE];
    return run(ctr, [...where, "tasks", "exec", "--exec-id", `exec-${Date.now()}`, this.id, ...command]);
  }

  /** Removes the image and closes the connection. */
  async close(): Promise<void> {
    await this.#containerd.images.delete({ name: this.image.name, sync: true });
    this.#containerd.close();
  }

  get #logFile(): string {
    return join(this.#test.node.dir, `${this.id}.log`);
  }

  async #isReady(): Promise<boolean> {
    return fetch(`http://${this.#test.node.metricsAddress}/readyz`).then(
      ({ ok }) => ok,
      () => false,
    );
  }

  async #create(changes: PodChanges): Promise<void> {
    this.#count += 1;
    const { containers, snapshots, tasks } = this.#containerd;
    const { node } = this.#test;
    const { id, image } = this;
    await containers.create({
      container: {
        id,
        image: image.name,
        runtime: { name: "io.containerd.runc.v2" },
        spec: packSpec(await this.#spec(changes)),
        snapshotter: SNAPSHOTTER,
        snapshotKey: id,
      },
    });
    // After the record, which keeps it from the garbage collection.
    const { mounts } = await snapshots.prepare({ snapshotter: SNAPSHOTTER, key: id, parent: image.chainID });
    const stdout = this.#logFile;
    writeFileSync(stdout, "");
    // Another spelling, and no URI, for which it would be one again: as in lifecycle/stdio.ts.
    const stderr = `${node.dir}/./${this.id}.log`;
    await tasks.create({ containerId: id, rootfs: mounts, terminal: false, stdin: "", stdout, stderr });
    await tasks.start({ containerId: id });
  }

  async #delete(): Promise<void> {
    const { containers, snapshots, tasks } = this.#containerd;
    await tasks.delete({ containerId: this.id });
    await snapshots.remove({ snapshotter: SNAPSHOTTER, key: this.id });
    await containers.delete({ id: this.id });
  }

  async #spec({ ownPid = false, privileged = true, user = 0, args }: PodChanges): Promise<object> {
    const { server, folder } = this.#credentials();
    const { config } = this.image;
    const capabilities = capabilitySet({ privileged }, await nodeFacts());
    const effective = user === 0 ? capabilities : [];
    const isolated = ["nosuid", "noexec", "nodev"];
    return {
      ociVersion: "1.0.2",
      root: { path: "rootfs", readonly: true },
      process: {
        args: [...(config.Entrypoint ?? []), ...(args ?? this.#agentArgs())],
        cwd: "/",
        env: [
          ...(config.Env ?? []),
          `KUBERNETES_SERVICE_HOST=${server.hostname}`,
          `KUBERNETES_SERVICE_PORT=${server.port}`,
          `NODE_NAME=${this.#test.node.name}`,
          ...Object.entries(this.#flags()).map(
            ([name, value]) => `BERTH_${name.replaceAll("-", "_").toUpperCase()}=${value}`,
          ),
        ],
        user: { uid: user, gid: user, additionalGids: [] },
        capabilities: { bounding: capabilities, effective, permitted: effective },
        noNewPrivileges: !privileged,
      },
      mounts: [
        { destination: "/proc", type: "proc", source: "proc", options: isolated },
        { destination: "/dev", type: "tmpfs", source: "tmpfs", options: ["nosuid", "mode=755"] },
        { destination: "/dev/pts", type: "devpts", source: "devpts", options: ["nosuid", "noexec", "newinstance"] },
        { destination: "/sys", type: "sysfs", source: "sysfs", options: isolated },
        { destination: TOKEN_DIR, type: "bind", source: folder, options: ["rbind", "ro"] },
      ],
      linux: {
        // Without one for pid, network and cgroup: hostPID, hostNetwork, privileged.
        namespaces: [{ type: "mount" }, { type: "ipc" }, { type: "uts" }, ...(ownPid ? [{ type: "pid" }] : [])],
        cgroupsPath: `${this.#test.node.cgroupRoot}/${this.id}`,
        resources: { devices: [{ allow: privileged, access: "rwm" }] },
      },
    };
  }

  #agentArgs(): string[] {
    return ["agent", "--log-format=json"];
  }

  /** By the environment, so that commands have them, too. */
  #flags(): Record<string, string> {
    const { kubeconfig: _inCluster, "node-name": _variable, ...flags } = this.#test.node.agentFlags();
    return flags;
  }

  /** The ServiceAccount's files as the kubelet lays them out, of what the node's kubeconfig holds. */
  #credentials(): { server: URL; folder: string } {
    const kubeconfig = this.#test.node.agentFlags()["kubeconfig"] ?? "";
    const { clusters, users } = JSON.parse(readFileSync(kubeconfig, "utf8")) as {
      clusters: [{ cluster: { server: string; "certificate-authority-data": string } }];
      users: [{ user: { token: string } }];
    };
    const folder = join(this.#test.node.dir, "service-account");
    const data = join(folder, "..2026");
    const { cluster } = clusters[0];
    mkdirSync(data, { recursive: true });
    writeFileSync(join(data, "token"), users[0].user.token);
    writeFileSync(join(data, "ca.crt"), Buffer.from(cluster["certificate-authority-data"], "base64"));
    writeFileSync(join(data, "namespace"), "berth-system");
    if (this.#count === 1) {
      symlinkSync("..2026", join(folder, "..data"));
      for (const name of ["token", "ca.crt", "namespace"]) symlinkSync(`..data/${name}`, join(folder, name));
    }
    return { server: new URL(cluster.server), folder };
  }
}
