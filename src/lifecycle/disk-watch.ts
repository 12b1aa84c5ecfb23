/**
 * Watches the disks that the agent and the containers' output need, and tells when one is full and when it has room again:
 * once each, whatever goes on meanwhile. A full disk is no failure of the agent: it stays up, and all goes on with the room.
 */
import type { Logger } from "pino";
import { describeDisk, type DiskUse } from "../node/index.ts";

/** Milliseconds between two looks when nothing else asks for one, and while a disk is full: nothing tells of room. */
const PERIOD_MS = 60_000;
const FULL_PERIOD_MS = 2_000;

/** So little counts as full (what is written now may fail), so much as room again: bytes, or a part of a small disk. */
const FULL = { bytes: 2 ** 20, part: 0.02 };
const ROOM = { bytes: 4 * 2 ** 20, part: 0.08 };

/** What a disk is for. */
export type DiskRole = "state" | "data" | "log" | "images";

/** What is measured: a directory, for what it is. */
export type Measured = DiskUse & { readonly role: DiskRole };

/** A disk that is full, as it was when that was seen first: the words stay the same until it has room again. */
export interface FullDisk {
  readonly roles: ReadonlySet<DiskRole>;
  readonly words: string;
}

/** What a watch works with. */
export interface DiskWatchOptions {
  readonly measure: () => Promise<readonly Measured[]>;
  /** A disk has become full, or has room again. */
  readonly onChange: (disk: FullDisk, isFull: boolean) => void;
  /** A period is over: the time for what nothing tells of. */
  readonly onPeriod: () => void;
  readonly logger: Logger;
}

/** Nothing here throws. */
export class DiskWatch {
  readonly #options: DiskWatchOptions;
  readonly #full = new Map<number, FullDisk>();
  #looking: Promise<void> | undefined;
  #timer: NodeJS.Timeout | undefined;
  #closed = false;

  constructor(options: DiskWatchOptions) {
    this.#options = options;
  }

  /** The disks that are full. */
  get full(): readonly FullDisk[] {
    return [...this.#full.values()];
  }

  start(): void {
    void this.#tick();
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
  }

  /** Measures the disks. Those who ask at once share the answer. */
  look(): Promise<void> {
    this.#looking ??= this.#look().finally(() => {
      this.#looking = undefined;
    });
    return this.#looking;
  }

  async #look(): Promise<void> {
    try {
      const disks = Map.groupBy(await this.#options.measure(), ({ device }) => device);
      for (const [device, uses] of disks) this.#note(device, uses);
    } catch (error) {
      this.#options.logger.debug({ err: error }, "disks can't be measured now");
    }
  }

  async #tick(): Promise<void> {
    await this.look();
    this.#options.onPeriod();
    this.#rearm();
  }

  #rearm(): void {
    clearTimeout(this.#timer);
    if (this.#closed) return;
    this.#timer = setTimeout(() => void this.#tick(), this.#full.size > 0 ? FULL_PERIOD_MS : PERIOD_MS);
    this.#timer.unref();
  }

  #note(device: number, uses: readonly Measured[]): void {
    const [use] = uses;
    if (use === undefined) return;
    const known = this.#full.get(device);
    const isFull = isBelow(use, known === undefined ? FULL : ROOM);
    if (isFull === (known !== undefined)) return;
    const words = describeDisk({ ...use, path: uses.map(({ path }) => path).join(", ") });
    if (isFull) {
      const disk = { roles: new Set(uses.map(({ role }) => role)), words };
      this.#full.set(device, disk);
      this.#options.logger.warn(`full: ${words}`);
      this.#options.onChange(disk, true);
    } else {
      this.#full.delete(device);
      this.#options.logger.info(`room again: ${words}`);
      this.#options.onChange({ roles: known?.roles ?? new Set(), words }, false);
    }
    this.#rearm();
  }
}

function isBelow({ available, total, files }: DiskUse, { bytes, part }: typeof FULL): boolean {
  return files === 0 || available < Math.min(bytes, total * part);
}
