// What the chart lets agents and controller do at the API server: all that the tests' agents need, for they have these
// rights alone, and no more. And what `helm test` runs, on an agent that works.
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import { CHART, helm, NAMESPACE } from "../../../hack/chart/helm.ts";
import { MANIFESTS } from "../../../src/api/generate.ts";
import { isForbidden, KubeApi, secretPath } from "../../../src/kube/index.ts";
import { CommandError, run } from "../../../src/node/index.ts";
import { useNode } from "../../support/test-node.ts";

type Rules = { status: { resourceRules: { verbs: string[]; apiGroups: string[]; resources: string[] }[] } };

const test = useNode({ ownControlPlane: true });
const kubectl = (...args: string[]): Promise<string> => test().cluster.controlPlane.kubectl(args);
const clients: KubeApi[] = [];
let agent: KubeApi;

/** The API as a ServiceAccount sees it. */
async function apiOf(serviceAccount: string): Promise<KubeApi> {
  const kubeconfig = join(test().node.dir, `${serviceAccount}.kubeconfig`);
  await test().cluster.controlPlane.serviceAccountKubeconfig(kubeconfig, NAMESPACE, serviceAccount);
  const api = KubeApi.load({ kubeconfig });
  clients.push(api);
  return api;
}

beforeAll(async () => {
  agent = await apiOf("berth");
});

afterAll(() => {
  for (const api of clients) api.close();
});

/** What may be done in a namespace, but for what everybody may: asking what one may. */
async function rights(api: KubeApi, namespace: string): Promise<string[]> {
  const review = {
    apiVersion: "authorization.k8s.io/v1",
    kind: "SelfSubjectRulesReview",
    spec: { namespace },
  };
  const { status } = await api.create<Rules>("/apis/authorization.k8s.io/v1/selfsubjectrulesreviews", review);
  const lines = status.resourceRules.flatMap(({ apiGroups, resources, verbs }) =>
    resources.map(
      (resource) => `${[resource, ...apiGroups.filter((group) => group !== "")].join(".")}: ${verbs.join(" ")}`,
    ),
  );
  return lines.filter((line) => !line.includes(".authorization.k8s.io")).sort();
}

const EVERYWHERE = [
  "containercheckpoints.berth.dev: get list watch patch delete",
  "containercheckpoints/status.berth.dev: patch",
  "containers.berth.dev: get list watch patch delete",
  "containers/status.berth.dev: patch",
  "events: create patch",
  "namespaces: get list watch",
];

describe("an agent's rights", () => {
  it("are, in any namespace, Containers, Events and the namespaces' labels", async () => {
    expect(await rights(agent, "kube-system")).toEqual(EVERYWHERE);
  });

  it("are, in a namespace that is listed, its Secrets and ConfigMaps besides", async () => {
    const references = ["configmaps: get list watch", "secrets: get list watch"];
    expect(await rights(agent, "default")).toEqual([...EVERYWHERE, ...references].sort());
  });

  it("are, in its own, the Leases", async () => {
    expect(await rights(agent, NAMESPACE)).toEqual(
      [...EVERYWHERE, "leases.coordination.k8s.io: get create patch"].sort(),
    );
  });

  it("do not show it a Secret of a namespace that is not listed", async () => {
    for (const namespace of ["default", "kube-system"])
      await kubectl("-n", namespace, "create", "secret", "generic", "token", "--from-literal=password=hidden");
    await expect(agent.get(secretPath("default", "token"))).resolves.toMatchObject({ data: {} });
    const path = secretPath("kube-system");
    const tries = [agent.get(`${path}/token`), agent.list(path), agent.watch(path), agent.list("/api/v1/secrets")];
    expect(await Promise.all(tries.map((tried) => tried.catch(isForbidden)))).toEqual([true, true, true, true]);
  });
});

describe("the controller's rights", () => {
  it("are Containers, Events, Nodes and the Leases of its namespace", async () => {
    await kubectl("apply", "-f", join(MANIFESTS, "rbac-controller.yaml"));
    const controller = await apiOf("berth-controller");
    const anywhere = [
      "containercheckpoints.berth.dev: get list watch patch",
      "containers.berth.dev: get list watch patch",
      "containers/status.berth.dev: patch",
      "events: create patch",
      "nodes: get list watch",
    ];
    expect(await rights(controller, "default")).toEqual(anywhere);
    const leases = "leases.coordination.k8s.io: get list watch create patch";
    expect(await rights(controller, NAMESPACE)).toEqual([...anywhere, leases].sort());
  });
});

describe("helm test", () => {
  const IMAGE = "berth-test-image";

  /** What its Pod would run, as its ServiceAccount. */
  async function helmTest(patience: number): Promise<string> {
    const { controlPlane } = test().cluster;
    const token = await kubectl("-n", NAMESPACE, "create", "token", "berth-test");
    const kubeconfig = JSON.parse(await kubectl("config", "view", "--raw", "-o", "json")) as {
      clusters: { cluster: { server: string } }[];
    };
    const { hostname, port } = new URL(kubeconfig.clusters[0]?.cluster.server ?? "");
    const tokenFile = join(test().node.dir, "token");
    await run("sh", ["-c", 'umask 077; cat >"$0"', tokenFile], { input: token });
    const { stdout } = await run(process.execPath, [join(CHART, "files/test.mjs")], {
      env: {
        KUBERNETES_SERVICE_HOST: hostname,
        KUBERNETES_SERVICE_PORT: port,
        NODE_EXTRA_CA_CERTS: join(controlPlane.dir, "pki/ca.crt"),
        NAMESPACE,
        CONTAINER_IMAGE: test().image(),
        TOKEN_FILE: tokenFile,
        PATIENCE: String(patience),
      },
    });
    return stdout;
  }

  beforeAll(async () => {
    await kubectl("apply", "-f", join(MANIFESTS, "agent.yaml"));
    // Its rights, with those that starting a Container needs.
    const hooks = ["template", "berth", CHART, "--namespace", NAMESPACE, "--show-only", "templates/tests/test.yaml"];
    const rendered = await helm([...hooks, "--set", `test.containerImage=${IMAGE}`]);
    const rights = rendered
      .split(/^---\n/m)
      .filter((object) => /^kind: (ServiceAccount|Role|RoleBinding)$/m.test(object));
    expect(rights).toHaveLength(3);
    await test().cluster.controlPlane.kubectl(["apply", "-f", "-"], rights.join("---\n"));
  });

  /** What the DaemonSet controller would say. */
  const schedule = (desiredNumberScheduled: number): Promise<unknown> => {
    const status = { desiredNumberScheduled, currentNumberScheduled: 1, numberMisscheduled: 0, numberReady: 1 };
    return test().api.mergePatch(`/apis/apps/v1/namespaces/${NAMESPACE}/daemonsets/berth/status`, { status });
  };

  it("finds CRDs, Leases, and a Container that starts and goes, with its own rights", async () => {
    await schedule(1);
    expect((await helmTest(60)).trim().split("\n")).toEqual([
      "the CustomResourceDefinitions are served",
      `the agents live: ${test().node.name}`,
      `a Container was started and removed on ${test().node.name}`,
    ]);
  });

  it("fails when an agent is missing, and says how many", async () => {
    await schedule(2);
    const failure: unknown = await helmTest(1).catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(CommandError);
    expect((failure as CommandError).stderr).toContain(`1 of 2 agents have a Lease that is fresh: ${test().node.name}`);
  });
});
