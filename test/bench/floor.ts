/**
 * The floor: what it takes at the least to start a container of this kind by containerd's API from Node. No control plane, no
 * record of how it went, no undo, no question asked: a network namespace with CNI beside the writable layer and containerd's
 * record, then the task, then its start. The runtime spec is the one that Berth would write.
 */
import { mkdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { pino } from "pino";
import type { LocalNode } from "../../hack/cluster/local-node.ts";
import { findTools } from "../../hack/cluster/tools.ts";
import { Containerd, isNotFound, type Mount, packSpec, type PulledImage } from "../../src/containerd/index.ts";
import { bridgeNetwork } from "../../src/network/bridge.ts";
import { Cni, type CniAttachment, type CniResult } from "../../src/network/cni.ts";
import { createNetns, removeNetns } from "../../src/network/netns.ts";
import { type NodeFacts, nodeFacts } from "../../src/node/index.ts";
import { buildSpec, type OciMount, type OciSpec } from "../../src/oci/index.ts";
import { commandOf, containerPorts, ENDING_PATH, type Shape, volumePaths } from "./peer.ts";

const RUNTIME = "io.containerd.runc.v2";
/** The number of the peers' STOP_SIGNAL. */
const SIGKILL = 9;

/** A container that was started. */
interface Made {
  readonly shape: Shape;
  readonly rootfs: Mount[];
  readonly attached?: { readonly attachment: CniAttachment; readonly result: CniResult };
}

/** What the floor is started with. */
export interface FloorOptions {
  /** A node whose containerd runs; it has no agent. */
  readonly node: Pick<
    LocalNode,
    "name" | "stateDir" | "dataDir" | "logDir" | "bridgeName" | "bridgeSubnet" | "cgroupRoot"
  > &
    Pick<LocalNode, "containerdAddress" | "containerdNamespace">;
  readonly image: string;
  readonly hostsDir: string;
  /** Of the ports of the node, the first that it may publish. */
  readonly firstPort: number;
}

/** Its verbs are a peer's. */
export class Floor {
  readonly versions: Record<string, string> = {};
  readonly #options: FloorOptions;
  readonly #containerd: Containerd;
  readonly #cni = new Cni([findTools().cniBinDir]);
  readonly #made = new Map<string, Made>();
  #facts: NodeFacts | undefined;
  #image: PulledImage | undefined;

  constructor(options: FloorOptions) {
    this.#options = options;
    const { containerdAddress: address, containerdNamespace: namespace } = options.node;
    const logger = pino({ level: "silent" });
    this.#containerd = new Containerd({ address, namespace, snapshotter: "overlayfs", logger });
  }

  async up(): Promise<void> {
    const { image, hostsDir, node } = this.#options;
    this.#facts = await nodeFacts();
    this.#image = await this.#containerd.pull({ ref: image, hostsDir });
    await mkdir(node.logDir, { recursive: true });
    this.versions["containerd"] = (await this.#containerd.ready()).version;
  }

  async start(name: string, shape: Shape): Promise<void> {
    const [rootfs, attached] = await Promise.all([this.#prepare(name, shape), this.#attach(name, shape)]);
    this.#made.set(name, { shape, rootfs, ...(attached === undefined ? {} : { attached }) });
    await this.#run(name, rootfs);
  }

  async stop(name: string): Promise<void> {
    const { tasks } = this.#containerd;
    await Promise.all([
      tasks.wait({ containerId: name }),
      tasks.kill({ containerId: name, signal: SIGKILL, all: false }),
    ]);
    await tasks.delete({ containerId: name });
  }

  async restart(name: string, end: () => Promise<void>): Promise<void> {
    const ended = this.#containerd.tasks.wait({ containerId: name });
    await end();
    await ended;
    await this.#containerd.tasks.delete({ containerId: name });
    await this.#run(name, this.#get(name).rootfs);
  }

  async recreate(name: string): Promise<void> {
    const { shape } = this.#get(name);
    await this.remove(name);
    await this.start(name, shape);
  }

  async remove(name: string): Promise<void> {
    const { snapshotter, snapshots, containers } = this.#containerd;
    const { attached } = this.#get(name);
    await this.stop(name).catch((error: unknown) => {
      if (!isNotFound(error)) throw error;
    });
    await Promise.all([
      attached === undefined ? undefined : this.#detach(attached),
      // In this order: containerd's garbage collector takes what no record keeps.
      snapshots.remove({ snapshotter, key: name }).then(() => containers.delete({ id: name })),
      rm(this.#volumesOf(name), { recursive: true, force: true }),
      rm(this.#logOf(name), { force: true }),
    ]);
    this.#made.delete(name);
  }

  down(): Promise<void> {
    this.#containerd.close();
    return Promise.resolve();
  }

  /** The record first: it keeps containerd's garbage collector off the writable layer. */
  async #prepare(name: string, shape: Shape): Promise<Mount[]> {
    const { containers, snapshots, snapshotter } = this.#containerd;
    const { name: image = "", chainID: parent = "" } = this.#image ?? {};
    const volumes = volumePaths(shape).map((destination, index) => ({
      destination,
      source: join(this.#volumesOf(name), String(index)),
    }));
    await Promise.all(volumes.map(({ source }) => mkdir(source, { recursive: true })));
    const ending = shape.ending === undefined ? [] : [{ destination: ENDING_PATH, source: shape.ending }];
    const mounts = [...volumes, ...ending].map((mount) => ({ ...mount, type: "bind", options: ["rbind", "rw"] }));
    const spec = packSpec(this.#spec(name, shape, mounts));
    const container = { id: name, image, runtime: { name: RUNTIME }, spec, snapshotter, snapshotKey: name };
    await containers.create({ container });
    return (await snapshots.prepare({ snapshotter, key: name, parent })).mounts;
  }

  #spec(name: string, shape: Shape, mounts: readonly OciMount[]): OciSpec {
    if (this.#image === undefined || this.#facts === undefined) throw new Error("the floor is not up");
    const { cgroupRoot, name: nodeName } = this.#options.node;
    const isBridge = shape.network === "Bridge";
    const spec = buildSpec({
      container: {
        namespace: "bench",
        name,
        uid: name,
        spec: { nodeName, image: this.#image.name, command: commandOf(shape) },
      },
      image: this.#image.config,
      user: { uid: 0, gid: 0, additionalGids: [0] },
      env: [],
      mounts,
      hostname: name,
      netns: isBridge ? this.#netnsOf(name) : undefined,
      cgroupsPath: `${cgroupRoot}/${name}`,
      node: this.#facts,
    });
    // The runtime makes one itself, with loopback.
    if (!isBridge) spec.linux.namespaces.push({ type: "network" });
    return spec;
  }

  async #attach(name: string, shape: Shape): Promise<Made["attached"]> {
    if (shape.network === "None") return undefined;
    const { node, firstPort } = this.#options;
    const { bridgeName, bridgeSubnet, stateDir } = node;
    const netns = this.#netnsOf(name);
    await createNetns(netns);
    const addressDir = join(stateDir, "cni/networks");
    const list = bridgeNetwork({ bridgeName, bridgeSubnet, addressDir, firewall: false }, shape.ports > 0);
    const portMappings = containerPorts(shape).map((containerPort, index) => ({
      containerPort,
      hostPort: firstPort + index,
      protocol: "tcp" as const,
    }));
    const attachment = { containerId: name, netns, ifName: "eth0", list, runtimeConfig: { portMappings } };
    return { attachment, result: await this.#cni.add(attachment) };
  }

  async #detach({ attachment, result }: NonNullable<Made["attached"]>): Promise<void> {
    await this.#cni.del(attachment, result);
    await removeNetns(attachment.netns);
  }

  async #run(name: string, rootfs: readonly Mount[]): Promise<void> {
    const log = `file://${this.#logOf(name)}`;
    const task = { containerId: name, rootfs: [...rootfs], terminal: false, stdin: "", stdout: log, stderr: log };
    await this.#containerd.tasks.create(task);
    await this.#containerd.tasks.start({ containerId: name });
  }

  #get(name: string): Made {
    const made = this.#made.get(name);
    if (made === undefined) throw new Error(`the floor has no container ${name}`);
    return made;
  }

  #netnsOf(name: string): string {
    return join(this.#options.node.stateDir, "netns", name);
  }

  #volumesOf(name: string): string {
    return join(this.#options.node.dataDir, "volumes", name);
  }

  #logOf(name: string): string {
    return join(this.#options.node.logDir, `${name}.log`);
  }
}
