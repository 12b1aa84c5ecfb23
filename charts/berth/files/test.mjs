/** What `helm test` runs: is what was installed at work? Prints a line for each thing that is so; exits 1 at the first that is not. */
import { readFile } from "node:fs/promises";
import { setTimeout as delay } from "node:timers/promises";

const {
  KUBERNETES_SERVICE_HOST: host,
  KUBERNETES_SERVICE_PORT: port,
  NAMESPACE: namespace,
  CONTAINER_IMAGE: image,
} = process.env;
const TOKEN = process.env.TOKEN_FILE ?? "/var/run/secrets/kubernetes.io/serviceaccount/token";
const SERVER = `https://${host.includes(":") ? `[${host}]` : host}:${port}`;
const BERTH = "/apis/berth.dev/v1alpha1";
const CONTAINERS = `${BERTH}/namespaces/${namespace}/containers`;
/** Seconds until everything must be so. */
const PATIENCE = Number(process.env.PATIENCE ?? 120);
const deadline = Date.now() + PATIENCE * 1000;

async function request(method, path, body) {
  const headers = {
    authorization: `Bearer ${(await readFile(TOKEN, "utf8")).trim()}`,
    "content-type": "application/json",
  };
  const response = await fetch(SERVER + path, { method, headers, body: body && JSON.stringify(body) });
  const text = await response.text();
  if (!response.ok)
    throw Object.assign(new Error(`${method} ${path}: ${response.status} ${text}`), { code: response.status });
  return JSON.parse(text);
}

/** Asks until the answer is undefined (all is well) or time is up; another answer says what is missing. */
async function until(missing) {
  for (;;) {
    const lack = await missing();
    if (lack === undefined) return;
    if (Date.now() > deadline) throw new Error(lack);
    await delay(1000);
  }
}

async function served() {
  const { resources } = await request("GET", BERTH);
  for (const name of ["containers", "containercheckpoints"])
    if (!resources.some((resource) => resource.name === name)) throw new Error(`${name}.berth.dev is not served`);
  console.log("the CustomResourceDefinitions are served");
}

/** Nodes whose agent has renewed its Lease in time. */
async function nodes() {
  const { items } = await request("GET", `/apis/coordination.k8s.io/v1/namespaces/${namespace}/leases`);
  return items
    .filter(({ metadata }) => metadata.name.startsWith("berth-"))
    .filter(({ spec }) => Date.parse(spec.renewTime) + spec.leaseDurationSeconds * 1000 > Date.now())
    .map(({ metadata }) => metadata.name.slice("berth-".length));
}

async function agentsLive() {
  await until(async () => {
    const { status = {} } = await request("GET", `/apis/apps/v1/namespaces/${namespace}/daemonsets/berth`);
    const wanted = status.desiredNumberScheduled ?? 0;
    const live = await nodes();
    if (wanted > 0 && live.length >= wanted) return undefined;
    return `${live.length} of ${wanted} agents have a Lease that is fresh: ${live.join(", ") || "none"}`;
  });
  console.log(`the agents live: ${(await nodes()).join(", ")}`);
}

const spec = (nodeName) => ({
  nodeName,
  image,
  restartPolicy: "Never",
  network: { mode: "None" },
  securityContext: {
    runAsUser: 65532,
    runAsNonRoot: true,
    allowPrivilegeEscalation: false,
    capabilities: { drop: ["ALL"] },
    seccompProfile: { type: "RuntimeDefault" },
  },
});

/** A Container comes to run, or has run, and goes. */
async function containerRuns(nodeName) {
  const metadata = { generateName: "berth-test-" };
  const { metadata: made } = await request("POST", CONTAINERS, {
    apiVersion: "berth.dev/v1alpha1",
    kind: "Container",
    metadata,
    spec: spec(nodeName),
  });
  const path = `${CONTAINERS}/${made.name}`;
  try {
    await until(async () => {
      const { status = {} } = await request("GET", path);
      return status.startedAt === undefined
        ? `${made.name} on ${nodeName} has not started: ${JSON.stringify(status)}`
        : undefined;
    });
  } finally {
    await request("DELETE", path);
  }
  await until(async () => {
    try {
      await request("GET", path);
      return `${made.name} on ${nodeName} does not go`;
    } catch (error) {
      if (error.code === 404) return undefined;
      throw error;
    }
  });
  console.log(`a Container was started and removed on ${nodeName}`);
}

await served();
await agentsLive();
if (image) for (const node of await nodes()) await containerRuns(node);
