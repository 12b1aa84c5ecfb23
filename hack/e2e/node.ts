// A node as Kubernetes has it: containerd with CRI and a kubelet, at the usual paths.
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { arch } from "node:os";
import { join } from "node:path";
import { mount, run } from "../../src/node/index.ts";
import { Daemon } from "../cluster/daemon.ts";
import { pauseImage, writeArchive } from "../cluster/images.ts";
import type { ContainerdVersion, Tools } from "../cluster/tools.ts";
import type { KubernetesTools } from "./tools.ts";

export const NODE_NAME = "node-1";
const SOCKET = "/run/containerd/containerd.sock";
const PAUSE = "registry.example.com/pause:berth";
const READY_TIMEOUT_MS = 30_000;

export type NodeOptions = {
  /** For configuration, pid files and logs. */
  dir: string;
  address: string;
  /** Authority that containerd trusts besides the machine's: the registry's. */
  caFile: string;
  tools: Tools;
  kubernetes: KubernetesTools;
};

/** The node. It lives and dies with the machine. */
export class Node {
  readonly #options: NodeOptions;
  /** Kubernetes before 1.23 speaks CRI's v1alpha2, which containerd 2 does not. */
  readonly #containerdVersion: ContainerdVersion;
  readonly #containerd: Daemon;
  readonly #kubelet: Daemon;

  constructor(options: NodeOptions) {
    this.#options = options;
    this.#containerdVersion = options.kubernetes.minor < 23 ? "1.7" : "2.1";
    this.#containerd = new Daemon(options.dir, "containerd");
    this.#kubelet = new Daemon(options.dir, "kubelet");
  }

  /**
   * Starts containerd and waits until it serves.
   *
   * @throws DaemonError
   */
  async startContainerd(): Promise<void> {
    const { dir, tools, caFile } = this.#options;
    for (const path of [dir, "/opt/cni/bin", "/etc/cni/net.d"]) mkdirSync(path, { recursive: true });
    await mount({ type: "none", source: tools.cniBinDir, target: "/opt/cni/bin", options: ["bind"] });
    writeFileSync("/etc/cni/net.d/10-pods.conflist", JSON.stringify(POD_NETWORK));
    const config = join(dir, "containerd.toml");
    writeFileSync(config, containerdConfig(this.#containerdVersion));
    const bin = tools.containerdDir(this.#containerdVersion);
    this.#containerd.start([join(bin, "containerd"), "--config", config], {
      env: { PATH: [bin, tools.runcDir, process.env["PATH"]].join(":"), SSL_CERT_FILE: caFile },
    });
    const serves = () =>
      this.#ctr("version").then(
        () => true,
        () => false,
      );
    await this.#containerd.waitUntil("ready", serves, READY_TIMEOUT_MS);
  }

  /** Brings the images of these OCI archives to the node's Pods, and what holds a Pod's namespaces. */
  async importImages(archives: readonly string[]): Promise<void> {
    const { dir, tools } = this.#options;
    const pause = join(dir, "pause.tar");
    await writeArchive(await pauseImage(tools), "registry.example.com", pause);
    for (const archive of [pause, ...archives]) await this.#ctr("images", "import", archive);
    rmSync(pause);
  }

  /** Starts the kubelet, with the cluster's authority and the node's own credentials. The node then becomes Ready. */
  startKubelet(caFile: string, kubeconfig: string): void {
    const { dir, kubernetes, address } = this.#options;
    const files = { kubeconfig: join(dir, "kubelet.kubeconfig"), config: join(dir, "kubelet.json") };
    writeFileSync(files.kubeconfig, kubeconfig, { mode: 0o600 });
    writeFileSync(files.config, JSON.stringify(this.#kubeletConfig(caFile)));
    const flags = {
      ...files,
      "hostname-override": NODE_NAME,
      "node-ip": address,
      ...(this.#containerdVersion === "1.7"
        ? { "container-runtime": "remote", "container-runtime-endpoint": `unix://${SOCKET}` }
        : {}),
    };
    this.#kubelet.start([kubernetes.kubelet, ...Object.entries(flags).map(([name, value]) => `--${name}=${value}`)]);
  }

  #kubeletConfig(caFile: string): object {
    return {
      apiVersion: "kubelet.config.k8s.io/v1beta1",
      kind: "KubeletConfiguration",
      authentication: { anonymous: { enabled: false }, webhook: { enabled: false }, x509: { clientCAFile: caFile } },
      authorization: { mode: "AlwaysAllow" },
      cgroupDriver: "cgroupfs",
      failSwapOn: false,
      // However full this machine's disk is: there is room in memory.
      evictionHard: { "nodefs.available": "0%", "imagefs.available": "0%", "nodefs.inodesFree": "0%" },
      imageGCHighThresholdPercent: 100,
      ...(this.#containerdVersion === "1.7" ? {} : { containerRuntimeEndpoint: `unix://${SOCKET}` }),
    };
  }

  async #ctr(...args: string[]): Promise<void> {
    const ctr = join(this.#options.tools.containerdDir(this.#containerdVersion), "ctr");
    await run(ctr, ["--address", SOCKET, "--namespace", "k8s.io", ...args]);
  }
}

const POD_NETWORK = {
  cniVersion: "0.4.0",
  name: "pods",
  plugins: [
    {
      type: "bridge",
      bridge: "cni0",
      isGateway: true,
      ipam: {
        type: "host-local",
        ranges: [[{ subnet: "10.244.0.0/24" }]],
        routes: [{ dst: "0.0.0.0/0" }],
      },
    },
    { type: "portmap", capabilities: { portMappings: true } },
  ],
};

// The defaults, but for what this machine lacks (a container's oom_score_adj can't be lowered without CAP_SYS_RESOURCE)
// and what Berth's pulls by containerd 1.7 need.
function containerdConfig(version: ContainerdVersion): string {
  if (version !== "1.7") {
    return `version = 3
[plugins."io.containerd.cri.v1.runtime"]
restrict_oom_score_adj = true
[plugins."io.containerd.cri.v1.images".pinned_images]
sandbox = "${PAUSE}"
`;
  }
  return `version = 2
[plugins."io.containerd.grpc.v1.cri"]
restrict_oom_score_adj = true
sandbox_image = "${PAUSE}"
[[plugins."io.containerd.transfer.v1.local".unpack_config]]
platform = "linux/${arch() === "arm64" ? "arm64" : "amd64"}"
snapshotter = "overlayfs"
`;
}
