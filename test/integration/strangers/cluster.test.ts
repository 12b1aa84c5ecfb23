// What the cluster does to many objects at once: a namespace goes, the CRD goes and comes back, etcd is lost.
import { readFileSync, rmSync } from "node:fs";
import { join, resolve } from "node:path";
import { describe, expect, it } from "@jest/globals";
import { ApiError, checkpointPath, containerPath } from "../../../src/kube/index.ts";
import { pidOf, untilSaid, untilMissed } from "../../support/away.ts";
import { useNode } from "../../support/test-node.ts";

const test = useNode({ ownControlPlane: true });

const PATIENCE_MS = 90_000;
/** Whoever lost the API server, or what it was asked for, tries again after up to 30 s. */
const TEST_MS = 180_000;
const MANIFESTS = resolve(import.meta.dirname, "../../../manifests");
const CRDS = join(MANIFESTS, "crd");
const BRIDGE = { network: { mode: "Bridge" } } as const;
const kubectl = (...args: string[]): Promise<string> => test().cluster.controlPlane.kubectl(args);

/** Applies what the agent needs of a cluster, as an administrator does. */
async function applyCRDs(): Promise<void> {
  await kubectl("apply", "--validate=false", "-f", CRDS);
  await kubectl("wait", "--for=condition=Established", "--timeout=30s", "-f", CRDS);
}

describe("a namespace that is deleted in one go", () => {
  const name = "going";
  const collection = (resource: string): string => `/api/v1/namespaces/${name}/${resource}`;

  /** What the namespace controller of kube-controller-manager does: all content, kind by kind, then its own finalizer. */
  async function deleteNamespace(): Promise<void> {
    const path = `/api/v1/namespaces/${name}`;
    await test().api.delete(path);
    await kubectl("delete", "--raw", collection("secrets"));
    await kubectl("delete", "--raw", `/apis/rbac.authorization.k8s.io/v1/namespaces/${name}/rolebindings`);
    await expect(test().create({}, { namespace: name, name: "late" })).rejects.toThrow(ApiError);
    await kubectl("delete", "--raw", checkpointPath(name));
    await kubectl("delete", "--raw", containerPath(name));
    const left = async (): Promise<number> =>
      (await test().api.list(containerPath(name))).items.length +
      (await test().api.list(checkpointPath(name))).items.length;
    const deadline = Date.now() + PATIENCE_MS;
    while ((await left()) > 0) if (Date.now() > deadline) throw new Error(`${await left()} left\n${test().agentLog()}`);
    const finalized = { apiVersion: "v1", kind: "Namespace", metadata: { name }, spec: { finalizers: [] } };
    await test().cluster.controlPlane.kubectl(
      ["replace", "--raw", `${path}/finalize`, "-f", "-"],
      JSON.stringify(finalized),
    );
  }

  it(
    "takes Containers of all kinds with it, though their Secret is gone first, and leaves nothing",
    async () => {
      const before = await test().audit();
      await kubectl("create", "namespace", name);
      const binding = ["--clusterrole=berth-references", "--serviceaccount=berth-system:berth"];
      await kubectl("create", "rolebinding", "berth-references", "--namespace", name, ...binding);
      await kubectl("create", "secret", "generic", "word", "--namespace", name, "--from-literal=word=open");
      const create = (id: string, spec: object) => test().create(spec, { namespace: name, name: id });
      const running = await Promise.all([
        create("plain", BRIDGE),
        create("secretive", {
          ...BRIDGE,
          envFrom: [{ secretRef: { name: "word" } }],
          volumes: [{ name: "word", secret: { secretName: "word" } }],
          volumeMounts: [{ name: "word", mountPath: "/word" }],
        }),
        create("paused", { desiredState: "Paused" }),
        create("joined", { network: { mode: "Container", container: "plain" } }),
      ]);
      await create("waiting", { envFrom: [{ secretRef: { name: "missing" } }] });
      await create("failing", { command: ["sh", "-c", "exit 3"] });
      await create("over", { command: ["sh", "-c", "exit 3"], restartPolicy: "Never", autoRemove: true });
      await create("broken", { command: ["no-such-command"] });
      await test().api.create(checkpointPath(name), {
        apiVersion: "berth.dev/v1alpha1",
        kind: "ContainerCheckpoint",
        metadata: { name: "pending", namespace: name },
        spec: { containerName: "nobody" },
      });
      for (const container of running) await test().untilCondition(container, "Ready");
      await deleteNamespace();
      await expect(test().api.get(`/api/v1/namespaces/${name}`)).rejects.toThrow("not found");
      expect(await test().leaks(before)).toEqual([]);
    },
    TEST_MS,
  );
});

describe("a CRD that is deleted", () => {
  it(
    "takes the Containers with it, and nothing else; the agent works on when it is there again",
    async () => {
      const { node } = test();
      const before = await test().audit();
      const pid = node.agentPid;
      const created = await test().create(BRIDGE);
      const running = await test().untilCondition(created, "Ready");
      await kubectl("delete", "--timeout=60s", "-f", CRDS);
      expect(() => process.kill(pidOf(running), 0)).toThrow();
      expect(await test().leaks(before)).toEqual([]);
      await untilMissed(node, "apiserver");

      await applyCRDs();
      const again = await test().create(BRIDGE);
      await test().untilCondition(again, "Ready", PATIENCE_MS);
      expect(node.agentPid).toBe(pid);
      await test().delete(again, PATIENCE_MS);
    },
    TEST_MS,
  );
});

describe("an etcd that is lost", () => {
  it(
    "does not take the containers with it: to another cluster they are nobody's, and the agent says so",
    async () => {
      const { node, cluster } = test();
      const { controlPlane } = cluster;
      const created = await test().create(BRIDGE);
      const running = await test().untilCondition(created, "Ready");
      const held = await test().audit();
      await controlPlane.loseEtcd();
      await cluster.install();
      await test().lookAnew();
      // With the new cluster's credentials, as an administrator would give it.
      await node.stopAgent();
      await controlPlane.serviceAccountKubeconfig(node.agentFlags()["kubeconfig"] ?? "");
      node.startAgent();
      await untilSaid(node, "the API server of another cluster");
      const { ready } = await untilMissed(node, "apiserver", PATIENCE_MS, join(node.dataDir, "cluster"));
      expect(ready).toBe(false);
      process.kill(pidOf(running), 0);
      const { task, container } = await test().audit();
      expect({ task, container }).toEqual({ task: held.task, container: held.container });
      // Nor is the new cluster's word taken in anything else.
      const other = await test().create();
      const seen = await test().until(other, "there", () => true);
      expect(seen.status).toEqual({ observedGeneration: -1 });

      rmSync(join(node.dataDir, "cluster"));
      await node.agentReady(PATIENCE_MS);
      await test().untilCondition(other, "Ready", PATIENCE_MS);
      expect(readFileSync(join(node.dataDir, "cluster"), "utf8").trim()).toMatch(/^[0-9a-f-]{36}$/);
      expect((await test().audit()).container).toEqual([`${other.metadata.uid}-1`]);
      await test().delete(other);
    },
    TEST_MS,
  );
});
