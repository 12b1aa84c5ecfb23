/** Berth as a user has it: Containers at the API server, and a watch on them. */
import type { Container, ContainerSpec } from "../../src/api/index.ts";
import { containerPath, type KubeApi } from "../../src/kube/index.ts";
import { VERSION } from "../../src/version.ts";
import {
  commandOf,
  containerPorts,
  ENDING_PATH,
  type Peer,
  PLAIN,
  type Shape,
  STOP_SIGNAL,
  volumePaths,
} from "./peer.ts";
import { Watched } from "./watched.ts";

const NAMESPACE = "default";

/** When what of a start was seen, in milliseconds since the epoch. */
export interface TimedStart {
  readonly key: string;
  readonly sent: number;
  readonly answered: number;
  readonly seen: number;
}

/** What Berth is measured by. */
export interface BerthOptions {
  readonly api: KubeApi;
  readonly nodeName: string;
  readonly image: string;
  /** Of the ports of the node, the first that it may publish. */
  readonly firstPort: number;
}

export class Berth implements Peer {
  readonly name = "berth";
  readonly measures = "from sending the POST of the Container until a watch tells that it is `Running`";
  readonly versions = { berth: VERSION };
  /** Docker's rule. */
  readonly backoffMs = 100;
  readonly #options: BerthOptions;
  readonly #containers: Watched<Container>;
  #changes = 0;

  constructor(options: BerthOptions) {
    this.#options = options;
    this.#containers = new Watched<Container>(options.api, containerPath(NAMESPACE));
  }

  /** The agent is there already; the first container brings the image. */
  async up(): Promise<void> {
    await this.start("image", PLAIN);
    await this.remove("image");
  }

  async start(name: string, shape: Shape): Promise<void> {
    await this.timedStart(name, shape);
  }

  /** Like {@link start}, for who wants to know more than how long it took. */
  async timedStart(name: string, shape: Shape, changes: Partial<ContainerSpec> = {}): Promise<TimedStart> {
    const { nodeName, image } = this.#options;
    const object = {
      apiVersion: "berth.dev/v1alpha1",
      kind: "Container",
      metadata: { name, namespace: NAMESPACE },
      spec: { nodeName, image, ...this.#spec(shape), ...changes },
    };
    const sent = now();
    const answer = this.#options.api.create(containerPath(NAMESPACE), object).then(now);
    const seen = this.#untilState(name, "Running").then(now);
    const [answered, running] = await Promise.all([answer, seen]);
    return { key: keyOf(name), sent, answered, seen: running };
  }

  async stop(name: string): Promise<void> {
    await this.#patch(name, { desiredState: "Stopped" });
    await this.#untilState(name, "Exited");
  }

  async restart(name: string, end: () => Promise<void>): Promise<void> {
    await end();
    await this.#containers.until(
      keyOf(name),
      "running again",
      (object) => object?.status?.state === "Running" && object.status.restartCount === 1,
    );
  }

  async recreate(name: string): Promise<void> {
    const before = this.#containers.get(keyOf(name))?.status?.containerID;
    await this.#patch(name, { env: [{ name: "CHANGE", value: String(++this.#changes) }] });
    await this.#containers.until(
      keyOf(name),
      "running anew",
      (object) => object?.status?.state === "Running" && object.status.containerID !== before,
    );
  }

  async remove(name: string): Promise<void> {
    await this.#options.api.delete(containerPath(NAMESPACE, name));
    await this.#containers.until(keyOf(name), "gone", (object) => object === undefined);
  }

  async down(): Promise<void> {
    await this.#containers.close();
  }

  #spec(shape: Shape): Partial<ContainerSpec> {
    const volumes = volumePaths(shape).map((mountPath, index) => ({ name: `volume-${index}`, mountPath }));
    const ending = shape.ending === undefined ? [] : [{ name: "ending", mountPath: ENDING_PATH }];
    return {
      command: commandOf(shape),
      stopSignal: STOP_SIGNAL,
      network: { mode: shape.network },
      ports: containerPorts(shape).map((containerPort, index) => ({
        name: `port-${index}`,
        containerPort,
        hostPort: this.#options.firstPort + index,
      })),
      volumes: [
        ...volumes.map(({ name }) => ({ name, emptyDir: {} })),
        ...(shape.ending === undefined ? [] : [{ name: "ending", hostPath: { path: shape.ending } }]),
      ],
      volumeMounts: [...volumes, ...ending],
    };
  }

  async #patch(name: string, spec: Partial<ContainerSpec>): Promise<void> {
    await this.#options.api.mergePatch(containerPath(NAMESPACE, name), { spec });
  }

  #untilState(name: string, state: string): Promise<void> {
    return this.#containers.until(keyOf(name), state, (object) => object?.status?.state === state);
  }
}

function keyOf(name: string): string {
  return `${NAMESPACE}/${name}`;
}

function now(): number {
  return performance.timeOrigin + performance.now();
}
