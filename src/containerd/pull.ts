import type { Logger } from "pino";
import { packMessage, unpackMessage } from "./any.ts";
import type { ServiceClient } from "./client.ts";
import { ImagePullError, isCancelled } from "./errors.ts";
import type { Platform } from "./platform.ts";
import type { PullProgress } from "./progress.ts";
import { ProgressSum } from "./progress.ts";
import { pullError } from "./pull-error.ts";
import type { Streaming } from "./proto/streaming_pb.ts";
import type { Transfer } from "./proto/transfer_pb.ts";
import {
  AuthRequestSchema,
  AuthResponseSchema,
  AuthType,
  ImageStoreSchema,
  OCIRegistrySchema,
  ProgressSchema,
} from "./proto/transfer_types_pb.ts";
import type { NamedStream } from "./streams.ts";
import { openStream } from "./streams.ts";

/** User name and password (or token) for a registry. */
export interface RegistryCredentials {
  readonly username: string;
  readonly password: string;
}

/** What to pull and how. */
export interface PullOptions {
  /** As a user writes it: `busybox`, `registry.example.com/team/app:1.2`. */
  readonly ref: string;
  /** Given to whichever registry asks: the reference's host, or its mirrors. */
  readonly credentials?: RegistryCredentials | undefined;
  /** Folder of `<host>/hosts.toml` files; containerd 2.x only. */
  readonly hostsDir?: string | undefined;
  /** Labels for the image's record. */
  readonly labels?: Readonly<Record<string, string>> | undefined;
  /** Called at most twice a second, and once at the end. */
  readonly onProgress?: ((progress: PullProgress) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Give up when nothing was heard of the pull for so many milliseconds (10 minutes): a registry may hang, and so would the pull. */
  readonly stallMs?: number | undefined;
}

/** The services a pull uses, and what it pulls for. */
export interface Puller {
  transfer: Pick<ServiceClient<typeof Transfer>, "transfer">;
  streaming: Pick<ServiceClient<typeof Streaming>, "stream">;
  platform: Platform;
  snapshotter: string;
  logger: Logger;
}

const PROGRESS_INTERVAL_MS = 500;
const STALL_MS = 10 * 60_000;

/**
 * Pulls an image through containerd's transfer service and unpacks it for this platform.
 * @param name the full reference, also the name of the image's record
 * @throws ImagePullError, ContainerdError when containerd is away, the signal's reason when it was aborted
 */
export async function pullImage(puller: Puller, name: string, options: PullOptions): Promise<void> {
  const pull = new Pull(puller, name, options);
  await pull.run();
}

/** One pull under way: the call and the two streams it talks on. */
class Pull {
  readonly #puller: Puller;
  readonly #name: string;
  readonly #options: PullOptions;
  readonly #stalled = new AbortController();
  readonly #signal: AbortSignal;
  readonly #answeredHosts = new Set<string>();
  readonly #stallMs: number;
  #stallTimer: NodeJS.Timeout | undefined;
  #refusedBy: string | undefined;

  constructor(puller: Puller, name: string, options: PullOptions) {
    this.#puller = puller;
    this.#name = name;
    this.#options = options;
    this.#stallMs = options.stallMs ?? STALL_MS;
    this.#signal = AbortSignal.any([this.#stalled.signal, ...(options.signal ? [options.signal] : [])]);
  }

  async run(): Promise<void> {
    const { transfer, platform, snapshotter } = this.#puller;
    const streams: NamedStream[] = [];
    const open = async (purpose: string): Promise<NamedStream> => {
      const stream = await openStream(this.#puller.streaming, purpose, this.#signal);
      streams.push(stream);
      return stream;
    };
    this.#alive();
    try {
      const progress = await open("progress");
      const auth = this.#options.credentials === undefined ? undefined : await open("auth");
      void this.#follow(progress);
      if (auth !== undefined && this.#options.credentials) void this.#answer(auth, this.#options.credentials);
      const source = packMessage(OCIRegistrySchema, {
        reference: this.#name,
        resolver: { authStream: auth?.id ?? "", hostDir: this.#options.hostsDir ?? "" },
      });
      const destination = packMessage(ImageStoreSchema, {
        name: this.#name,
        labels: { ...this.#options.labels },
        platforms: [platform],
        unpacks: [{ platform, snapshotter }],
      });
      const call = { timeoutMs: Infinity, signal: this.#signal };
      await transfer.transfer({ source, destination, options: { progressStream: progress.id } }, call);
    } catch (error) {
      throw this.#reason(error);
    } finally {
      clearTimeout(this.#stallTimer);
      for (const stream of streams) stream.cancel();
    }
  }

  #reason(error: unknown): unknown {
    const { signal } = this.#options;
    if (signal?.aborted) return signal.reason;
    if (this.#stalled.signal.aborted) {
      const seconds = Math.round(this.#stallMs / 1000);
      return new ImagePullError("Unreachable", `image "${this.#name}": nothing came for ${seconds} s`);
    }
    if (this.#refusedBy !== undefined) {
      const why = `${this.#refusedBy} refused the credentials of user "${this.#options.credentials?.username ?? ""}"`;
      return new ImagePullError("Unauthorized", `image "${this.#name}": ${why}`, { cause: error });
    }
    return pullError(this.#name, error);
  }

  #alive(): void {
    clearTimeout(this.#stallTimer);
    this.#stallTimer = setTimeout(() => {
      this.#stalled.abort();
    }, this.#stallMs);
  }

  /** Follows the progress until the stream ends, which it also does when the pull is over. */
  async #follow(stream: NamedStream): Promise<void> {
    const sum = new ProgressSum();
    let told = -Infinity;
    try {
      for await (const any of stream.messages) {
        this.#alive();
        const message = unpackMessage(ProgressSchema, any);
        if (message === undefined || !sum.add(message)) continue;
        // The registry gave us something, so whoever asks for credentials from now on does not ask because ours were wrong.
        this.#answeredHosts.clear();
        if (performance.now() - told < PROGRESS_INTERVAL_MS) continue;
        told = performance.now();
        this.#options.onProgress?.(sum.current);
      }
    } catch (error) {
      this.#ended("progress", error);
    }
    if (sum.current.total > 0) this.#options.onProgress?.(sum.current);
  }

  /**
   * Answers containerd's requests for credentials. It asks again, up to five times, when a registry refused the answer:
   * then the stream is dropped, which ends the pull.
   */
  async #answer(stream: NamedStream, { username, password }: RegistryCredentials): Promise<void> {
    try {
      for await (const any of stream.messages) {
        const host = unpackMessage(AuthRequestSchema, any)?.host ?? "";
        if (this.#answeredHosts.has(host)) {
          this.#refusedBy = host;
          stream.cancel();
          return;
        }
        this.#answeredHosts.add(host);
        await stream.send(AuthResponseSchema, { authType: AuthType.CREDENTIALS, username, secret: password });
      }
    } catch (error) {
      this.#ended("auth", error);
    }
  }

  /** The streams are dropped when the pull is over; a stream that broke before is of interest only when the pull fails too. */
  #ended(stream: string, error: unknown): void {
    if (isCancelled(error)) return;
    this.#puller.logger.debug({ err: error, image: this.#name, stream }, "a stream of the pull broke");
  }
}
