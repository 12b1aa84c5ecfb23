// Two doors to one image store on loopback, both TLS: one open, one that asks for a name and a password.
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { request } from "node:https";
import { join, resolve } from "node:path";
import { Authority } from "./certificates.ts";
import { Daemon } from "./daemon.ts";
import { buildImages } from "./images.ts";
import type { Blob, Image } from "./images.ts";
import { fixedPorts } from "./ports.ts";
import { findTools } from "./tools.ts";
import type { Tools } from "./tools.ts";

const READY_TIMEOUT_MS = 20_000;
/** bcrypt of the password below, the only kind of hash the registry takes: `htpasswd -nbB berth berth-secret`. */
const HTPASSWD = "berth:$2y$05$9hGoCYnhRtcvHeW0AySmy.1d9V4TdjBtBTkmO33MeUXrTdgck0bQm\n";

type Answer = { status: number; headers: Record<string, string | string[] | undefined> };

/** The registry with the test images, in a directory of its own. Any process can open it again by its directory. */
export class Registry {
  readonly dir: string;
  /** What the private door asks for. */
  readonly credentials = { username: "berth", password: "berth-secret" } as const;
  readonly #tools: Tools;
  readonly #open: Daemon;
  readonly #private: Daemon;
  #hosts: { open: string; private: string } | undefined;

  constructor(options: { dir: string; tools?: Tools }) {
    this.dir = resolve(options.dir);
    this.#tools = options.tools ?? findTools();
    this.#open = new Daemon(this.dir, "registry");
    this.#private = new Daemon(this.dir, "registry-private");
  }

  /** `127.0.0.1:<port>` of the open door, the first part of its images' names. Known after start. */
  get host(): string {
    return this.#started().open;
  }

  /** `127.0.0.1:<port>` of the door that asks for {@link credentials}. Known after start. */
  get privateHost(): string {
    return this.#started().private;
  }

  /** The authority that signed the doors' certificates. */
  get caFile(): string {
    return join(this.dir, "pki/ca.crt");
  }

  /**
   * A folder of hosts.toml files (containerd's) that sends `docker.io` to this registry.
   */
  get hostsDir(): string {
    return join(this.dir, "hosts");
  }

  /**
   * Starts what does not run and pushes what is not there.
   *
   * @throws DaemonError
   */
  async start(): Promise<void> {
    mkdirSync(this.dir, { recursive: true });
    const ports = await fixedPorts(join(this.dir, "ports.json"), ["open", "private"]);
    this.#hosts = { open: `127.0.0.1:${String(ports.open)}`, private: `127.0.0.1:${String(ports.private)}` };
    await Authority.open(join(this.dir, "pki"));
    writeFileSync(join(this.dir, "htpasswd"), HTPASSWD, { mode: 0o600 });
    const [images] = await Promise.all([
      buildImages(this.#tools),
      this.#serve(this.#open, this.host, {}),
      this.#serve(this.#private, this.privateHost, {
        auth: { htpasswd: { realm: "berth", path: join(this.dir, "htpasswd") } },
      }),
    ]);
    // One after the other: they share layers, and the registry mistakes one that is being sent twice for missing.
    for (const image of images) await this.push(image);
    this.#writeHosts();
  }

  /** Ends both and removes the directory. */
  async stop(): Promise<void> {
    await Promise.all([this.#open.kill(), this.#private.kill()]);
    rmSync(this.dir, { recursive: true, force: true });
  }

  /** Pushes an image; what is there already is not sent again. */
  async push(image: Image): Promise<void> {
    const repository = `/v2/${image.repository}`;
    const blobs = new Map(image.blobs.map((blob) => [blob.digest, blob]));
    await Promise.all([...blobs.values()].map((blob) => this.#pushBlob(repository, blob)));
    const top = image.manifests.at(-1);
    for (const manifest of image.manifests) {
      for (const reference of manifest === top ? image.tags : [manifest.digest]) {
        await this.#pushManifest(`${repository}/manifests/${reference}`, manifest);
      }
    }
  }

  /** Not over one that is the same: whoever reads it at this moment would find half of it. */
  async #pushManifest(path: string, manifest: Blob): Promise<void> {
    const { status, headers } = await this.#request(this.host, "HEAD", path, undefined, manifest.mediaType);
    if (status === 200 && headers["docker-content-digest"] === manifest.digest) return;
    await this.#call("PUT", path, manifest);
  }

  async #pushBlob(repository: string, blob: Blob): Promise<void> {
    if ((await this.#call("HEAD", `${repository}/blobs/${blob.digest}`)).status === 200) return;
    const upload = await this.#call("POST", `${repository}/blobs/uploads/`);
    const location = new URL(String(upload.headers["location"]), `https://${this.host}`);
    location.searchParams.set("digest", blob.digest);
    const content = { mediaType: "application/octet-stream", bytes: blob.bytes };
    await this.#call("PUT", `${location.pathname}${location.search}`, content);
  }

  async #serve(daemon: Daemon, host: string, options: object): Promise<void> {
    const { certificate, key } = await (await Authority.open(join(this.dir, "pki"))).server(daemon.name);
    const file = join(this.dir, `${daemon.name}.yml`);
    const config = {
      version: "0.1",
      log: { level: "error", accesslog: { disabled: true } },
      storage: { filesystem: { rootdirectory: join(this.dir, "images") }, delete: { enabled: true } },
      http: { addr: host, tls: { certificate, key }, secret: "berth" },
      ...options,
    };
    writeFileSync(file, JSON.stringify(config));
    daemon.start([this.#tools.dockerRegistry, "serve", file]);
    const answers = async () => (await this.#request(host, "GET", "/v2/").catch(() => undefined)) !== undefined;
    await daemon.waitUntil("ready", answers, READY_TIMEOUT_MS);
  }

  #writeHosts(): void {
    const server = `https://${this.host}`;
    mkdirSync(join(this.hostsDir, "docker.io"), { recursive: true });
    const lines = [
      `server = "${server}"`,
      `[host."${server}"]`,
      `capabilities = ["pull", "resolve"]`,
      `ca = "${this.caFile}"`,
    ];
    writeFileSync(join(this.hostsDir, "docker.io/hosts.toml"), `${lines.join("\n")}\n`);
  }

  async #call(method: string, path: string, body?: Pick<Blob, "mediaType" | "bytes">): Promise<Answer> {
    const answer = await this.#request(this.host, method, path, body);
    if (answer.status >= 300 && method !== "HEAD") {
      throw new Error(`registry: ${method} ${path} answered ${String(answer.status)}`);
    }
    return answer;
  }

  #request(
    host: string,
    method: string,
    path: string,
    body?: Pick<Blob, "mediaType" | "bytes">,
    accept?: string,
  ): Promise<Answer> {
    const headers = {
      ...(body === undefined ? {} : { "content-type": body.mediaType, "content-length": body.bytes.length }),
      ...(accept === undefined ? {} : { accept }),
    };
    const ca = readFileSync(this.caFile);
    return new Promise((resolve, reject) => {
      const call = request(`https://${host}${path}`, { method, headers, ca }, (response) => {
        response.resume();
        response.once("end", () => {
          resolve({ status: response.statusCode ?? 0, headers: response.headers });
        });
      });
      call.once("error", reject);
      call.end(body?.bytes);
    });
  }

  #started(): { open: string; private: string } {
    if (this.#hosts === undefined) throw new Error("the registry has not been started");
    return this.#hosts;
  }
}
