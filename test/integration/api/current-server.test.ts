// What the API servers of today check, and the local one may be too old for: CEL in the CRDs, selectable fields, and the
// policies, on Kubernetes 1.36's own code.
import { mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import { parseAllDocuments } from "yaml";
import { ControlPlane } from "../../../hack/cluster/control-plane.ts";
import { ACCEPTED } from "../../../src/api/cases/accepted.ts";
import { objectOf, type Case } from "../../../src/api/cases/case.ts";
import { CONTRADICTORY } from "../../../src/api/cases/contradictory.ts";
import { MALFORMED } from "../../../src/api/cases/malformed.ts";
import { SECURITY_CASES } from "../../../src/api/cases/pod-security.ts";
import { checkpointCRD, containerCRD } from "../../../src/api/crd.ts";
import { MANIFESTS } from "../../../src/api/generate.ts";
import { validate, type Container } from "../../../src/api/index.ts";
import { ApiError, checkpointPath, containerPath, KubeApi, namespacePath } from "../../../src/kube/index.ts";
import { CrdServer, type User } from "../../support/crd-server.ts";
import { nodeIndex, sharedDir } from "../../support/test-node.ts";

const DRY_RUN = { query: { dryRun: "All" } };
const ADMISSION = "/apis/admissionregistration.k8s.io/v1";

const core = new ControlPlane({ dir: join(sharedDir(), "control-plane") });
const dir = join(sharedDir(), `crd-server-${nodeIndex()}`);
let server: CrdServer;
let api: KubeApi;
let namespaces: KubeApi;
/** Warnings at the definition of our CRDs. */
let warnings: string[];
const made: string[] = [];

beforeAll(async () => {
  mkdirSync(dir, { recursive: true });
  server = new CrdServer(dir, core);
  await server.start();
  warnings = [...(await server.define(containerCRD())), ...(await server.define(checkpointCRD()))];
  api = KubeApi.load({ kubeconfig: server.kubeconfig });
  namespaces = KubeApi.load({ kubeconfig: core.adminKubeconfig });
}, 180_000);

afterAll(async () => {
  await Promise.all(made.map((name) => namespaces.delete(namespacePath(name))));
  namespaces.close();
  api.close();
  await server.stop();
}, 60_000);

/** A namespace, by the labels it has; one for all that ask for the same. */
async function namespaceOf(labels: Readonly<Record<string, string>>): Promise<string> {
  const name = ["now", nodeIndex(), ...Object.values(labels).map((value) => value.replaceAll(".", "-"))].join("-");
  if (made.includes(name)) return name;
  made.push(name);
  await namespaces.create(namespacePath(), { metadata: { name, labels } });
  return name;
}

const inDefault = (spec: Readonly<Record<string, unknown>>, name = "hello", namespace = "default"): object => ({
  ...objectOf({ name: "", spec }),
  metadata: { name, namespace },
});

/** What the server says against an object; undefined when it takes it. */
async function refusal(object: object, namespace = "default"): Promise<string | undefined> {
  try {
    await api.create(containerPath(namespace), object, DRY_RUN);
    return undefined;
  } catch (error) {
    if (error instanceof ApiError) return error.message;
    throw error;
  }
}

describe("the CRDs", () => {
  it("are accepted without a warning", () => {
    expect(warnings).toEqual([]);
  });

  it.each(MALFORMED)("refuse what the agent refuses: $name", async (refused: Case) => {
    const said = await refusal(objectOf(refused));
    expect(said).toContain(refused.field);
    expect(said).toContain(refused.says ?? "");
  });

  // A server names the object that a rule stands at; which field of it is meant, the words say.
  it.each(CONTRADICTORY.filter(({ agentOnly }) => agentOnly !== true))(
    "refuse by their rules what the agent refuses: $name",
    async ({ spec, field = "", says }) => {
      const said = (await refusal(inDefault(spec))) ?? "";
      const [, where = "", words] = /is invalid: (?:<nil>|(spec[^:]*)): Invalid value: (.*)$/.exec(said) ?? [];
      expect(field.startsWith(where)).toBe(true);
      expect(words).toContain(says);
    },
  );

  it.each(ACCEPTED)("accept what the agent accepts: $name", async (accepted: Case) => {
    expect(await refusal(objectOf(accepted))).toBeUndefined();
  });

  it("let nobody change a Container's node", async () => {
    const { metadata } = await api.create<Container>(containerPath("default"), inDefault({}, "fixed"));
    const path = containerPath("default", metadata.name);
    await expect(api.mergePatch(path, { spec: { nodeName: "node-2" } })).rejects.toThrow(
      /spec\.nodeName: .*can't be changed/,
    );
    await api.delete(path);
  });

  it("select by spec.nodeName, in lists and watches", async () => {
    const names = ["one", "two"];
    for (const name of names)
      await api.create(containerPath("default"), inDefault({ nodeName: `node-${name}` }, `on-${name}`));
    const query = { fieldSelector: "spec.nodeName=node-two" };
    const { items, resourceVersion } = await api.list<Container>(containerPath(), { query });
    expect(items.map(({ metadata }) => metadata.name)).toEqual(["on-two"]);
    const watch = await api.watch<Container>(containerPath(), { query: { ...query, resourceVersion } });
    for (const name of names) await api.delete(containerPath("default", `on-${name}`));
    for await (const { type, object } of watch) {
      expect([type, object]).toMatchObject(["DELETED", { metadata: { name: "on-two" } }]);
      break;
    }
  });
});

describe("the policies", () => {
  const AGENT = "system:serviceaccount:berth-system:berth";
  const agentOf = (node?: string): User => ({
    name: AGENT,
    groups: ["system:serviceaccounts", "system:authenticated"],
    ...(node === undefined ? {} : { extra: { "authentication.kubernetes.io/node-name": [node] } }),
  });
  const baseline = { "pod-security.kubernetes.io/enforce": "baseline" };

  beforeAll(async () => {
    for (const file of ["pod-security", "own-node"]) {
      const documents = parseAllDocuments(readFileSync(join(MANIFESTS, "policies", `${file}.yaml`), "utf8"));
      for (const object of documents.map((document) => document.toJS() as { kind: string })) {
        const plural = object.kind.endsWith("Binding")
          ? "validatingadmissionpolicybindings"
          : "validatingadmissionpolicies";
        await api.create(`${ADMISSION}/${plural}`, object);
      }
    }
    // Nothing tells when they are in force but what they do.
    const namespace = await namespaceOf(baseline);
    while ((await refusal(inDefault({ hostPID: true }, "c", namespace), namespace)) === undefined);
    await api.create(containerPath("default"), inDefault({}, "probe"));
    const probe = containerPath("default", "probe");
    while (!/names no node/.test(await refusedTo(agentOf(), "DELETE", `${probe}?dryRun=All`)));
    await api.delete(probe);
  }, 60_000);

  /** What is said against a request of somebody, "" when it is carried out. */
  async function refusedTo(as: User, method: string, path: string, body?: object): Promise<string> {
    const { code, text } = await server.request(method, path, { as, ...(body === undefined ? {} : { body }) });
    return code < 300 ? "" : text;
  }

  /** What the schema refuses comes to no policy. */
  const admissible = SECURITY_CASES.filter(({ spec }) => validate(inDefault(spec)).length === 0);

  it.each(admissible)("$policy: $name, in the agent's words", async ({ policy, spec, says }) => {
    const [level = "", version = ""] = policy.split(":");
    const labels = {
      "pod-security.kubernetes.io/enforce": level,
      ...(version === "latest" ? {} : { "pod-security.kubernetes.io/enforce-version": version }),
    };
    const namespace = await namespaceOf(labels);
    const said = await refusal(inDefault(spec, "c", namespace), namespace);
    if (says === undefined) expect(said).toBeUndefined();
    else expect(said).toContain(`denied request: violates PodSecurity "${policy}": ${says}`);
  });

  it("let what was admitted be changed where no other container comes of it", async () => {
    const namespace = await namespaceOf({});
    const { metadata } = await api.create<Container>(
      containerPath(namespace),
      inDefault({ hostPID: true }, "old", namespace),
    );
    await namespaces.mergePatch(namespacePath(namespace), { metadata: { labels: baseline } });
    while ((await refusal(inDefault({ hostPID: true }, "new", namespace), namespace)) === undefined);
    const path = containerPath(namespace, metadata.name);
    await api.mergePatch(path, { metadata: { finalizers: ["berth.dev/cleanup"] }, spec: { desiredState: "Stopped" } });
    await expect(api.mergePatch(path, { spec: { image: "other:1" } })).rejects.toThrow(/violates PodSecurity/);
    await api.mergePatch(path, { metadata: { finalizers: null } });
    await api.delete(path);
  });

  it("let an agent write what is its own node's, with the chart's rights, and nothing else", async () => {
    const path = containerPath("default", "owned");
    await api.create<Container>(containerPath("default"), inDefault({ nodeName: "node-1" }, "owned"));
    const finalizer = { metadata: { finalizers: ["berth.dev/cleanup"] } };
    const status = { status: { state: "Running" } };
    const mine = agentOf("node-1");
    const elsewhere = /the Container is of node \\"node-1\\", the agent of node \\"node-2\\"/;

    expect(await refusedTo(mine, "PATCH", path, finalizer)).toBe("");
    expect(await refusedTo(mine, "PATCH", `${path}/status`, status)).toBe("");
    expect(await refusedTo(mine, "PATCH", path, { spec: { desiredState: "Stopped" } })).toMatch(/changes no spec/);
    expect(await refusedTo(mine, "PUT", path, finalizer)).toMatch(/cannot update resource/);
    expect(await refusedTo(mine, "POST", containerPath("default"), inDefault({}, "x"))).toMatch(
      /cannot create resource/,
    );

    expect(await refusedTo(agentOf("node-2"), "PATCH", path, finalizer)).toMatch(elsewhere);
    expect(await refusedTo(agentOf("node-2"), "PATCH", `${path}/status`, status)).toMatch(elsewhere);
    expect(await refusedTo(agentOf("node-2"), "DELETE", path)).toMatch(elsewhere);
    expect(await refusedTo(agentOf(), "DELETE", path)).toMatch(/token names no node/);

    expect(await refusedTo(mine, "PATCH", path, { metadata: { finalizers: null } })).toBe("");
    expect(await refusedTo(mine, "DELETE", path)).toBe("");
  });

  it("keep an agent from a checkpoint of another node", async () => {
    const path = checkpointPath("default", "taken");
    const object = {
      apiVersion: "berth.dev/v1alpha1",
      kind: "ContainerCheckpoint",
      metadata: { name: "taken", namespace: "default" },
      spec: { containerName: "c" },
    };
    await api.create(checkpointPath("default"), object);
    const on = (nodeName: string): object => ({ status: { nodeName } });
    expect(await refusedTo(agentOf("node-1"), "PATCH", `${path}/status`, on("node-2"))).toMatch(/of another node/);
    expect(await refusedTo(agentOf("node-1"), "PATCH", `${path}/status`, on("node-1"))).toBe("");
    expect(await refusedTo(agentOf("node-2"), "PATCH", `${path}/status`, on("node-2"))).toMatch(/of another node/);
    expect(await refusedTo(agentOf("node-2"), "DELETE", path)).toMatch(/of another node/);
    expect(await refusedTo(agentOf("node-1"), "DELETE", path)).toBe("");
  });
});
