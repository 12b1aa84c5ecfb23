/**
 * Collects images that no Container uses when the disk they are on fills up, by the kubelet's rule: from the high threshold
 * on, the least recently used go until the low one is reached. Only images that Berth has pulled, and no other tool.
 */
import type { Logger } from "pino";
import { dateOf, type ImageRecord, isNotFound, isUnavailable, PULLED_LABEL } from "../containerd/index.ts";
import { describeDisk, type DiskUse, formatBytes } from "../node/index.ts";

/** Labels of Berth's own; an image with any other one is also another tool's. */
const OWN_PREFIX = "berth.dev/";
/** Milliseconds between two looks at the disk when nothing else asks for one (the kubelet's period). */
const PERIOD_MS = 5 * 60_000;

/** Images that must stay, by name and by the digest of what they point to. */
export interface ImagesInUse {
  readonly names: ReadonlySet<string>;
  readonly digests: ReadonlySet<string>;
}

/** What a collector works with. */
export interface ImageCollectorOptions {
  /** Percent of the disk's use; a high threshold of 100 turns the collector off. */
  readonly high: number;
  readonly low: number;
  readonly images: {
    list(request: object): Promise<{ images: ImageRecord[] }>;
    get(request: { name: string }): Promise<{ image?: ImageRecord | undefined }>;
    delete(request: { name: string; sync: boolean }): Promise<unknown>;
  };
  /** The disks that images are on. */
  readonly disks: () => Promise<readonly DiskUse[]>;
  /** What is in use; undefined when that can't be told yet: nothing is collected then. */
  readonly inUse: () => Promise<ImagesInUse | undefined>;
  /** Whether an image is wanted now, as far as is known without asking anybody. */
  readonly isWanted: (name: string) => boolean;
  /** Writes an Event on the node. */
  readonly announce: (type: "Normal" | "Warning", reason: string, message: string) => void;
  readonly now: () => Date;
  readonly logger: Logger;
}

/** One collection at a time. Nothing here throws: what is in the way is told, and tried again with the next look. */
export class ImageCollector {
  readonly #options: ImageCollectorOptions;
  /** When an image was last seen in use, in milliseconds; a restart of the agent forgets it, and the image's own time counts. */
  readonly #lastUsed = new Map<string, number>();
  readonly #deleting = new Map<string, Promise<unknown>>();
  #running: Promise<boolean> = Promise.resolve(false);
  #next: Promise<boolean> | undefined;
  #timer: NodeJS.Timeout | undefined;
  #isShort = false;
  #trouble = "";

  constructor(options: ImageCollectorOptions) {
    this.#options = options;
  }

  /** Begins to look from time to time. */
  start(): void {
    if (this.#options.high >= 100) return;
    this.#timer = setInterval(() => void this.look(), PERIOD_MS);
    this.#timer.unref();
  }

  close(): void {
    clearInterval(this.#timer);
  }

  /** Notes that an image was in use until now. */
  used(name: string): void {
    this.#lastUsed.set(name, this.#options.now().getTime());
  }

  /** Waits for the end of an image's deletion, if that is under way: what is there then stays for whoever wants it. */
  async settled(name: string): Promise<void> {
    await this.#deleting.get(name);
  }

  /**
   * Looks at the disk, and collects what its use calls for. Answers whether anything was deleted.
   * @param isShort something did not fit: room is made below the high threshold, too, by at least one image
   */
  look(isShort = false): Promise<boolean> {
    if (this.#options.high >= 100) return Promise.resolve(false);
    this.#isShort ||= isShort;
    // Who asks while a look is under way has news that it may have missed; all of them share the next one.
    this.#next ??= this.#running.then(() => {
      this.#next = undefined;
      this.#running = this.#look(this.#isShort);
      this.#isShort = false;
      return this.#running;
    });
    return this.#next;
  }

  async #look(isShort: boolean): Promise<boolean> {
    const { high, logger } = this.#options;
    const deleted: string[] = [];
    try {
      const before = await this.#fullest();
      if (before === undefined || (before.percent < high && !isShort)) {
        this.#tell("");
        return false;
      }
      await this.#collect(deleted, isShort);
      const after = (await this.#fullest()) ?? before;
      if (deleted.length > 0) this.#tellCollected(deleted, after.available - before.available);
      const why = `${describeDisk(after)}, and no other image there is unused and Berth's own. Make room there, or delete Containers`;
      this.#tell(after.percent >= high ? "FreeDiskSpaceFailed" : "", why);
    } catch (error) {
      if (isUnavailable(error)) logger.debug({ err: error }, "images can't be looked at now");
      else this.#tell("ImageGCFailed", `Unused images can't be collected: ${(error as Error).message}`);
    }
    return deleted.length > 0;
  }

  async #fullest(): Promise<DiskUse | undefined> {
    return (await this.#options.disks()).toSorted((a, b) => b.percent - a.percent)[0];
  }

  async #collect(deleted: string[], isShort: boolean): Promise<void> {
    for (const { name, target } of await this.#unused()) {
      const isEnough = ((await this.#fullest())?.percent ?? 0) <= this.#options.low;
      if (isEnough && (deleted.length > 0 || !isShort)) return;
      if (await this.#delete(name, target?.digest)) deleted.push(name);
    }
  }

  /** Images that may go, the least recently used first. */
  async #unused(): Promise<ImageRecord[]> {
    const { images } = await this.#options.images.list({});
    const used = await this.#options.inUse();
    if (used === undefined) return [];
    const there = new Set(images.map(({ name }) => name));
    for (const name of this.#lastUsed.keys()) if (!there.has(name)) this.#lastUsed.delete(name);
    for (const name of used.names) if (there.has(name)) this.used(name);
    const digests = new Set([...used.digests, ...images.filter(({ name }) => used.names.has(name)).map(digestOf)]);
    const since = (image: ImageRecord): number =>
      this.#lastUsed.get(image.name) ?? dateOf(image.updatedAt)?.getTime() ?? 0;
    return images
      .filter((image) => isOwn(image) && !used.names.has(image.name) && !digests.has(digestOf(image)))
      .sort((a, b) => since(a) - since(b));
  }

  /** Deletes an image, unless it is wanted now or has become another's or another one meanwhile; what it alone kept is gone then. */
  async #delete(name: string, digest: string | undefined): Promise<boolean> {
    const { images, isWanted, logger } = this.#options;
    try {
      const { image } = await images.get({ name });
      if (image === undefined || !isOwn(image) || image.target?.digest !== digest || isWanted(name)) return false;
      const deletion = images.delete({ name, sync: true });
      this.#deleting.set(
        name,
        deletion.catch(() => undefined),
      );
      await deletion;
      logger.info({ image: name }, "collected an unused image");
      return true;
    } catch (error) {
      if (!isNotFound(error)) throw error;
      return false;
    } finally {
      this.#deleting.delete(name);
    }
  }

  #tellCollected(names: readonly string[], bytes: number): void {
    const message = `Collected ${names.length} unused images, ${formatBytes(Math.max(0, bytes))}: ${names.join(", ")}`;
    this.#options.announce("Normal", "ImagesCollected", message);
  }

  /** Tells of a trouble when it comes, and when it is over. */
  #tell(reason: string, message = ""): void {
    if (this.#trouble === reason) return;
    this.#trouble = reason;
    if (reason === "") {
      this.#options.logger.info("the disk of the images has room again");
      return;
    }
    this.#options.logger.warn({ reason }, message);
    this.#options.announce("Warning", reason, message);
  }
}

function isOwn({ labels }: ImageRecord): boolean {
  return labels[PULLED_LABEL] === "true" && Object.keys(labels).every((label) => label.startsWith(OWN_PREFIX));
}

function digestOf({ target }: ImageRecord): string {
  return target?.digest ?? "";
}
