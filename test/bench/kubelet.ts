/** A Pod of one container on a real kubelet, of a cluster that is somebody else's to bring up and to take down. */
import { type KubeApi, type KubeObject, resourcePath } from "../../src/kube/index.ts";
import { commandOf, containerPorts, type Peer, type Shape, volumePaths } from "./peer.ts";
import { Watched } from "./watched.ts";

const NAMESPACE = "default";
const PODS = { group: "", version: "v1", plural: "pods" };
const NODES = { group: "", version: "v1", plural: "nodes" };

interface Pod extends KubeObject {
  readonly status?: {
    readonly phase?: string;
    readonly containerStatuses?: readonly { readonly state?: { readonly running?: object } }[];
  };
}

interface Node extends KubeObject {
  readonly status?: {
    readonly nodeInfo?: { readonly kubeletVersion?: string; readonly containerRuntimeVersion?: string };
  };
}

/** Where the kubelet is. */
export interface KubeletOptions {
  readonly api: KubeApi;
  /** The name of its node. */
  readonly nodeName: string;
  /** An image that its node has. */
  readonly image: string;
  /** Of the ports of its node, the first that it may publish. */
  readonly firstPort: number;
}

export class Kubelet implements Peer {
  readonly name = "kubelet";
  readonly measures = "from sending the POST of a Pod that names its node until a watch tells that its container runs";
  readonly versions: Record<string, string> = {};
  readonly #options: KubeletOptions;
  readonly #pods: Watched<Pod>;

  constructor(options: KubeletOptions) {
    this.#options = options;
    this.#pods = new Watched<Pod>(options.api, resourcePath(PODS, NAMESPACE));
  }

  async up(): Promise<void> {
    const { api, nodeName } = this.#options;
    const { status } = await api.get<Node>(resourcePath(NODES, undefined, nodeName));
    this.versions["kubelet"] = status?.nodeInfo?.kubeletVersion ?? "unknown";
    this.versions["runtime"] = status?.nodeInfo?.containerRuntimeVersion ?? "unknown";
  }

  async start(name: string, shape: Shape): Promise<void> {
    const seen = this.#pods.until(`${NAMESPACE}/${name}`, "running", (pod) => {
      const [container] = pod?.status?.containerStatuses ?? [];
      return pod?.status?.phase === "Running" && container?.state?.running !== undefined;
    });
    await Promise.all([this.#options.api.create(resourcePath(PODS, NAMESPACE), this.#pod(name, shape)), seen]);
  }

  async remove(name: string): Promise<void> {
    await this.#options.api.delete(resourcePath(PODS, NAMESPACE, name));
    await this.#pods.until(`${NAMESPACE}/${name}`, "gone", (pod) => pod === undefined);
  }

  async down(): Promise<void> {
    await this.#pods.close();
    this.#options.api.close();
  }

  #pod(name: string, shape: Shape): object {
    const { nodeName, image, firstPort } = this.#options;
    const volumes = volumePaths(shape).map((mountPath, index) => ({ name: `volume-${index}`, mountPath }));
    return {
      apiVersion: "v1",
      kind: "Pod",
      metadata: { name, namespace: NAMESPACE },
      spec: {
        nodeName,
        restartPolicy: "Always",
        // The process has no handler for SIGTERM, which is all that a kubelet can send; its end is not measured.
        terminationGracePeriodSeconds: 1,
        // Berth's Containers have none either.
        automountServiceAccountToken: false,
        containers: [
          {
            name: "main",
            image,
            imagePullPolicy: "IfNotPresent",
            command: commandOf(shape),
            ports: containerPorts(shape).map((containerPort, index) => ({
              containerPort,
              hostPort: firstPort + index,
            })),
            volumeMounts: volumes,
          },
        ],
        volumes: volumes.map((volume) => ({ name: volume.name, emptyDir: {} })),
      },
    };
  }
}
