// The chart's life in a cluster, by the real Helm on a real API server: install, upgrade, rollback, uninstall. There is no
// kubelet: what Helm waits for, its Jobs, is done by the test.
import { cpSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import { ControlPlane } from "../../../hack/cluster/control-plane.ts";
import { CHART, helm, NAMESPACE } from "../../../hack/chart/helm.ts";
import { findTools } from "../../../hack/cluster/tools.ts";
import type { Container } from "../../../src/api/index.ts";
import { containerPath, isNotFound, KubeApi } from "../../../src/kube/index.ts";
import { run } from "../../../src/node/index.ts";
import { nodeIndex, sharedDir } from "../../support/test-node.ts";

type Job = {
  metadata: { name: string; resourceVersion: string };
  spec: { template: { spec: { containers: { args: string[] }[] } } };
};
type Named = { kind: string; metadata: { name: string } };

const dir = join(sharedDir(), `chart-${nodeIndex()}`);
const controlPlane = new ControlPlane({ dir: join(dir, "control-plane") });
const kubectl = (...args: string[]): Promise<string> => controlPlane.kubectl(args);
const NEXT = join(dir, "next");
const JOBS = `/apis/batch/v1/namespaces/${NAMESPACE}/jobs`;
const TEST_MS = 180_000;

let api: KubeApi;
const over = new AbortController();
/** What Jobs ran, and whether there were agents then. */
const jobs: { name: string; args: string[]; hadAgents: boolean }[] = [];
/** How a Job ends. */
let outcome: "Complete" | "Failed" = "Complete";
let playing: Promise<void>;

beforeAll(async () => {
  mkdirSync(dir, { recursive: true });
  await controlPlane.start();
  api = KubeApi.load({ kubeconfig: controlPlane.adminKubeconfig });
  await kubectl("create", "namespace", NAMESPACE);
  playing = playJobs();
  // A later chart, with a column more.
  cpSync(CHART, NEXT, { recursive: true });
  edit("Chart.yaml", /^version: .*$/m, "version: 99.0.0");
  edit("files/crd/containers.yaml", "description: The node that runs it.", "description: Where it runs.");
}, TEST_MS);

afterAll(async () => {
  over.abort();
  await playing;
  api.close();
  await controlPlane.stop();
}, 60_000);

function edit(file: string, from: RegExp | string, to: string): void {
  const path = join(NEXT, file);
  const before = readFileSync(path, "utf8");
  const after = before.replace(from, to);
  if (after === before) throw new Error(`${file} has nothing like ${String(from)}`);
  writeFileSync(path, after);
}

/** Ends each Job as the job controller would when its pod has ended. */
async function playJobs(): Promise<void> {
  try {
    for await (const { type, object } of await api.watch<Job>(JOBS, { signal: over.signal })) {
      if (type !== "ADDED") continue;
      const { name } = object.metadata;
      const hadAgents = (await kubectl("-n", NAMESPACE, "get", "daemonset", "-o", "name")).includes(
        "daemonset.apps/berth",
      );
      jobs.push({ name, args: object.spec.template.spec.containers[0]?.args ?? [], hadAgents });
      const condition = { type: outcome, status: "True", lastTransitionTime: new Date().toISOString() };
      await api.mergePatch(`${JOBS}/${name}/status`, { status: { conditions: [condition] } });
    }
  } catch (error) {
    if (!over.signal.aborted) throw error;
  }
}

function berth(command: string, ...args: string[]): Promise<string> {
  return helm([command, "berth", ...args, "--namespace", NAMESPACE, "--timeout", "60s"], {
    kubeconfig: controlPlane.adminKubeconfig,
  });
}

/** Everything in the cluster that is the release's, by kind and name. */
async function ours(): Promise<string[]> {
  const kinds =
    "serviceaccounts,configmaps,services,daemonsets,deployments,jobs,pods,roles,rolebindings,clusterroles,clusterrolebindings,customresourcedefinitions";
  const list = await kubectl("get", kinds, "-A", "-l", "app.kubernetes.io/instance=berth", "-o", "json");
  const { items } = JSON.parse(list) as { items: Named[] };
  return items.map(({ kind, metadata }) => `${kind} ${metadata.name}`).sort();
}

const agents = async (): Promise<{ generation: number; image: string; column: string }> => {
  const read = (kind: string, name: string, path: string): Promise<string> =>
    kubectl("-n", NAMESPACE, "get", kind, name, "-o", `jsonpath={${path}}`);
  return {
    generation: Number(await read("daemonset", "berth", ".metadata.generation")),
    image: await read("daemonset", "berth", ".spec.template.spec.containers[0].image"),
    column: await read("crd", "containers.berth.dev", ".spec.versions[0].additionalPrinterColumns[0].description"),
  };
};

const INSTALLED = [
  "ClusterRole berth-agent",
  "ClusterRole berth-controller",
  "ClusterRole berth-edit",
  "ClusterRole berth-references",
  "ClusterRole berth-view",
  "ClusterRoleBinding berth-agent",
  "ClusterRoleBinding berth-controller",
  "ConfigMap berth",
  "CustomResourceDefinition containercheckpoints.berth.dev",
  "CustomResourceDefinition containers.berth.dev",
  "DaemonSet berth",
  "Deployment berth-controller",
  "Role berth-agent",
  "Role berth-controller",
  "RoleBinding berth-agent",
  "RoleBinding berth-controller",
  "ServiceAccount berth",
  "ServiceAccount berth-controller",
];
const KEPT = INSTALLED.filter((object) => object.startsWith("CustomResourceDefinition"));

describe("the chart, one after the other", () => {
  let container: Container;
  const now = (): Promise<Container> => api.get<Container>(containerPath("default", "hello"));

  it(
    "is installed, with nothing that this server has not",
    async () => {
      const notes = await berth("install", CHART);
      expect(notes).toContain("STATUS: deployed");
      expect(notes).toContain("Nobody but cluster administrators may write Containers yet.");
      expect(await ours()).toEqual(INSTALLED);
      await kubectl("wait", "--for=condition=Established", "--timeout=60s", "crd", "containers.berth.dev");
      container = await api.create<Container>(containerPath("default"), {
        apiVersion: "berth.dev/v1alpha1",
        kind: "Container",
        metadata: { name: "hello", namespace: "default", finalizers: ["berth.dev/cleanup"] },
        spec: { nodeName: "node-1", image: "example.com/hello:1" },
      });
    },
    TEST_MS,
  );

  it(
    "is upgraded, the CRDs with it, and no Container is touched",
    async () => {
      const before = await agents();
      await berth("upgrade", NEXT, "--set", "image.tag=99.0.0", "--set", "references.namespaces={default}");
      const after = await agents();
      expect(after).toEqual({
        generation: before.generation + 1,
        image: "example.com/berth:99.0.0",
        column: "Where it runs.",
      });
      expect(await ours()).toEqual([...INSTALLED, "RoleBinding berth-references"].sort());
      expect(await now()).toEqual(container);
    },
    TEST_MS,
  );

  it(
    "is rolled back, likewise",
    async () => {
      const before = await agents();
      await berth("rollback");
      const after = await agents();
      expect(after).toEqual({
        generation: before.generation + 1,
        image: "example.com/berth:0.1.0",
        column: "The node that runs it.",
      });
      expect(await ours()).toEqual(INSTALLED);
      expect(await now()).toEqual(container);
    },
    TEST_MS,
  );

  it(
    "rolls out a change of the agents' configuration, and nothing that is none",
    async () => {
      const { generation } = await agents();
      await berth("upgrade", CHART, "--reset-values");
      expect((await agents()).generation).toBe(generation);
      await berth("upgrade", CHART, "--set", "agent.config.concurrency=3");
      expect((await agents()).generation).toBe(generation + 1);
    },
    TEST_MS,
  );

  it(
    "is uninstalled but for CRDs and Containers, whose finalizers a Job takes off when the agents are gone",
    async () => {
      await berth("uninstall");
      expect(jobs.splice(0)).toEqual([
        { name: "berth-uninstall", args: ["uninstall", "--timeout=2m"], hadAgents: false },
      ]);
      expect(await ours()).toEqual(KEPT);
      expect(await now()).toEqual(container);
    },
    TEST_MS,
  );

  it(
    "is installed again over what was kept",
    async () => {
      await berth("install", CHART, "--set", "uninstall.deleteContainers=true");
      expect(await ours()).toEqual(INSTALLED);
      expect((await now()).metadata.uid).toBe(container.metadata.uid);
    },
    TEST_MS,
  );

  it(
    "stays when Containers that should go can't be deleted",
    async () => {
      outcome = "Failed";
      await expect(berth("uninstall")).rejects.toThrow(/berth-delete/);
      outcome = "Complete";
      expect(jobs.splice(0)).toEqual([
        { name: "berth-delete", args: ["uninstall", "--delete", "--timeout=5m"], hadAgents: true },
      ]);
      expect(await ours()).toEqual(expect.arrayContaining(INSTALLED));
    },
    TEST_MS,
  );

  it(
    "has the agents delete all Containers before they go, if that is wished",
    async () => {
      await berth("uninstall");
      expect(jobs.splice(0).map(({ name, hadAgents }) => [name, hadAgents])).toEqual([
        ["berth-delete", true],
        ["berth-uninstall", false],
      ]);
      expect(await ours()).toEqual(KEPT);
    },
    TEST_MS,
  );

  it(
    "leaves finalizers that can be taken off by hand, as the docs say it",
    async () => {
      const page = readFileSync(join(CHART, "../../docs/install.md"), "utf8");
      const [command = ""] = /^kubectl get containers,[^]*?finalizers":null}}'$/m.exec(page) ?? [];
      const environment = { PATH: `${dirname(findTools().kubectl)}:${process.env["PATH"] ?? ""}`, HOME: dir };
      await run("bash", ["-c", command], { env: { ...environment, KUBECONFIG: controlPlane.adminKubeconfig } });
      expect((await now()).metadata.finalizers).toBeUndefined();
      await api.delete(containerPath("default", "hello"));
      expect(await now().catch(isNotFound)).toBe(true);
    },
    TEST_MS,
  );
});
