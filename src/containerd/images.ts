import type { ServiceClient } from "./client.ts";
import { isNotFound } from "./errors.ts";
import type { ImageConfiguration, OciImageConfig } from "./image-config.ts";
import { chainID, parseImageConfiguration } from "./image-config.ts";
import type { Platform } from "./platform.ts";
import type { Content } from "./proto/content_pb.ts";
import type { Images } from "./proto/images_pb.ts";
import type { Snapshots } from "./proto/snapshots_pb.ts";
import { parseReference } from "./reference.ts";

/** An image that is here, unpacked and ready for a container to be prepared on. */
export interface PulledImage {
  /** The full reference, and the name of its record: `docker.io/library/busybox:latest`. */
  readonly name: string;
  /** Digest of what the reference points to: an index, or a manifest. */
  readonly digest: string;
  /** Parent for `Snapshots.Prepare`. */
  readonly chainID: string;
  readonly config: OciImageConfig;
}

type Resolved = Pick<PulledImage, "chainID" | "config">;

/** Bytes of JSON that are read at most: 4 MiB is the limit the distribution specification gives a manifest. */
const MAX_JSON_BYTES = 4 * 1024 * 1024;
const MAX_CACHED = 256;
/** Indexes within indexes are rare, loops can't be made; a bound keeps a malicious image from many reads. */
const MAX_DEPTH = 3;

/** Reads images from containerd's stores. */
export class ImageReader {
  readonly #images: Pick<ServiceClient<typeof Images>, "get">;
  readonly #content: Pick<ServiceClient<typeof Content>, "read">;
  readonly #snapshots: Pick<ServiceClient<typeof Snapshots>, "stat">;
  readonly #snapshotter: string;
  readonly #platform: Platform;
  /** By the target's digest: content never changes. */
  readonly #resolved = new Map<string, Resolved>();

  constructor(options: {
    images: Pick<ServiceClient<typeof Images>, "get">;
    content: Pick<ServiceClient<typeof Content>, "read">;
    snapshots: Pick<ServiceClient<typeof Snapshots>, "stat">;
    snapshotter: string;
    platform: Platform;
  }) {
    this.#images = options.images;
    this.#content = options.content;
    this.#snapshots = options.snapshots;
    this.#snapshotter = options.snapshotter;
    this.#platform = options.platform;
  }

  /**
   * The image of a reference for this machine's platform; undefined when there is no record of it, its content is not
   * here or it is not unpacked.
   * @throws ImagePullError of kind InvalidName; ContainerdError
   */
  async read(reference: string): Promise<PulledImage | undefined> {
    const { canonical: name } = parseReference(reference);
    try {
      const { image } = await this.#images.get({ name });
      const digest = image?.target?.digest;
      if (digest === undefined) return undefined;
      const resolved = await this.#resolve(digest);
      if (resolved === undefined) return undefined;
      // An image without layers has nothing to unpack.
      if (resolved.chainID !== "") {
        await this.#snapshots.stat({ snapshotter: this.#snapshotter, key: resolved.chainID });
      }
      return { name, digest, ...resolved };
    } catch (error) {
      if (isNotFound(error)) return undefined;
      throw error;
    }
  }

  async #resolve(digest: string): Promise<Resolved | undefined> {
    const known = this.#resolved.get(digest);
    if (known !== undefined) return known;
    const configuration = await this.#configuration(digest, MAX_DEPTH);
    if (configuration === undefined) return undefined;
    const resolved = { chainID: chainID(configuration.diffIDs), config: configuration.config };
    const [oldest] = this.#resolved.keys();
    if (this.#resolved.size >= MAX_CACHED && oldest !== undefined) this.#resolved.delete(oldest);
    this.#resolved.set(digest, resolved);
    return resolved;
  }

  /** The configuration below an index or manifest; undefined when none is for this platform. */
  async #configuration(digest: string, depth: number): Promise<ImageConfiguration | undefined> {
    const node = parseNode(await this.#json(digest));
    if (node.config !== undefined) {
      const configuration = parseImageConfiguration(await this.#json(node.config));
      return this.#fits(configuration) ? configuration : undefined;
    }
    if (depth === 0) return undefined;
    const candidates = node.manifests.filter(({ platform }) => platform === undefined || this.#fits(platform));
    // The plain variant before v2, v3 … of an architecture, which containerd's default doesn't unpack.
    for (const { digest: child } of candidates.toSorted((a, b) => rank(a) - rank(b))) {
      const found = await this.#configuration(child, depth - 1);
      if (found !== undefined) return found;
    }
    return undefined;
  }

  #fits(of: { os?: unknown; architecture?: unknown }): boolean {
    return of.os === this.#platform.os && of.architecture === this.#platform.architecture;
  }

  async #json(digest: string): Promise<unknown> {
    const chunks: Uint8Array[] = [];
    let size = 0;
    for await (const { data } of this.#content.read({ digest }, { timeoutMs: 30_000 })) {
      size += data.length;
      if (size > MAX_JSON_BYTES) throw new Error(`image content ${digest} is larger than ${MAX_JSON_BYTES} bytes`);
      chunks.push(data);
    }
    return JSON.parse(Buffer.concat(chunks).toString("utf8"));
  }
}

interface Child {
  digest: string;
  platform?: { os?: unknown; architecture?: unknown; variant?: unknown };
}

/** An index's children, or a manifest's configuration digest. */
function parseNode(json: unknown): { config?: string; manifests: Child[] } {
  const node = json as { config?: { digest?: unknown }; manifests?: unknown } | null;
  const manifests = Array.isArray(node?.manifests) ? (node.manifests as unknown[]).filter(isChild) : [];
  const config = node?.config?.digest;
  return typeof config === "string" ? { config, manifests } : { manifests };
}

function isChild(value: unknown): value is Child {
  return typeof value === "object" && value !== null && "digest" in value && typeof value.digest === "string";
}

function rank({ platform }: Child): number {
  const variant = platform?.variant;
  return variant === undefined || variant === "" || variant === "v1" || variant === "v8" ? 0 : 1;
}
