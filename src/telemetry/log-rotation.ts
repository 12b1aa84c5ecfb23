import { watch, type FSWatcher } from "node:fs";
import { mkdir, stat } from "node:fs/promises";
import { dirname } from "node:path";
import type { Logger } from "pino";
import { rotate } from "./log-file.ts";

/** How large a container's log may become. */
export type LogLimits = {
  /** Bytes after which the file is rotated; it may exceed them by what is written in a second. */
  maxSize: number;
  /** Files kept, the current one included. */
  maxFiles: number;
};

export type LogRotationOptions = {
  logger: Logger;
  /** The shortest time between two looks at a file, milliseconds (1000). */
  intervalMs?: number;
  /** The wait after a rotation that failed, or where the kernel gives no notice of changes, milliseconds (30 s). */
  retryMs?: number;
};

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

  /** Watches a container's log, or changes the limits of one already watched. The file may come into being later. */
  watch(id: string, path: string, limits: LogLimits): void {
    const watched = this.#files.get(id);
    if (watched?.path === path) {
      watched.setLimits(limits);
      return;
    }
    watched?.close();
    this.#files.set(id, new WatchedLog(path, limits, this.#options));
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
  #limits: LogLimits;
  #watcher: FSWatcher | undefined;
  #timer: NodeJS.Timeout | undefined;
  #looking = false;
  /** Asked to look while looking. */
  #again = false;
  #closed = false;

  constructor(path: string, limits: LogLimits, options: LogRotationOptions) {
    this.path = path;
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
    const { intervalMs = 1000, retryMs = 30_000, logger } = this.#options;
    try {
      this.#disarm();
      await this.#arm(intervalMs);
      const { size } = await stat(this.path);
      if (size > this.#limits.maxSize && !this.#isClosed()) await rotate(this.path, this.#limits.maxFiles);
    } catch (error) {
      if (!isMissing(error)) {
        logger.warn({ path: this.path, err: error }, "log can't be rotated now, trying again");
        this.#lookIn(retryMs);
      }
    } finally {
      this.#looking = false;
      if (this.#again) this.#lookIn(intervalMs);
      this.#again = false;
      if (this.#closed) this.#disarm();
    }
  }

  #isClosed(): boolean {
    return this.#closed;
  }

  /** Has the next change of the file, or its coming into being, noticed. */
  async #arm(intervalMs: number): Promise<void> {
    const onChange = () => {
      this.#lookIn(intervalMs);
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
