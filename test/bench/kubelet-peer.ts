/** A kubelet with a cluster and a machine of its own: those of the end-to-end tests. */
import { mkdirSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { findKubernetes } from "../../hack/e2e/tools.ts";
import { Machine } from "../../hack/e2e/machine.ts";
import { NODE_NAME } from "../../hack/e2e/node.ts";
import { cacheDir } from "../../hack/cluster/tools.ts";
import { machineDir } from "../support/cluster-dir.ts";
import { say } from "../support/terminal.ts";
import { type Peer, PLAIN, type Shape } from "./peer.ts";
import { PeerProcess } from "./peer-process.ts";

const CHECKOUT = resolve(import.meta.dirname, "../..");
const UP_TIMEOUT_MS = 300_000;
/** A kubelet looks once in so many milliseconds at what has become of its containers (its PLEG's relist period). */
const RELIST_MS = 1000;
/** Its multiples, without their whole parts, lie evenly between 0 and 1. */
const GOLDEN = (Math.sqrt(5) - 1) / 2;

export class KubeletPeer implements Peer {
  readonly name = "kubelet";
  readonly measures = "from sending the POST of a Pod that names its node until a watch tells that its container runs";
  readonly #dir: string;
  readonly #firstPort: number;
  readonly #machine: Machine;
  #process: PeerProcess | undefined;
  #wakes = 0;
  #removals = 0;

  /** @param options.dir a directory that is there, for the machine's own */
  constructor(options: { readonly dir: string; readonly firstPort: number }) {
    this.#dir = machineDir(options.dir);
    this.#firstPort = options.firstPort;
    this.#machine = new Machine(this.#dir);
  }

  /** Whether this machine has the programs that it takes. */
  static get isHere(): boolean {
    try {
      findKubernetes();
      return true;
    } catch (error) {
      say(`kubelet: not here: ${error instanceof Error ? error.message : String(error)}`);
      return false;
    }
  }

  get versions(): Peer["versions"] {
    return this.#process?.versions ?? {};
  }

  async up(): Promise<void> {
    mkdirSync(this.#dir);
    const readyFile = join(this.#dir, "env.json");
    const assets = process.env["KUBEBUILDER_ASSETS"] ?? "";
    await this.#machine.start([process.execPath, join(CHECKOUT, "hack/e2e/cluster.ts"), this.#dir], {
      keep: [CHECKOUT, cacheDir(), this.#dir, ...(assets === "" ? [] : [assets])],
      readyFile,
      isKept: false,
      env: { BERTH_CACHE: cacheDir(), KUBEBUILDER_ASSETS: assets },
      timeoutMs: UP_TIMEOUT_MS,
    });
    const env = JSON.parse(readFileSync(readyFile, "utf8")) as { KUBECONFIG: string; BERTH_E2E_IMAGE: string };
    const options = { kubeconfig: env.KUBECONFIG, nodeName: NODE_NAME, image: env.BERTH_E2E_IMAGE };
    const program = [process.execPath, join(import.meta.dirname, "kubelet-program.ts")];
    const told = JSON.stringify({ ...options, firstPort: this.#firstPort });
    this.#process = new PeerProcess(this.#machine.command([...program, told]));
    await this.#ask({ verb: "up" });
    await this.rest();
  }

  /** A cluster has always something to do, which must not be at the other peers' cost. */
  rest(): Promise<void> {
    return this.#machine.freeze();
  }

  /** Thaws it, and waits until it does its work. */
  async wake(): Promise<void> {
    await this.#machine.thaw();
    const name = `wake-${++this.#wakes}`;
    await this.start(name, PLAIN);
    await this.remove(name);
  }

  start(name: string, shape: Shape): Promise<void> {
    return this.#ask({ verb: "start", name, shape });
  }

  /** Returns at another point of the kubelet's period each time: all starts that follow a removal would fall at the same one. */
  async remove(name: string): Promise<void> {
    await this.#ask({ verb: "remove", name });
    await delay(((++this.#removals * GOLDEN) % 1) * RELIST_MS);
  }

  async down(): Promise<void> {
    await this.#machine.thaw();
    await this.#process?.down();
    await this.#machine.stop();
  }

  #ask(...question: Parameters<PeerProcess["ask"]>): Promise<void> {
    if (this.#process === undefined) throw new Error("the kubelet is not up");
    return this.#process.ask(...question);
  }
}
