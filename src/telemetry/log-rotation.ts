import { watch, type FSWatcher } from "node:fs";
import { mkdir, stat } from "node:fs/promises";
import { dirname } from "node:path";
import type { Logger } from "pino";
import { type LogLimits, type Loss, rotate } from "./log-file.ts";

export type LogRotationOptions = {
  logger: Logger;
  /** A file was looked at: it had grown. */
  onLook?: () => void;
  /** The shortest time between two looks at a file, milliseconds (1000). */
  intervalMs?: number;
  /** The wait after a rotation that failed, or where the kernel gives no notice of changes, milliseconds (30 s). */
  retryMs?: number;
};

/** What is said when output is lost; the same words each time, so that it is one Event. */
const LOSSES: Record<Loss, string> = {
  flood:
    "The output comes faster than it can be kept: only its newest part is. Raise spec.logging.maxSize, or write less",
  full: "The disk of the logs is full: only the newest output is kept. Make room there, or lower spec.logging",
};

/** Milliseconds between two looks at the least: rotating is not to become all that is done. */
const MIN_INTERVAL_MS = 250;

/**
 * Keeps containers' log files within their limits. A silent container costs nothing and a chatty one a look a second: the
 * first write is notified, notification is then switched off until the look that follows it.
 */
export class LogRotation {
  readonly #options: LogRotationOptions;
  readonly #files = new Map<string, WatchedLog>();

  constructor(options: LogRotationOptions) {
    this.#options = options;
  }

  /**
   * Watches a container's log, or changes the limits of one already watched. The file may come into being later.
   * @param onLoss told in words when more is lost than the limits say
   */
  watch(id: string, path: string, limits: LogLimits, onLoss: (words: string) => void = () => undefined): void {
    const watched = this.#files.get(id);
    if (watched?.path === path) {
      watched.setLimits(limits);
      return;
    }
    watched?.close();
    this.#files.set(id, new WatchedLog(path, limits, onLoss, this.#options));
  }

  /** Leaves a container's log alone. Its files stay. */
  unwatch(id: string): void {
    this.#files.get(id)?.close();
    this.#files.delete(id);
  }

  close(): void {
    for (const id of [...this.#files.keys()]) this.unwatch(id);
  }
}

class WatchedLog {
  readonly path: string;
  readonly #options: LogRotationOptions;
  readonly #onLoss: (words: string) => void;
  #limits: LogLimits;
  /** Milliseconds until a file that grows is looked at: fewer for one that grows beyond its limit sooner. */
  #interval: number;
  #watcher: FSWatcher | undefined;
  #timer: NodeJS.Timeout | undefined;
  #looking = false;
  /** Asked to look while looking. */
  #again = false;
  #closed = false;

  constructor(path: string, limits: LogLimits, onLoss: (words: string) => void, options: LogRotationOptions) {
    this.path = path;
    this.#onLoss = onLoss;
    this.#interval = options.intervalMs ?? 1000;
    this.#limits = limits;
    this.#options = options;
    void this.#look();
  }

  setLimits(limits: LogLimits): void {
    const same = limits.maxSize === this.#limits.maxSize && limits.maxFiles === this.#limits.maxFiles;
    this.#limits = limits;
    if (!same) void this.#look();
  }

  close(): void {
    this.#closed = true;
    this.#disarm();
  }

  #disarm(): void {
    this.#watcher?.close();
    this.#watcher = undefined;
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  #lookIn(ms: number): void {
    this.#disarm();
    if (this.#closed) return;
    this.#timer = setTimeout(() => void this.#look(), ms);
    this.#timer.unref();
  }

  /** Never rejects. Notification is on again before the file is looked at, so no write goes unseen. */
  async #look(): Promise<void> {
    if (this.#looking) {
      this.#again = true;
      return;
    }
    this.#looking = true;
    const { intervalMs = 1000, retryMs = 30_000, logger, onLook } = this.#options;
    try {
      this.#disarm();
      await this.#arm();
      const { size } = await stat(this.path);
      const interval = this.#interval * (this.#limits.maxSize / Math.max(size, 1));
      this.#interval = Math.min(intervalMs, Math.max(MIN_INTERVAL_MS, interval));
      if (size > this.#limits.maxSize && !this.#isClosed()) await this.#rotate();
      onLook?.();
    } catch (error) {
      if (!isMissing(error)) {
        logger.warn({ path: this.path, err: error }, "log can't be rotated now, trying again");
        this.#lookIn(retryMs);
      }
    } finally {
      this.#looking = false;
      if (this.#again) this.#lookIn(this.#interval);
      this.#again = false;
      if (this.#closed) this.#disarm();
    }
  }

  async #rotate(): Promise<void> {
    const loss = await rotate(this.path, this.#limits);
    if (loss === undefined) return;
    this.#options.logger.warn({ path: this.path }, LOSSES[loss]);
    this.#onLoss(LOSSES[loss]);
  }

  #isClosed(): boolean {
    return this.#closed;
  }

  /** Has the next change of the file, or its coming into being, noticed. */
  async #arm(): Promise<void> {
    const onChange = () => {
      this.#lookIn(this.#interval);
    };
    try {
      this.#watcher = watch(this.path, { persistent: false }, onChange);
    } catch (error) {
      if (!isMissing(error)) throw error;
      // The shim would make the folder just so.
      await mkdir(dirname(this.path), { recursive: true, mode: 0o750 });
      this.#watcher = watch(dirname(this.path), { persistent: false }, onChange);
    }
    this.#watcher.on("error", onChange);
  }
}

function isMissing(error: unknown): boolean {
  return typeof error === "object" && error !== null && "code" in error && error.code === "ENOENT";
}
