// Inside of the machine: a whole cluster of one node, everything at the paths and ports where a node has it. Run as
//   cluster.ts DIRECTORY ARCHIVE...   imports the images of the OCI archives for Pods, and writes DIRECTORY/env.json when all
// is ready: the environment for the tests.
import { mkdirSync, renameSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { run } from "../../src/node/index.ts";
import { Authority, SERVICE_ADDRESS } from "../cluster/certificates.ts";
import type { KeyPair } from "../cluster/certificates.ts";
import { ControlPlane } from "../cluster/control-plane.ts";
import { Daemon } from "../cluster/daemon.ts";
import { adminKubeconfig } from "../cluster/kubeconfig.ts";
import { buildImages, writeArchive } from "../cluster/images.ts";
import { Registry } from "../cluster/registry.ts";
import { findTools } from "../cluster/tools.ts";
import { NODE_NAME, Node } from "./node.ts";
import { findKubernetes } from "./tools.ts";

const [, , dir = "", ...archives] = process.argv;
const address = process.env["MACHINE_ADDRESS"] ?? "";
const tools = findTools();
const kubernetes = findKubernetes();

async function up(): Promise<void> {
  await run("ip", ["address", "add", `${SERVICE_ADDRESS}/32`, "dev", "lo"]);
  const authority = await Authority.open(join(dir, "control-plane/pki"));
  const controlPlane = new ControlPlane({ dir: join(dir, "control-plane"), tools, flags: await apiFlags(authority) });
  const registry = new Registry({ dir: join(dir, "registry"), tools });
  const node = new Node({ dir: join(dir, "node"), address, caFile: registry.caFile, tools, kubernetes });
  await Promise.all([
    controlPlane.start().then(() => startControllers(controlPlane, authority)),
    registry.start(),
    node.startContainerd(),
  ]);
  await node.importImages([...archives, await busybox(registry.host)]);
  const credentials = await authority.client(`system:node:${NODE_NAME}`, "system:nodes");
  node.startKubelet(
    authority.certificate,
    adminKubeconfig(await controlPlane.url(), authority.certificate, credentials),
  );
  for (const what of ["create", "condition=Ready"]) {
    await controlPlane.kubectl(["wait", `--for=${what}`, "--timeout=110s", `node/${NODE_NAME}`]);
  }
  ready({ KUBECONFIG: controlPlane.adminKubeconfig, BERTH_E2E_IMAGE: `${registry.host}/library/busybox:1.36` });
}

/** For Pods: CRI takes a registry on loopback for one without TLS. */
async function busybox(prefix: string): Promise<string> {
  const file = join(dir, "busybox.tar");
  const images = (await buildImages(tools)).filter(({ repository }) => repository === "library/busybox");
  for (const image of images) await writeArchive(image, prefix, file);
  return file;
}

/** What a kube-apiserver needs that has nodes, Pods and a Service of its own to be found by. */
async function apiFlags(authority: Authority): Promise<Record<string, string>> {
  const client = await authority.client("kube-apiserver-kubelet-client", "system:masters");
  return {
    "bind-address": "0.0.0.0",
    "advertise-address": address,
    // Of the Service `kubernetes`, whose address is one of this machine: nothing has to be translated.
    "secure-port": "443",
    "endpoint-reconciler-type": "lease",
    "authorization-mode": "Node,RBAC",
    "enable-admission-plugins": "NodeRestriction",
    "allow-privileged": "true",
    "kubelet-client-certificate": client.certificate,
    "kubelet-client-key": client.key,
    "kubelet-preferred-address-types": "InternalIP",
  };
}

async function startControllers(controlPlane: ControlPlane, authority: Authority): Promise<void> {
  const url = await controlPlane.url();
  const common = (name: string, credentials: KeyPair) => {
    const kubeconfig = join(dir, `${name}.kubeconfig`);
    writeFileSync(kubeconfig, adminKubeconfig(url, authority.certificate, credentials), { mode: 0o600 });
    return [`--kubeconfig=${kubeconfig}`, "--leader-elect=false", "--bind-address=127.0.0.1"];
  };
  const manager = await authority.client("system:kube-controller-manager", "system:masters");
  new Daemon(dir, "kube-controller-manager").start([
    kubernetes.kubeControllerManager,
    ...common("kube-controller-manager", manager),
    `--service-account-private-key-file=${controlPlane.tokenKeyFile}`,
    `--root-ca-file=${authority.certificate}`,
    // The kubelet writes at least every 10 s.
    "--node-monitor-grace-period=25s",
    "--cert-dir",
    controlPlane.pkiDir,
  ]);
  const scheduler = await authority.client("system:kube-scheduler", "system:masters");
  new Daemon(dir, "kube-scheduler").start([
    kubernetes.kubeScheduler,
    ...common("kube-scheduler", scheduler),
    "--cert-dir",
    controlPlane.pkiDir,
  ]);
}

// Whoever waits for the file finds it whole.
function ready(env: Record<string, string>): void {
  const file = join(dir, "env.json");
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(`${file}.new`, JSON.stringify(env));
  renameSync(`${file}.new`, file);
}

await up();
