import { readFile } from "node:fs/promises";
import http from "node:http";
import https from "node:https";
import type { KubeConfig } from "@kubernetes/client-node";
import { ApiUnavailable } from "./errors.ts";

/** A connection nobody uses is closed after this, before API servers do it (90 s), which spares requests sent into the close. */
const IDLE_CONNECTION_MS = 75_000;
/** TCP asks a silent peer for a sign of life after this. */
const TCP_KEEP_ALIVE_MS = 30_000;

/** One request on its way to the API server. */
export type Outgoing = {
  method: string;
  /** Path with query, below the server's own path. */
  path: string;
  contentType?: string;
  body?: string;
  signal: AbortSignal;
};

type Sent = { response: http.IncomingMessage } | { error: Error; stale: boolean };

/** Connections to the API server, kept alive between requests, with the credentials of a kubeconfig. */
export class Transport {
  readonly #config: KubeConfig;
  readonly #server: URL;
  readonly #agent: http.Agent;
  #closed = false;

  /** @throws Error when the kubeconfig's server is no http(s) URL. */
  constructor(config: KubeConfig) {
    this.#config = config;
    this.#server = new URL(config.getCurrentCluster()?.server ?? "");
    const options = { keepAlive: true, keepAliveMsecs: TCP_KEEP_ALIVE_MS, timeout: IDLE_CONNECTION_MS };
    this.#agent = this.#server.protocol === "http:" ? new http.Agent(options) : new https.Agent(options);
  }

  /** The server's address, for messages. */
  get server(): string {
    return this.#server.origin;
  }

  /**
   * Sends a request; the answer's body is still to be read, and ends with the signal.
   * @throws ApiUnavailable when there are no credentials or no answer.
   */
  async send(outgoing: Outgoing): Promise<http.IncomingMessage> {
    const { signal } = outgoing;
    if (this.#closed) throw unavailable(outgoing, "the connections were closed");
    // Idle connections lead the way of the one that has fallen silent: each would cost another request its deadline.
    const onAbort = (): void => {
      if (signal.reason instanceof ApiUnavailable) this.#closeIdle();
    };
    signal.addEventListener("abort", onAbort, { once: true });
    const options = await this.#options(outgoing);
    let sent = await this.#once(options, outgoing);
    if ("error" in sent && sent.stale) {
      this.#closeIdle();
      // The server closed the idle connection in the very moment we used it: it has not seen the request. (A POST might
      // be done twice if it has after all, so the caller decides.)
      if (outgoing.method !== "POST") sent = await this.#once(options, outgoing);
    }
    if ("response" in sent) return sent.response;
    throw unavailable(outgoing, sent.error);
  }

  /** Closes all connections, those in use too; nothing is sent any more. */
  close(): void {
    this.#closed = true;
    this.#agent.destroy();
  }

  #closeIdle(): void {
    for (const sockets of Object.values(this.#agent.freeSockets)) for (const socket of sockets ?? []) socket.destroy();
  }

  async #options(outgoing: Outgoing): Promise<https.RequestOptions> {
    const options: https.RequestOptions = { headers: {} };
    try {
      // Reads certificates and rotated token files again, or runs a program for them, which may hang.
      await orAborted(this.#config.applyToHTTPSOptions(options), outgoing.signal);
      await this.#applyTokenFile(options);
    } catch (error) {
      outgoing.signal.throwIfAborted();
      throw new ApiUnavailable(`credentials for ${this.server}: ${describe(error)}`, codeOf(error));
    }
    const headers = { ...(options.headers as http.OutgoingHttpHeaders) };
    const authorization = headers["Authorization"];
    // A token file that was written by hand ends with a newline, which no header may hold.
    if (typeof authorization === "string") headers["Authorization"] = authorization.trim();
    headers["Accept"] = "application/json";
    headers["User-Agent"] = "berth";
    if (outgoing.body !== undefined) {
      headers["Content-Type"] = outgoing.contentType ?? "application/json";
      headers["Content-Length"] = Buffer.byteLength(outgoing.body);
    }
    // client-node's agents open a connection a request; one through a proxy it alone can make.
    const proxied = this.#config.getCurrentCluster()?.proxyUrl !== undefined;
    return {
      ...options,
      ...(proxied ? {} : { agent: this.#agent }),
      method: outgoing.method,
      headers,
    };
  }

  /** client-node reads a token again when the clock says that a minute is over, which it may not say for hours. */
  async #applyTokenFile(options: https.RequestOptions): Promise<void> {
    const provider = this.#config.getCurrentUser()?.authProvider as { config?: { tokenFile?: string } } | undefined;
    const tokenFile = provider?.config?.tokenFile;
    if (tokenFile === undefined) return;
    const headers = options.headers as http.OutgoingHttpHeaders;
    headers["Authorization"] = `Bearer ${await readFile(tokenFile, "utf8")}`;
  }

  #once(options: https.RequestOptions, outgoing: Outgoing): Promise<Sent> {
    const url = new URL(this.#server.href.replace(/\/$/, "") + outgoing.path);
    return new Promise((resolve) => {
      const request = (url.protocol === "http:" ? http : https).request(url, options, (response) => {
        resolve({ response });
      });
      request.on("error", (error: NodeJS.ErrnoException) => {
        const reset = error.code === "ECONNRESET" || error.code === "EPIPE";
        resolve({ error, stale: request.reusedSocket && reset && !outgoing.signal.aborted });
      });
      // Not by the request's own option `signal`: that destroys the socket with an error, of which nobody may be told any
      // more when the answer is complete but unread, and the process would end by it.
      const onAbort = (): void => {
        request.destroy();
      };
      outgoing.signal.addEventListener("abort", onAbort, { once: true });
      request.once("close", () => {
        outgoing.signal.removeEventListener("abort", onAbort);
      });
      if (outgoing.signal.aborted) onAbort();
      request.end(outgoing.body);
    });
  }
}

/** The error of a request that got no (whole) answer; an abort by the caller stays what it is. */
export function unavailable(outgoing: Outgoing, error: unknown): Error {
  if (outgoing.signal.aborted) {
    const reason: unknown = outgoing.signal.reason;
    if (reason instanceof Error) return reason;
  }
  if (error instanceof ApiUnavailable) return error;
  return new ApiUnavailable(`${outgoing.method} ${outgoing.path}: ${describe(error)}`, codeOf(error));
}

/** What comes of a promise, unless the signal is aborted first: then its reason is thrown. */
async function orAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  const aborted = Promise.withResolvers<never>();
  const onAbort = (): void => {
    aborted.reject(signal.reason as Error);
  };
  signal.addEventListener("abort", onAbort, { once: true });
  if (signal.aborted) onAbort();
  try {
    return await Promise.race([promise, aborted.promise]);
  } finally {
    signal.removeEventListener("abort", onAbort);
  }
}

function codeOf(error: unknown): string | undefined {
  const code = typeof error === "object" && error !== null && "code" in error ? error.code : undefined;
  return typeof code === "string" ? code : undefined;
}

function describe(error: unknown): string {
  // What Node throws after trying the IPv4 and the IPv6 address of a name has no message of its own.
  if (error instanceof AggregateError && error.message === "") return error.errors.map(describe).join("; ");
  return error instanceof Error ? error.message : String(error);
}
