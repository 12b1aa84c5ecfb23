/** The floor, in a process of its own, as an agent is one. */
import type { LocalNode } from "../../hack/cluster/local-node.ts";
import type { FloorOptions } from "./floor.ts";
import type { Peer, Shape } from "./peer.ts";
import { PeerProcess } from "./peer-process.ts";

export class FloorPeer implements Peer {
  readonly name = "floor";
  readonly measures = "from the first call to containerd or CNI until Tasks.Start has answered";
  readonly #process: PeerProcess;

  constructor({ node, ...options }: Omit<FloorOptions, "node"> & { readonly node: LocalNode }) {
    // What the other process needs of the node, as plain data.
    const { name, containerdAddress, containerdNamespace, bridgeName, bridgeSubnet, cgroupRoot } = node;
    const { stateDir, dataDir, logDir } = node;
    const names = { name, containerdAddress, containerdNamespace, bridgeName, bridgeSubnet, cgroupRoot };
    const told: FloorOptions = { ...options, node: { ...names, stateDir, dataDir, logDir } };
    const program = `${import.meta.dirname}/floor-program.ts`;
    this.#process = new PeerProcess([process.execPath, program, JSON.stringify(told)]);
  }

  get versions(): Peer["versions"] {
    return this.#process.versions;
  }

  up(): Promise<void> {
    return this.#process.ask({ verb: "up" });
  }

  start(name: string, shape: Shape): Promise<void> {
    return this.#process.ask({ verb: "start", name, shape });
  }

  stop(name: string): Promise<void> {
    return this.#process.ask({ verb: "stop", name });
  }

  restart(name: string, end: () => Promise<void>): Promise<void> {
    return this.#process.ask({ verb: "restart", name }, end);
  }

  recreate(name: string): Promise<void> {
    return this.#process.ask({ verb: "recreate", name });
  }

  remove(name: string): Promise<void> {
    return this.#process.ask({ verb: "remove", name });
  }

  down(): Promise<void> {
    return this.#process.down();
  }
}
