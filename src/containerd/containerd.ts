import type { Any } from "@bufbuild/protobuf/wkt";
import type { Logger } from "pino";
import type { ImportOptions } from "./archive.ts";
import { importArchive } from "./archive.ts";
import type { ServiceClient } from "./client.ts";
import { serviceClient } from "./client.ts";
import type { CallObserver } from "./connection.ts";
import { Connection } from "./connection.ts";
import { ImagePullError, isNotFound } from "./errors.ts";
import type { SubscribeOptions } from "./events.ts";
import { Subscription } from "./events.ts";
import type { PulledImage } from "./images.ts";
import { ImageReader } from "./images.ts";
import type { Platform } from "./platform.ts";
import { platformOf } from "./platform.ts";
import type { Container } from "./proto/containers_pb.ts";
import { Containers } from "./proto/containers_pb.ts";
import { Content } from "./proto/content_pb.ts";
import { Events } from "./proto/event_service_pb.ts";
import { Images } from "./proto/images_pb.ts";
import { Introspection } from "./proto/introspection_pb.ts";
import { Store } from "./proto/sandbox_pb.ts";
import { Snapshots } from "./proto/snapshots_pb.ts";
import { Streaming } from "./proto/streaming_pb.ts";
import { Tasks } from "./proto/tasks_pb.ts";
import { Transfer } from "./proto/transfer_pb.ts";
import { Version } from "./proto/version_pb.ts";
import type { PullOptions } from "./pull.ts";
import { pullImage } from "./pull.ts";
import { parseReference } from "./reference.ts";
import type { TaskState } from "./tasks.ts";
import { taskState } from "./tasks.ts";
import type { ContainerdVersion } from "./version.ts";
import { checkVersion } from "./version.ts";

/** Where containerd is and what Berth uses of it. */
export interface ContainerdOptions {
  /** Path of the socket. */
  readonly address: string;
  /** containerd's own namespace, nothing to do with Kubernetes' or Linux' namespaces. */
  readonly namespace: string;
  readonly snapshotter: string;
  readonly logger: Logger;
  readonly onCall?: CallObserver;
}

/** What to change in a container's record; what is not named stays. */
export interface ContainerChanges {
  /** undefined removes the label. */
  readonly labels?: Readonly<Record<string, string | undefined>>;
  /** By key; a key can't be removed, only written anew. */
  readonly extensions?: Readonly<Record<string, Any>>;
  readonly spec?: Any;
  readonly image?: string;
}

/** On the record of an image that Berth has pulled, as long as no other tool has pulled it, too. */
export const PULLED_LABEL = "berth.dev/pulled";

const MINUTE = 60_000;

/** A node's containerd: its services as typed clients, and what takes more than one call. */
export class Containerd {
  /** Path of its socket, as {@link ContainerdOptions} has it. */
  readonly address: string;
  /** containerd's own namespace. */
  readonly namespace: string;
  readonly snapshotter: string;
  readonly platform: Platform;
  readonly containers: ServiceClient<typeof Containers>;
  readonly tasks: ServiceClient<typeof Tasks>;
  readonly snapshots: ServiceClient<typeof Snapshots>;
  readonly images: ServiceClient<typeof Images>;
  readonly content: ServiceClient<typeof Content>;
  readonly sandboxes: ServiceClient<typeof Store>;
  readonly events: ServiceClient<typeof Events>;
  readonly transfer: ServiceClient<typeof Transfer>;
  readonly streaming: ServiceClient<typeof Streaming>;
  readonly #version: ServiceClient<typeof Version>;
  readonly #introspection: ServiceClient<typeof Introspection>;
  readonly #connection: Connection;
  readonly #reader: ImageReader;
  readonly #logger: Logger;
  #toldOfHostsDir = false;
  #roots: Promise<string[]> = Promise.resolve([]);
  #rootsAt = -Infinity;

  constructor(options: ContainerdOptions) {
    const connection = new Connection(options);
    this.#connection = connection;
    this.#logger = options.logger;
    this.address = options.address;
    this.namespace = options.namespace;
    this.snapshotter = options.snapshotter;
    this.platform = platformOf(process.arch);
    this.containers = serviceClient(connection, Containers);
    this.tasks = serviceClient(connection, Tasks, {
      create: 2 * MINUTE,
      checkpoint: 10 * MINUTE,
      wait: Infinity,
    });
    // Removing a large filesystem takes its time, as does a garbage collection that is waited for.
    this.snapshots = serviceClient(connection, Snapshots, { remove: 2 * MINUTE, cleanup: 2 * MINUTE });
    this.images = serviceClient(connection, Images, { delete: 2 * MINUTE });
    this.content = serviceClient(connection, Content);
    this.sandboxes = serviceClient(connection, Store);
    this.events = serviceClient(connection, Events);
    this.transfer = serviceClient(connection, Transfer, { transfer: Infinity });
    this.streaming = serviceClient(connection, Streaming);
    this.#version = serviceClient(connection, Version);
    this.#introspection = serviceClient(connection, Introspection);
    const { images, content, snapshots, snapshotter, platform } = this;
    this.#reader = new ImageReader({ images, content, snapshots, snapshotter, platform });
  }

  /**
   * Asks containerd for its version, connecting if need be.
   * @throws UnsupportedContainerd when it is older than 1.7, ContainerdError (isUnavailable) when it is away
   */
  async ready(): Promise<ContainerdVersion> {
    const { version } = await this.#version.version({}, { timeoutMs: 5000 });
    return checkVersion(version);
  }

  /**
   * The directories in which containerd keeps images: their content, and the snapshots they are unpacked into. As they were
   * a minute ago at the most: a containerd that is started anew may have others.
   */
  imageRoots(): Promise<string[]> {
    if (performance.now() - this.#rootsAt > MINUTE) {
      this.#roots = this.#imageRoots();
      this.#rootsAt = performance.now();
      this.#roots.catch(() => {
        this.#rootsAt = -Infinity;
      });
    }
    return this.#roots;
  }

  async #imageRoots(): Promise<string[]> {
    const filters = ["content", this.snapshotter].map((id) => `id==${JSON.stringify(id)}`);
    const { plugins } = await this.#introspection.plugins({ filters });
    // A snapshotter that is a program of its own does not tell.
    return plugins
      .filter(({ type }) => /^io\.containerd\.(content|snapshotter)\./.test(type))
      .map(({ exports }) => exports["root"])
      .filter((root) => root !== undefined);
  }

  /**
   * Pulls an image and unpacks it for this platform; what is here already is not fetched again, but the registry is asked.
   * A new image's record is marked as Berth's ({@link PULLED_LABEL}); one that is there keeps its labels, or its lack of any.
   * @throws ImagePullError; ContainerdError when containerd is away; the signal's reason when it was aborted
   */
  async pull(options: PullOptions): Promise<PulledImage> {
    const { canonical: name } = parseReference(options.ref);
    const hostsDir = await this.#hostsDir(options.hostsDir);
    const { transfer, streaming, platform, snapshotter } = this;
    const puller = { transfer, streaming, platform, snapshotter, logger: this.#logger };
    // containerd replaces all of a record's labels with those of the pull.
    const labels = { ...((await this.#labels(name)) ?? { [PULLED_LABEL]: "true" }), ...options.labels };
    await pullImage(puller, name, { ...options, hostsDir, labels });
    return this.#present(name);
  }

  /**
   * Imports an image from a tar (OCI layout or `docker save`) and unpacks it, without a registry.
   * @throws ImagePullError, ContainerdError, what reading the archive throws
   */
  async importImage(options: ImportOptions): Promise<PulledImage> {
    const { canonical: name } = parseReference(options.name);
    const { transfer, streaming, platform, snapshotter } = this;
    await importArchive({ transfer, streaming, platform, snapshotter }, { ...options, name });
    return this.#present(name);
  }

  /**
   * The image of a reference, if it is here and unpacked for this platform.
   * @throws ImagePullError of kind InvalidName, ContainerdError
   */
  image(reference: string): Promise<PulledImage | undefined> {
    return this.#reader.read(reference);
  }

  /** A container's task; undefined when it has none. */
  async task(containerId: string, execId = ""): Promise<TaskState | undefined> {
    try {
      const { process } = await this.tasks.get({ containerId, execId });
      return process && taskState(process);
    } catch (error) {
      if (isNotFound(error)) return undefined;
      throw error;
    }
  }

  /** Writes a part of a container's record. */
  async updateContainer(id: string, changes: ContainerChanges): Promise<Container | undefined> {
    const { labels = {}, extensions = {}, spec, image } = changes;
    const paths = [
      ...Object.keys(labels).map((key) => `labels.${key}`),
      ...Object.keys(extensions).map((key) => `extensions.${key}`),
      ...(spec === undefined ? [] : ["spec"]),
      ...(image === undefined ? [] : ["image"]),
    ];
    const container = {
      id,
      // containerd drops a label whose value is empty.
      labels: Object.fromEntries(Object.entries(labels).map(([key, value]) => [key, value ?? ""])),
      extensions,
      ...(spec === undefined ? {} : { spec }),
      ...(image === undefined ? {} : { image }),
    };
    return (await this.containers.update({ container, updateMask: { paths } })).container;
  }

  /** Follows containerd's events until closed, through its restarts. */
  subscribe(options: SubscribeOptions): Subscription {
    return new Subscription(this.events, options, this.#logger);
  }

  /** Closes the connection. Close subscriptions first. */
  close(): void {
    this.#connection.close();
  }

  async #hostsDir(hostsDir: string | undefined): Promise<string | undefined> {
    if (hostsDir === undefined) return undefined;
    const { version, hasHostsDir } = await this.ready();
    if (hasHostsDir) return hostsDir;
    if (this.#toldOfHostsDir) return undefined;
    this.#toldOfHostsDir = true;
    this.#logger.warn(
      { hostsDir, version },
      "containerd 1.7 pulls without the registry hosts folder; it needs 2.0 or later",
    );
    return undefined;
  }

  async #labels(name: string): Promise<Record<string, string> | undefined> {
    try {
      return (await this.images.get({ name })).image?.labels;
    } catch (error) {
      if (isNotFound(error)) return undefined;
      throw error;
    }
  }

  async #present(name: string): Promise<PulledImage> {
    const image = await this.#reader.read(name);
    if (image !== undefined) return image;
    const { os, architecture } = this.platform;
    const why = `it holds nothing for ${os}/${architecture}, or containerd does not unpack for snapshotter "${this.snapshotter}"`;
    throw new ImagePullError("Other", `image "${name}": ${why}`);
  }
}
