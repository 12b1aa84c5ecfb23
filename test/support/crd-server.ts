/**
 * A current API server of CustomResourceDefinitions, for what the local kube-apiserver may be too old for: CEL in CRDs,
 * selectable fields, ValidatingAdmissionPolicies. It has no core API of its own: namespaces and rights are those of the
 * kube-apiserver beside it.
 *
 * Its admission reads policies from where kube-apiserver would serve them. Here it serves them itself, as objects of two
 * CRDs that know little more than the defaults of kube-apiserver's, and evaluates them as any server of its version does.
 */
import { once } from "node:events";
import { readFileSync, writeFileSync } from "node:fs";
import {
  createServer,
  type ClientRequest,
  type IncomingMessage,
  type OutgoingHttpHeaders,
  type Server,
  type ServerResponse,
} from "node:http";
import { request, type RequestOptions } from "node:https";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { Authority } from "../../hack/cluster/certificates.ts";
import type { ControlPlane } from "../../hack/cluster/control-plane.ts";
import { Daemon } from "../../hack/cluster/daemon.ts";
import { fixedPorts } from "../../hack/cluster/ports.ts";
import { findTools } from "../../hack/cluster/tools.ts";

const READY_TIMEOUT_MS = 90_000;
const CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
const POLICIES = "admissionregistration.k8s.io";

/** A part of a kubeconfig file. */
type Kubeconfig = {
  clusters: { cluster: { server: string } }[];
  users: { user: { "client-certificate-data": string; "client-key-data": string } }[];
};
type Definition = { status?: { conditions?: { type: string; status: string }[] } };

/** Whom a request is to come from. */
export type User = { name: string; groups?: readonly string[]; extra?: Readonly<Record<string, readonly string[]>> };

/** What came of a request. */
export type Answer = { code: number; text: string; warnings: string[] };

/** The server, beside a control plane that runs. */
export class CrdServer {
  /** Kubeconfig of a member of `system:masters`. */
  readonly kubeconfig: string;
  readonly #dir: string;
  readonly #core: ControlPlane;
  readonly #daemon: Daemon;
  readonly #router: Server;

  constructor(dir: string, core: ControlPlane) {
    this.#dir = dir;
    this.#core = core;
    this.#daemon = new Daemon(dir, "apiextensions-apiserver");
    this.kubeconfig = join(dir, "admin.kubeconfig");
    this.#router = createServer((incoming, answer) => {
      this.#route(incoming, answer);
    });
  }

  /** Starts it with the CRDs in place that policies are objects of. */
  async start(): Promise<void> {
    const port = await this.#port();
    const authority = await Authority.open(join(this.#core.dir, "pki"));
    await authority.server("kube-apiserver");
    const config = this.#coreConfig();
    for (const { cluster } of config.clusters) cluster.server = `https://127.0.0.1:${port}`;
    await this.#listen();
    writeFileSync(this.kubeconfig, JSON.stringify(config), { mode: 0o600 });
    // Its admission waits for them, so without it first.
    await this.#startDaemon(["ValidatingAdmissionPolicy"]);
    for (const crd of policyCRDs()) await this.define(crd);
    await this.#daemon.stop();
    await this.#startDaemon();
  }

  /** Ends it; what it has stored goes with the control plane. */
  async stop(): Promise<void> {
    await this.#daemon.stop();
    this.#router.closeAllConnections();
    await new Promise((resolve) => this.#router.close(resolve));
  }

  /**
   * Creates a CRD, and waits until it is served. Answers the server's warnings.
   * @throws Error with what it refuses, unknown fields too
   */
  async define(crd: object): Promise<string[]> {
    const { name } = (crd as { metadata: { name: string } }).metadata;
    const { code, text, warnings } = await this.request("POST", `${CRDS}?fieldValidation=Strict`, { body: crd });
    if (code !== 201) throw new Error(text);
    for (;;) {
      const { status } = JSON.parse((await this.request("GET", `${CRDS}/${name}`)).text) as Definition;
      if (status?.conditions?.some(({ type, status: is }) => type === "Established" && is === "True") === true)
        return warnings;
    }
  }

  /** A request, by an administrator or in the name of somebody else. A body is created or, in a PATCH, merged. */
  async request(method: string, path: string, { body, as }: { body?: object; as?: User } = {}): Promise<Answer> {
    const type = method === "PATCH" ? "application/merge-patch+json" : "application/json";
    const outgoing = this.#outgoing(this.#config(), path, {
      method,
      headers: { ...(body === undefined ? {} : { "content-type": type }), ...impersonation(as) },
    });
    outgoing.end(body === undefined ? undefined : JSON.stringify(body));
    const [response] = (await once(outgoing, "response")) as [IncomingMessage];
    const { statusCode: code = 0, headers } = response;
    const warnings = [headers["warning"] ?? []].flat();
    return { code, text: await text(response), warnings };
  }

  async #port(): Promise<number> {
    return (await fixedPorts(join(this.#dir, "ports.json"), ["api"])).api;
  }

  async #listen(): Promise<void> {
    const listening = Promise.withResolvers<undefined>();
    this.#router.listen(0, "127.0.0.1", () => {
      listening.resolve(undefined);
    });
    await listening.promise;
  }

  async #startDaemon(without: readonly string[] = []): Promise<void> {
    const pki = join(this.#core.dir, "pki");
    const { etcd } = await fixedPorts(join(this.#core.dir, "ports.json"), ["etcd"]);
    const flags = {
      // The control plane's, beside its own things.
      "etcd-servers": `http://127.0.0.1:${etcd}`,
      "etcd-prefix": "/crd-server",
      "bind-address": "127.0.0.1",
      "secure-port": String(await this.#port()),
      "tls-cert-file": join(pki, "kube-apiserver.crt"),
      "tls-private-key-file": join(pki, "kube-apiserver.key"),
      "client-ca-file": join(pki, "ca.crt"),
      kubeconfig: this.#routerConfig(),
      "authentication-kubeconfig": this.#routerConfig(),
      "authentication-skip-lookup": "true",
      "authorization-kubeconfig": this.#routerConfig(),
      "enable-priority-and-fairness": "false",
      "disable-admission-plugins": [
        "MutatingAdmissionPolicy",
        "MutatingAdmissionWebhook",
        "ValidatingAdmissionWebhook",
        ...without,
      ].join(","),
      profiling: "false",
    };
    const program = findTools().crdServer;
    // The kube-apiserver beside it may be of before lists by watches.
    const env = { KUBE_FEATURE_WatchListClient: "false" };
    this.#daemon.start([program, ...Object.entries(flags).map(([name, value]) => `--${name}=${value}`)], { env });
    await this.#daemon.waitUntil("ready", () => this.#isReady(), READY_TIMEOUT_MS);
  }

  async #isReady(): Promise<boolean> {
    try {
      return (await this.request("GET", "/readyz")).code === 200;
    } catch {
      return false;
    }
  }

  #config(): Kubeconfig {
    return JSON.parse(readFileSync(this.kubeconfig, "utf8")) as Kubeconfig;
  }

  #coreConfig(): Kubeconfig {
    return JSON.parse(readFileSync(this.#core.adminKubeconfig, "utf8")) as Kubeconfig;
  }

  #routerConfig(): string {
    const { port } = this.#router.address() as AddressInfo;
    const path = join(this.#dir, "core.kubeconfig");
    const server = `http://127.0.0.1:${port}`;
    const config = {
      ...{ apiVersion: "v1", kind: "Config", "current-context": "core" },
      clusters: [{ name: "core", cluster: { server } }],
      contexts: [{ name: "core", context: { cluster: "core", user: "core" } }],
      users: [{ name: "core", user: {} }],
    };
    writeFileSync(path, JSON.stringify(config));
    return path;
  }

  /** What the server takes for kube-apiserver: that one, but for the policies, which are its own. */
  #route(incoming: IncomingMessage, answer: ServerResponse): void {
    const { url = "/", method, headers } = incoming;
    const config = url.startsWith(`/apis/${POLICIES}/v1/`) ? this.#config() : this.#coreConfig();
    const outgoing = this.#outgoing(config, url, { method, headers: { ...headers, host: "127.0.0.1" } });
    outgoing.on("response", (response) => {
      answer.writeHead(response.statusCode ?? 502, response.headers);
      answer.flushHeaders();
      response.on("error", () => answer.destroy()).pipe(answer);
    });
    outgoing.on("error", () => answer.destroy());
    answer.on("close", () => outgoing.destroy());
    incoming.pipe(outgoing);
  }

  #outgoing({ clusters, users }: Kubeconfig, path: string, options: RequestOptions): ClientRequest {
    const user = users[0]?.user;
    return request(new URL(path, clusters[0]?.cluster.server), {
      ...options,
      ca: readFileSync(join(this.#core.dir, "pki/ca.crt")),
      cert: Buffer.from(user?.["client-certificate-data"] ?? "", "base64"),
      key: Buffer.from(user?.["client-key-data"] ?? "", "base64"),
    });
  }
}

/** The headers by which an administrator's request comes from somebody else. */
function impersonation(user: User | undefined): OutgoingHttpHeaders {
  if (user === undefined) return {};
  const extra = Object.entries(user.extra ?? {}).map(([key, values]) => [
    `Impersonate-Extra-${encodeURIComponent(key)}`,
    [...values],
  ]);
  return {
    "Impersonate-User": user.name,
    "Impersonate-Group": [...(user.groups ?? [])],
    ...(Object.fromEntries(extra) as OutgoingHttpHeaders),
  };
}

type Schema = { type: string; [keyword: string]: unknown };

/** An object of which only some fields are described. */
const open = (properties: Readonly<Record<string, Schema>>, more: object = {}): Schema => ({
  type: "object",
  "x-kubernetes-preserve-unknown-fields": true,
  properties,
  ...more,
});

/** MatchResources, with kube-apiserver's defaults. */
const MATCH = open({
  matchPolicy: { type: "string", default: "Equivalent" },
  namespaceSelector: open({}, { default: {} }),
  objectSelector: open({}, { default: {} }),
  resourceRules: { type: "array", items: open({ scope: { type: "string", default: "*" } }) },
});

/** The kinds of policies, whatever else is in them. */
function policyCRDs(): object[] {
  const kinds = {
    ValidatingAdmissionPolicy: "validatingadmissionpolicies",
    ValidatingAdmissionPolicyBinding: "validatingadmissionpolicybindings",
  };
  return Object.entries(kinds).map(([kind, plural]) => ({
    apiVersion: "apiextensions.k8s.io/v1",
    kind: "CustomResourceDefinition",
    metadata: {
      name: `${plural}.${POLICIES}`,
      annotations: { "api-approved.kubernetes.io": "unapproved, for a test" },
    },
    spec: {
      group: POLICIES,
      scope: "Cluster",
      names: { kind, plural, singular: kind.toLowerCase(), listKind: `${kind}List` },
      versions: [
        {
          name: "v1",
          served: true,
          storage: true,
          schema: { openAPIV3Schema: open({ spec: open({ matchConstraints: MATCH, matchResources: MATCH }) }) },
        },
      ],
    },
  }));
}
