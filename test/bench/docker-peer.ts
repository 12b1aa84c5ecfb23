/** Docker Engine by its HTTP API over the unix socket, as its own command line asks it. */
import { randomUUID } from "node:crypto";
import { rmSync } from "node:fs";
import { join } from "node:path";
import { buildImages, writeArchive } from "../../hack/cluster/images.ts";
import type { LocalNode } from "../../hack/cluster/local-node.ts";
import { findTools } from "../../hack/cluster/tools.ts";
import { Docker } from "../support/docker.ts";
import { commandOf, containerPorts, ENDING_PATH, type Peer, type Shape, STOP_SIGNAL, volumePaths } from "./peer.ts";

const PREFIX = "docker.io";
const REPOSITORY = "library/busybox";
const IMAGE = `${PREFIX}/${REPOSITORY}:1.36`;

/** What Docker is started with. */
export interface DockerOptions {
  /** Below which it lives; nothing else of it runs. */
  readonly node: LocalNode;
  /** Of the ports of its own network namespace, the first that it may publish. */
  readonly firstPort: number;
}

export class DockerPeer implements Peer {
  readonly name = "docker";
  readonly measures = "from sending `create` until `start` has answered";
  readonly versions: Record<string, string> = {};
  /** Docker's restart manager. */
  readonly backoffMs = 100;
  readonly #options: DockerOptions;
  readonly #docker: Docker;
  readonly #made = new Map<string, { id: string; shape: Shape }>();

  constructor(options: DockerOptions) {
    this.#options = options;
    this.#docker = new Docker(options.node);
  }

  async up(): Promise<void> {
    await this.#docker.start();
    const image = (await buildImages(findTools())).find(({ repository }) => repository === REPOSITORY);
    if (image === undefined) throw new Error(`there is no image ${REPOSITORY}`);
    const archive = join(this.#options.node.dir, `${randomUUID()}.tar`);
    try {
      await writeArchive(image, PREFIX, archive);
      await this.#docker.load(archive);
    } finally {
      rmSync(archive, { force: true });
    }
    const versions = await this.#docker.versions();
    for (const name of ["Engine", "containerd", "runc"]) this.versions[name] = versions.get(name) ?? "unknown";
  }

  async start(name: string, shape: Shape): Promise<void> {
    const id = await this.#docker.create(this.#body(shape), name);
    this.#made.set(name, { id, shape });
    await this.#docker.run(id);
  }

  async stop(name: string): Promise<void> {
    await this.#docker.end(this.#get(name).id, 10);
  }

  async restart(name: string, end: () => Promise<void>): Promise<void> {
    const { seen } = await this.#docker.listen(this.#get(name).id, "start");
    await end();
    await seen;
  }

  async recreate(name: string): Promise<void> {
    const { shape } = this.#get(name);
    await this.remove(name);
    await this.start(name, shape);
  }

  async remove(name: string): Promise<void> {
    await this.stop(name);
    await this.#docker.remove(this.#get(name).id);
    this.#made.delete(name);
  }

  async down(): Promise<void> {
    await this.#docker.stop();
  }

  #body(shape: Shape): object {
    const ports = containerPorts(shape).map((port, index) => ({
      port: `${port}/tcp`,
      bindings: [{ HostPort: String(this.#options.firstPort + index) }],
    }));
    return {
      Image: IMAGE,
      Cmd: commandOf(shape),
      StopSignal: STOP_SIGNAL,
      ExposedPorts: Object.fromEntries(ports.map(({ port }) => [port, {}])),
      Volumes: Object.fromEntries(volumePaths(shape).map((path) => [path, {}])),
      HostConfig: {
        NetworkMode: shape.network === "None" ? "none" : "bridge",
        RestartPolicy: { Name: "always" },
        PortBindings: Object.fromEntries(ports.map(({ port, bindings }) => [port, bindings])),
        Binds: shape.ending === undefined ? [] : [`${shape.ending}:${ENDING_PATH}`],
      },
    };
  }

  #get(name: string): { id: string; shape: Shape } {
    const made = this.#made.get(name);
    if (made === undefined) throw new Error(`Docker has no container ${name}`);
    return made;
  }
}
