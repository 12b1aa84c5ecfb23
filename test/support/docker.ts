/**
 * A Docker daemon to compare with. It has a containerd, process, mount and network namespaces of its own, so that its
 * bridge, rules and mounts are never the machine's, and all of it ends with one process.
 */
import { once } from "node:events";
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { type IncomingMessage, request } from "node:http";
import { join } from "node:path";
import { buffer } from "node:stream/consumers";
import { setTimeout as delay } from "node:timers/promises";
import { containerdConfig } from "../../hack/cluster/containerd-config.ts";
import { Daemon, killAll } from "../../hack/cluster/daemon.ts";
import type { LocalNode } from "../../hack/cluster/local-node.ts";
import { findTools } from "../../hack/cluster/tools.ts";
import { detectCgroups, errorCode, removeCgroup } from "../../src/node/index.ts";

const READY_TIMEOUT_MS = 30_000;
const GONE_TIMEOUT_MS = 10_000;
const POLL_MS = 20;

/** Runs within the namespaces. /run is the machine's, but what is written there stays in them. */
const SCRIPT = `
set -e
mount -t overlay -o "lowerdir=/run,upperdir=$1/run,workdir=$1/work" overlay /run
ip link set lo up
containerd --config "$1/containerd.toml" &
shift
exec dockerd "$@"
`;

/** What the Engine API tells of a container, as far as it is used. */
export interface DockerContainer {
  readonly Id: string;
  /** With a slash before it. */
  readonly Name: string;
  readonly State: { readonly ExitCode: number };
}

/** A daemon below a node's directory. */
export class Docker {
  /** The cgroup below which its containers live: within the node's, so that it goes with that at the latest. */
  readonly cgroupParent: string;
  readonly #dir: string;
  readonly #daemon: Daemon;

  constructor(node: Pick<LocalNode, "dir" | "cgroupRoot">) {
    this.#dir = join(node.dir, "docker");
    this.cgroupParent = `${node.cgroupRoot}/docker`;
    this.#daemon = new Daemon(this.#dir, "dockerd");
  }

  /**
   * Starts it and waits until it serves.
   * @throws DaemonError
   */
  async start(): Promise<void> {
    const dir = this.#dir;
    for (const name of ["run", "work"]) mkdirSync(join(dir, name), { recursive: true });
    const address = "/run/containerd/containerd.sock";
    const paths = { root: join(dir, "containerd"), state: "/run/containerd/state", address };
    writeFileSync(join(dir, "containerd.toml"), containerdConfig("2.1", paths));
    // With containerd's snapshots, as Berth has them, and Docker by default from version 29 on.
    writeFileSync(join(dir, "daemon.json"), JSON.stringify({ features: { "containerd-snapshotter": true } }));
    const flags = Object.entries({
      "config-file": join(dir, "daemon.json"),
      "data-root": join(dir, "data"),
      "exec-root": "/run/docker",
      pidfile: "/run/docker.pid",
      host: `unix://${this.#socket}`,
      containerd: address,
      "exec-opt": "native.cgroupdriver=cgroupfs",
      "cgroup-parent": this.cgroupParent,
      group: "root",
      "log-level": "warn",
    }).map(([name, value]) => `--${name}=${value}`);
    const tools = findTools();
    const path = [tools.containerdDir("2.1"), tools.runcDir, tools.dockerDir, process.env["PATH"] ?? ""].join(":");
    const namespaces = ["--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc"];
    this.#daemon.start(["unshare", ...namespaces, "sh", "-c", SCRIPT, "sh", dir, ...flags], { env: { PATH: path } });
    const answers = (): Promise<boolean> =>
      this.#call("GET", "/_ping").then(
        () => true,
        () => false,
      );
    await this.#daemon.waitUntil("ready", answers, READY_TIMEOUT_MS);
  }

  /** Ends it with all its containers. Also after a crash; safe to repeat. */
  async stop(): Promise<void> {
    await this.#daemon.kill();
    // The namespaces end with their first process, which has lost its parent, and all in them a moment later.
    const deadline = Date.now() + GONE_TIMEOUT_MS;
    while (!(await this.#cgroupGone())) {
      if (Date.now() > deadline) throw new Error(`processes stay in ${this.cgroupParent}`);
      killAll(this.#daemon.family());
      await delay(POLL_MS);
    }
    rmSync(this.#dir, { recursive: true, force: true });
  }

  /** Brings an image from an archive. */
  async load(archive: string): Promise<void> {
    await this.#call("POST", "/images/load", await readFile(archive), "application/x-tar");
  }

  /** Creates a container, with a name of Docker's own choice unless one is given. Answers its id. */
  async create(container: object, name?: string): Promise<string> {
    const path = `/containers/create${name === undefined ? "" : `?name=${name}`}`;
    const { Id } = await this.#json<{ Id: string }>("POST", path, container);
    return Id;
  }

  /**
   * Starts a container.
   * @throws Error with the daemon's words
   */
  async run(id: string): Promise<void> {
    await this.#call("POST", `/containers/${id}/start`);
  }

  /** Stops a container as `docker stop` does. */
  async end(id: string, graceSeconds: number): Promise<void> {
    await this.#call("POST", `/containers/${id}/stop?t=${graceSeconds}`);
  }

  /** Waits for the end of a container that was started. */
  async wait(id: string): Promise<void> {
    await this.#call("POST", `/containers/${id}/wait`);
  }

  /** Removes a container that does not run, with its anonymous volumes. */
  async remove(id: string): Promise<void> {
    await this.#call("DELETE", `/containers/${id}?v=1`);
  }

  /** The versions of the daemon and of what it starts containers with, by the component's name. */
  async versions(): Promise<ReadonlyMap<string, string>> {
    const { Components } = await this.#json<{ Components: { Name: string; Version: string }[] }>("GET", "/version");
    return new Map(Components.map(({ Name, Version }) => [Name, Version]));
  }

  /**
   * Listens for what befalls a container from now on (`start`, `die`, …).
   * @returns once it listens; `seen` resolves with the first such event, and not if the daemon ends before
   */
  async listen(id: string, event: string): Promise<{ seen: Promise<void> }> {
    const filters = encodeURIComponent(JSON.stringify({ container: [id], event: [event] }));
    const response = await this.#open("GET", `/events?filters=${filters}`);
    const seen = once(response, "data").then(() => {
      response.destroy();
    });
    return { seen };
  }

  async inspect(id: string): Promise<DockerContainer> {
    return this.#json<DockerContainer>("GET", `/containers/${id}/json`);
  }

  /** What a container has written so far, both streams. */
  async output(id: string): Promise<string> {
    const frames = await this.#call("GET", `/containers/${id}/logs?stdout=1&stderr=1`);
    let text = "";
    // Each frame has a header of 8 bytes, the last four of which are its length.
    for (let at = 0; at < frames.length;) {
      const length = frames.readUInt32BE(at + 4);
      text += frames.toString("utf8", at + 8, at + 8 + length);
      at += 8 + length;
    }
    return text;
  }

  /** Waits until a container has written a text. */
  async untilOutput(id: string, text: string): Promise<void> {
    const deadline = Date.now() + READY_TIMEOUT_MS;
    while (!(await this.output(id)).includes(text)) {
      if (Date.now() > deadline) throw new Error(`container ${id} of Docker's did not write "${text}"`);
      await delay(POLL_MS);
    }
  }

  /** The daemon's own process, whose namespaces are "the host's" for its containers. */
  get pid(): number {
    const pid = this.#daemon.pid ?? 0;
    return Number(readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim());
  }

  get #socket(): string {
    return join(this.#dir, "docker.sock");
  }

  async #cgroupGone(): Promise<boolean> {
    try {
      await removeCgroup(await detectCgroups(), this.cgroupParent);
      return true;
    } catch (error) {
      if (errorCode(error) !== "EBUSY") throw error;
      return false;
    }
  }

  async #json<T>(method: string, path: string, body?: object): Promise<T> {
    return JSON.parse((await this.#call(method, path, body && Buffer.from(JSON.stringify(body)))).toString()) as T;
  }

  async #call(method: string, path: string, body?: Buffer, type?: string): Promise<Buffer> {
    const response = await this.#open(method, path, body, type);
    const answer = await buffer(response);
    const { statusCode = 0 } = response;
    if (statusCode < 400) return answer;
    throw new Error(`${method} ${path} answered ${statusCode}: ${answer.toString()}`);
  }

  /** The head of an answer, whose rest is the caller's to read. */
  #open(method: string, path: string, body?: Buffer, type = "application/json"): Promise<IncomingMessage> {
    const headers = body === undefined ? {} : { "content-type": type, "content-length": body.length };
    return new Promise((resolve, reject) => {
      const call = request({ socketPath: this.#socket, method, path, headers }, resolve);
      call.once("error", reject);
      call.end(body);
    });
  }
}
