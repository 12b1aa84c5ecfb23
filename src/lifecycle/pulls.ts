/**
 * Pulls under way. A pull takes as long as it takes, so it does not hold a place in the work queue: it is begun, the
 * key's status says so, and the key is looked at again when it is over. Nothing here need outlive the agent: a pull that
 * a crash cut off is begun again, and what was fetched is there.
 */
import type { Logger } from "pino";
import { ImagePullError, type PulledImage, type PullOptions } from "../containerd/index.ts";
import type { Observer, PullOutcome } from "./observer.ts";
import type { Announce } from "./parts.ts";
import type { Applied } from "./record.ts";

/** The part of containerd that pulls use. */
export interface ImageSource {
  pull(options: PullOptions): Promise<PulledImage>;
}

/** User name and password for a registry. */
export interface Credentials {
  readonly username: string;
  readonly password: string;
}

/** What to pull, and for whom. */
export interface PullRequest {
  /** The key to look at again when the pull is over. */
  readonly key: string;
  readonly object: Pick<Applied, "namespace" | "name" | "uid">;
  /** What the pull is for (a container's id): an answer for another token is not used. */
  readonly token: string;
  readonly ref: string;
  readonly credentials?: Credentials;
}

/** How a pull ended. */
export type PullResult = { readonly image: PulledImage; readonly seconds: number } | { readonly error: unknown };

interface Pull {
  readonly ref: string;
  readonly controller: AbortController;
  readonly waiting: Map<string, PullRequest>;
}

/** How often a pull that takes long tells of its progress, in milliseconds. */
const PROGRESS_INTERVAL_MS = 10_000;

/** One pull for each image and credentials at a time, shared by all that wait for it. */
export class Pulls {
  readonly #source: ImageSource;
  readonly #hostsDir: string | undefined;
  readonly #onSettled: (key: string) => void;
  readonly #announce: Announce;
  readonly #observer: Pick<Observer, "pulled" | "fetched">;
  readonly #logger: Logger;
  readonly #pulls = new Map<string, Pull>();
  readonly #results = new Map<string, { token: string; result: PullResult }>();
  #closed = false;

  constructor(options: {
    source: ImageSource;
    hostsDir: string | undefined;
    onSettled: (key: string) => void;
    announce: Announce;
    observer: Pick<Observer, "pulled" | "fetched">;
    logger: Logger;
  }) {
    this.#source = options.source;
    this.#hostsDir = options.hostsDir;
    this.#onSettled = options.onSettled;
    this.#announce = options.announce;
    this.#observer = options.observer;
    this.#logger = options.logger;
  }

  /** The result of the pull begun for a key and token, once; undefined when there is none (yet). */
  take(key: string, token: string): PullResult | undefined {
    const settled = this.#results.get(key);
    if (settled === undefined) return undefined;
    this.#results.delete(key);
    return settled.token === token ? settled.result : undefined;
  }

  /** Whether a pull that a key waits for is under way. */
  underWay(key: string, token: string): boolean {
    return this.#pulls.values().some(({ waiting }) => waiting.get(key)?.token === token);
  }

  /** The images of pulls under way, and of those whose result has not been taken yet. */
  names(): string[] {
    const done = this.#results.values().flatMap(({ result }) => ("image" in result ? [result.image.name] : []));
    return [...this.#pulls.values().map(({ ref }) => ref), ...done];
  }

  /** Begins a pull, or joins the one under way for the same image and credentials; none once they are ended. */
  begin(request: PullRequest): void {
    if (this.#closed) return;
    const name = JSON.stringify([request.ref, request.credentials ?? null]);
    const joined = this.#pulls.get(name);
    joined?.waiting.set(request.key, request);
    this.#leave(request.key, joined);
    if (joined !== undefined) return;
    const { ref } = request;
    const pull: Pull = { ref, controller: new AbortController(), waiting: new Map([[request.key, request]]) };
    this.#pulls.set(name, pull);
    void this.#run(name, pull, request);
  }

  /** Drops a key's interest: its result, and the pull itself when nobody else waits for it. */
  forget(key: string): void {
    this.#leave(key);
  }

  /** Ends all pulls. */
  close(): void {
    this.#closed = true;
    for (const pull of this.#pulls.values()) {
      pull.waiting.clear();
      pull.controller.abort();
    }
  }

  /** Ends a key's part in all pulls but one. A pull that is given up takes nobody in any more. */
  #leave(key: string, except?: Pull): void {
    this.#results.delete(key);
    for (const [name, pull] of this.#pulls) {
      if (pull === except || !pull.waiting.delete(key) || pull.waiting.size > 0) continue;
      pull.controller.abort();
      this.#pulls.delete(name);
    }
  }

  async #run(name: string, pull: Pull, request: PullRequest): Promise<void> {
    const begun = performance.now();
    const result = await this.#pull(pull, request);
    const seconds = (performance.now() - begun) / 1000;
    this.#observer.pulled(pull.controller.signal.aborted ? "cancelled" : outcomeOf(result), seconds);
    if (this.#pulls.get(name) === pull) this.#pulls.delete(name);
    for (const [key, { token }] of pull.waiting) {
      this.#results.set(key, { token, result: "image" in result ? { ...result, seconds } : result });
      this.#onSettled(key);
    }
  }

  async #pull(pull: Pull, request: PullRequest): Promise<{ image: PulledImage } | { error: unknown }> {
    let told = performance.now();
    let known = 0;
    try {
      const image = await this.#source.pull({
        ref: request.ref,
        ...(request.credentials === undefined ? {} : { credentials: request.credentials }),
        ...(this.#hostsDir === undefined ? {} : { hostsDir: this.#hostsDir }),
        signal: pull.controller.signal,
        onProgress: ({ bytes, total, fetched }) => {
          if (fetched > known) this.#observer.fetched(fetched - known);
          known = Math.max(known, fetched);
          const now = performance.now();
          if (now - told < PROGRESS_INTERVAL_MS) return;
          told = now;
          const line = `Pulling image "${request.ref}": ${mebibytes(bytes)} of ${mebibytes(total)} MiB`;
          this.#logger.info({ image: request.ref, bytes, total }, "pulling");
          for (const { object } of pull.waiting.values()) this.#announce(object, "Normal", "Pulling", line, "pull");
        },
      });
      return { image };
    } catch (error) {
      return { error };
    }
  }
}

function outcomeOf(result: { image: PulledImage } | { error: unknown }): PullOutcome {
  if ("image" in result) return "success";
  return result.error instanceof ImagePullError ? result.error.kind : "error";
}

function mebibytes(bytes: number): string {
  return (bytes / 2 ** 20).toFixed(1);
}
