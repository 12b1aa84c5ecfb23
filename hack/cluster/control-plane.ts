// etcd and kube-apiserver on loopback: a control plane of which only the API is there. No controller-manager runs, so
// nothing makes default ServiceAccounts, and a Namespace that is deleted stays in Terminating (hack/e2e has it all).
import { cpSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { request } from "node:https";
import { join, resolve } from "node:path";
import { run } from "../../src/node/index.ts";
import { Authority } from "./certificates.ts";
import type { KeyPair } from "./certificates.ts";
import { Daemon } from "./daemon.ts";
import { adminKubeconfig, tokenKubeconfig } from "./kubeconfig.ts";
import { fixedPorts } from "./ports.ts";
import { findTools } from "./tools.ts";
import type { Tools } from "./tools.ts";

const READY_TIMEOUT_MS = 90_000;
const PROBE_TIMEOUT_MS = 1000;
const TOKEN_DURATION = "8760h";

export type ControlPlaneOptions = {
  dir: string;
  tools?: Tools;
  /** More flags for kube-apiserver, without the dashes. They win over its own. */
  flags?: Readonly<Record<string, string>>;
};

type Pki = { authority: Authority; server: KeyPair; admin: KeyPair };

/** A Kubernetes API with RBAC, in a directory of its own. Any process can open it again by its directory. */
export class ControlPlane {
  readonly dir: string;
  /** Kubeconfig of a member of `system:masters`; written by start. */
  readonly adminKubeconfig: string;
  readonly #tools: Tools;
  readonly #flags: Readonly<Record<string, string>>;
  readonly #etcd: Daemon;
  readonly #apiserver: Daemon;

  constructor(options: ControlPlaneOptions) {
    this.dir = resolve(options.dir);
    this.#flags = options.flags ?? {};
    this.adminKubeconfig = join(this.dir, "admin.kubeconfig");
    this.#tools = options.tools ?? findTools();
    this.#etcd = new Daemon(this.dir, "etcd");
    this.#apiserver = new Daemon(this.dir, "kube-apiserver");
  }

  /** Where certificates and keys are: open an Authority there for more of them. */
  get pkiDir(): string {
    return join(this.dir, "pki");
  }

  /** The key that signs ServiceAccounts' tokens. */
  get tokenKeyFile(): string {
    return join(this.pkiDir, "kube-apiserver.key");
  }

  /** The API's address on loopback. */
  async url(): Promise<string> {
    return `https://127.0.0.1:${String((await this.#ports()).api)}`;
  }

  /** kube-apiserver's process id while it runs. */
  get apiserverPid(): number | undefined {
    return this.#apiserver.pid;
  }

  /**
   * Starts what does not run, and waits until the API is ready.
   *
   * @throws DaemonError
   */
  async start(): Promise<void> {
    mkdirSync(this.dir, { recursive: true });
    const { etcd, peer } = await this.#ports();
    this.#etcd.start([
      this.#tools.etcd,
      // Nothing here has to outlive a power cut.
      ...["--unsafe-no-fsync", "--data-dir", join(this.dir, "etcd"), "--log-level", "error"],
      ...["--listen-client-urls", loopback(etcd), "--advertise-client-urls", loopback(etcd)],
      ...["--listen-peer-urls", loopback(peer), "--initial-advertise-peer-urls", loopback(peer)],
      ...["--initial-cluster", `default=${loopback(peer)}`],
    ]);
    await this.startApiserver();
  }

  /** Starts kube-apiserver alone: it comes back at the same address, with what etcd kept. */
  async startApiserver(): Promise<void> {
    const ports = await this.#ports();
    const pki = await this.#pki();
    this.#apiserver.start([this.#tools.kubeApiserver, ...this.#commandLine(pki, ports)]);
    const url = await this.url();
    if (!existsSync(this.adminKubeconfig)) {
      writeFileSync(this.adminKubeconfig, adminKubeconfig(url, pki.authority.certificate, pki.admin), { mode: 0o600 });
    }
    await this.#apiserver.waitUntil("ready", () => isReady(`${url}/readyz`, pki), READY_TIMEOUT_MS);
  }

  /** Takes kube-apiserver away; etcd stays. `kill` as a crash does it. */
  async stopApiserver(how: "stop" | "kill" = "stop"): Promise<void> {
    await this.#apiserver[how]();
  }

  /** Another cluster at the same address, with the same keys: etcd's data is lost, and a new one is begun. */
  async loseEtcd(): Promise<void> {
    await this.#withoutEtcd((data) => {
      rmSync(data, { recursive: true });
    });
  }

  /** Makes a backup of etcd, in the place of an earlier one. */
  async backUpEtcd(): Promise<void> {
    await this.#withoutEtcd((data) => {
      rmSync(this.#backup, { recursive: true, force: true });
      cpSync(data, this.#backup, { recursive: true });
    });
  }

  /** The same cluster as it was when the backup was made: what has been written since is lost, and versions begin from there. */
  async restoreEtcd(): Promise<void> {
    await this.#withoutEtcd((data) => {
      rmSync(data, { recursive: true });
      cpSync(this.#backup, data, { recursive: true });
    });
  }

  get #backup(): string {
    return join(this.dir, "etcd-backup");
  }

  async #withoutEtcd(change: (data: string) => void): Promise<void> {
    await this.#apiserver.kill();
    await this.#etcd.stop();
    change(join(this.dir, "etcd"));
    await this.start();
  }

  /** Ends both and removes the directory. */
  async stop(): Promise<void> {
    // Its graceful end waits a minute for watches to go away; nothing is lost without it.
    await this.#apiserver.kill();
    await this.#etcd.kill();
    rmSync(this.dir, { recursive: true, force: true });
  }

  /**
   * Runs kubectl as admin and answers what it printed.
   *
   * @throws CommandError
   */
  async kubectl(args: readonly string[], input?: string): Promise<string> {
    const { stdout } = await run(this.#tools.kubectl, ["--kubeconfig", this.adminKubeconfig, ...args], {
      ...(input === undefined ? {} : { input }),
      env: { PATH: process.env["PATH"] ?? "", HOME: this.dir, ...Daemon.mark(this.dir) },
      timeoutMs: 120_000,
    });
    return stdout;
  }

  /**
   * Writes a kubeconfig with a token of a ServiceAccount (TokenRequest API, Kubernetes 1.20 and later). Its namespace is
   * the ServiceAccount's.
   */
  async serviceAccountKubeconfig(path: string, namespace = "berth-system", serviceAccount = "berth"): Promise<void> {
    const flags = ["--namespace", namespace, "--duration", TOKEN_DURATION];
    const token = await this.kubectl(["create", "token", serviceAccount, ...flags]);
    const { authority } = await this.#pki();
    const config = tokenKubeconfig(await this.url(), authority.certificate, namespace, token.trim());
    writeFileSync(path, config, { mode: 0o600 });
  }

  async #ports(): Promise<Record<"etcd" | "peer" | "api", number>> {
    const ports = await fixedPorts(join(this.dir, "ports.json"), ["etcd", "peer", "api"]);
    return { ...ports, api: Number(this.#flags["secure-port"] ?? ports.api) };
  }

  async #pki(): Promise<Pki> {
    const authority = await Authority.open(this.pkiDir);
    const server = await authority.server("kube-apiserver");
    return { authority, server, admin: await authority.client("admin", "system:masters") };
  }

  // Flags that 1.20 and current versions both know.
  #commandLine({ authority, server }: Pki, ports: { etcd: number; api: number }): string[] {
    const flags = {
      "etcd-servers": loopback(ports.etcd),
      "bind-address": "127.0.0.1",
      "advertise-address": "127.0.0.1",
      "secure-port": String(ports.api),
      // It would publish a loopback address as an Endpoint, which is refused.
      "endpoint-reconciler-type": "none",
      "tls-cert-file": server.certificate,
      "tls-private-key-file": server.key,
      "client-ca-file": authority.certificate,
      "cert-dir": this.pkiDir,
      "service-account-issuer": "https://kubernetes.default.svc",
      "service-account-signing-key-file": server.key,
      "service-account-key-file": server.certificate,
      "service-cluster-ip-range": "10.96.0.0/24",
      "authorization-mode": "RBAC",
      // The agents' pods are.
      "allow-privileged": "true",
      profiling: "false",
      ...this.#flags,
    };
    return Object.entries(flags).map(([name, value]) => `--${name}=${value}`);
  }
}

function loopback(port: number): string {
  return `http://127.0.0.1:${String(port)}`;
}

function isReady(url: string, pki: Pki): Promise<boolean> {
  return new Promise((resolve) => {
    const call = request(
      url,
      {
        ca: readFileSync(pki.authority.certificate),
        cert: readFileSync(pki.admin.certificate),
        key: readFileSync(pki.admin.key),
        agent: false,
        timeout: PROBE_TIMEOUT_MS,
      },
      (response) => {
        response.resume();
        resolve(response.statusCode === 200);
      },
    );
    call.once("timeout", () => call.destroy());
    call.once("error", () => {
      resolve(false);
    });
    call.end();
  });
}
