import type { IncomingMessage } from "node:http";
import { text } from "node:stream/consumers";
import type { KubeConfig } from "@kubernetes/client-node";
import { loadKubeConfig, namespaceOf } from "./config.ts";
import { ApiError, ApiUnavailable, errorOfStatus, isGone, type Status } from "./errors.ts";
import { jsonLines } from "./json-lines.ts";
import { resourceOf } from "./paths.ts";
import { Transport, unavailable, type Outgoing } from "./transport.ts";

/** Objects a list asks for at once, as kubectl does. */
const PAGE = 500;
const DEFAULT_TIMEOUT_MS = 30_000;

/** Parameters of a request's URL; undefined ones are left out. */
export type Query = Record<string, string | number | boolean | undefined>;

export type RequestOptions = {
  query?: Query;
  /** Deadline of the whole request, milliseconds (30 s); of a watch: until it is accepted. */
  timeoutMs?: number;
  /** Ends the request; it then throws the signal's reason. */
  signal?: AbortSignal | undefined;
};

/** What must be so of an object that is to be deleted. */
export type Preconditions = { uid?: string; resourceVersion?: string };

/** What a watch tells: a change, a bookmark (only its resourceVersion counts), or an error whose object is a Status. */
export type WatchEvent<T> =
  { type: "ADDED" | "MODIFIED" | "DELETED" | "BOOKMARK"; object: T } | { type: "ERROR"; object: Status };

/** All objects of a list, and the version a watch goes on from. */
export type ObjectList<T> = { items: T[]; resourceVersion: string };

/** A request's verb, as the API server itself counts them. */
export type Verb = "GET" | "LIST" | "WATCH" | "POST" | "PATCH" | "DELETE";

/** How a watch ended: the server closed it, told of an error in it, or the connection broke or fell silent. */
export type WatchEnd = "closed" | "error" | "broken";

/** Is told of requests. What it does must be quick, and throws nothing. */
export type RequestObserver = {
  /**
   * A request is over, a watch is accepted or not; what the caller itself ended is not told of.
   * @param resource with its subresource: `containers/status`
   * @param code HTTP's, of the answer; undefined when none came, or not all of it
   */
  onRequest(verb: Verb, resource: string, code: number | undefined, seconds: number): void;
  /** A watch that was accepted has ended, other than by its caller. */
  onWatchEnd(resource: string, how: WatchEnd): void;
};

type ListPage<T> = { items?: T[] | null; metadata: { resourceVersion?: string; continue?: string } };
type Body = { body: object; contentType: string };

/**
 * The Kubernetes API, as much as an agent needs: JSON over kept-alive connections, each request with a deadline.
 * Every method throws {@link ApiError} when the server says no and {@link ApiUnavailable} when it says nothing.
 */
export class KubeApi {
  readonly #transport: Transport;
  readonly #observer: RequestObserver | undefined;
  /** The namespace of the credentials: the kubeconfig context's, or the pod's, else `berth-system`. */
  readonly namespace: string;

  constructor(config: KubeConfig, observer?: RequestObserver) {
    this.#transport = new Transport(config);
    this.#observer = observer;
    this.namespace = namespaceOf(config);
  }

  /**
   * An API with the credentials of a kubeconfig file, else of the pod's ServiceAccount, else of kubectl's default file;
   * these lie below `root`, if that is given.
   * @throws Error when there are none or they can't be read.
   */
  static load(options: { kubeconfig?: string | undefined; root?: string; observer?: RequestObserver } = {}): KubeApi {
    return new KubeApi(loadKubeConfig(options.kubeconfig, options.root), options.observer);
  }

  /** The server's address, for messages. */
  get server(): string {
    return this.#transport.server;
  }

  get<T>(path: string, options?: RequestOptions): Promise<T> {
    return this.#json<T>("GET", path, options);
  }

  create<T>(path: string, object: object, options?: RequestOptions): Promise<T> {
    return this.#json<T>("POST", path, options, { body: object, contentType: "application/json" });
  }

  /** Applies a JSON merge patch (RFC 7386). A `metadata.resourceVersion` in it makes a concurrent write a Conflict. */
  mergePatch<T>(path: string, patch: object, options?: RequestOptions): Promise<T> {
    return this.#json<T>("PATCH", path, options, { body: patch, contentType: "application/merge-patch+json" });
  }

  /** Deletes an object; with preconditions, only that incarnation or version of it (Conflict otherwise). */
  delete<T>(path: string, options?: RequestOptions & { preconditions?: Preconditions }): Promise<T> {
    const body = options?.preconditions === undefined ? {} : { preconditions: options.preconditions };
    return this.#json<T>("DELETE", path, options, {
      body: { apiVersion: "v1", kind: "DeleteOptions", ...body },
      contentType: "application/json",
    });
  }

  /**
   * All objects of a collection, as the server has them now (not from a cache that may lag), in pages. When the server
   * forgets the snapshot between two pages, all is asked for once more in one piece.
   */
  async list<T>(path: string, options: RequestOptions = {}): Promise<ObjectList<T>> {
    const items: T[] = [];
    let token: string | undefined;
    try {
      for (;;) {
        const query: Query = { ...options.query, limit: PAGE, continue: token };
        const page = await this.#json<ListPage<T>>("LIST", path, { ...options, query });
        for (const item of page.items ?? []) items.push(item);
        token = page.metadata.continue;
        if (token === undefined || token === "") return { items, resourceVersion: page.metadata.resourceVersion ?? "" };
      }
    } catch (error) {
      if (!isGone(error) || token === undefined) throw error;
      const whole = await this.#json<ListPage<T>>("LIST", path, options);
      return { items: whole.items ?? [], resourceVersion: whole.metadata.resourceVersion ?? "" };
    }
  }

  /** The version that a list of a collection would have now, for the price of one object. */
  async version(path: string, options: RequestOptions = {}): Promise<string> {
    const query: Query = { ...options.query, limit: 1 };
    const { metadata } = await this.#json<ListPage<unknown>>("LIST", path, { ...options, query });
    return metadata.resourceVersion ?? "";
  }

  /**
   * Opens a watch: resolves when the server has accepted it; the events then come until the server ends the watch.
   * What ends it otherwise is thrown from the iteration; ERROR events are handed on as they are.
   */
  async watch<T>(path: string, options: RequestOptions = {}): Promise<AsyncIterable<WatchEvent<T>>> {
    const query: Query = { ...options.query, watch: true };
    const limit = deadline(options, `GET ${path}: the watch was not accepted`);
    const outgoing: Outgoing = { method: "GET", path: path + queryString(query), signal: limit.signal };
    const over = this.#begin("WATCH", path, options);
    try {
      const response = await this.#transport.send(outgoing);
      if (!isOk(response)) throw await this.#errorOf(response, outgoing);
      over(response.statusCode);
      // Only the way to the answer has the deadline; the stream still ends with the caller's signal.
      limit.lift();
      return events<T>(response, outgoing, limit.end, (how) => this.#observer?.onWatchEnd(resourceOf(path), how));
    } catch (error) {
      over(codeOf(error));
      limit.end();
      throw error instanceof ApiError ? error : unavailable(outgoing, error);
    }
  }

  /** Closes all connections; requests under way fail. */
  close(): void {
    this.#transport.close();
  }

  async #json<T>(verb: Verb, path: string, options: RequestOptions = {}, body?: Body): Promise<T> {
    const method = verb === "LIST" ? "GET" : verb;
    const limit = deadline(options, `${method} ${path}: no answer`);
    const outgoing: Outgoing = { method, path: path + queryString(options.query), signal: limit.signal };
    if (body !== undefined) Object.assign(outgoing, { body: JSON.stringify(body.body), contentType: body.contentType });
    const over = this.#begin(verb, path, options);
    try {
      const response = await this.#transport.send(outgoing);
      if (!isOk(response)) throw await this.#errorOf(response, outgoing);
      const answer = JSON.parse(await text(response)) as T;
      over(response.statusCode);
      return answer;
    } catch (error) {
      over(codeOf(error));
      throw error instanceof ApiError ? error : unavailable(outgoing, error);
    } finally {
      limit.end();
    }
  }

  /** Answers what to call once the request is over. */
  #begin(verb: Verb, path: string, { signal }: RequestOptions): (code: number | undefined) => void {
    const begun = performance.now();
    return (code) => {
      if (signal?.aborted === true) return;
      this.#observer?.onRequest(verb, resourceOf(path), code, (performance.now() - begun) / 1000);
    };
  }

  async #errorOf(response: IncomingMessage, outgoing: Outgoing): Promise<ApiError> {
    const body = await text(response);
    const code = response.statusCode ?? 0;
    const retryAfter = Number(response.headers["retry-after"]);
    const retryAfterMs = Number.isFinite(retryAfter) ? retryAfter * 1000 : undefined;
    const message = `${outgoing.method} ${outgoing.path}: ${code} ${response.statusMessage ?? ""} ${body.slice(0, 200)}`;
    return errorOfStatus(parseStatus(body) ?? {}, { code, message: message.trim() }, retryAfterMs);
  }
}

async function* events<T>(
  response: IncomingMessage,
  outgoing: Outgoing,
  end: () => void,
  onEnd: (how: WatchEnd) => void,
): AsyncGenerator<WatchEvent<T>, void> {
  response.setEncoding("utf8");
  try {
    for await (const line of jsonLines(response as AsyncIterable<string>)) {
      if (!isWatchEvent<T>(line)) throw new SyntaxError(`no watch event: ${JSON.stringify(line).slice(0, 200)}`);
      // Who reads it reads no further.
      if (line.type === "ERROR") onEnd("error");
      yield line;
    }
    onEnd("closed");
  } catch (error) {
    const reason = unavailable(outgoing, error);
    if (reason instanceof ApiUnavailable) onEnd("broken");
    throw reason;
  } finally {
    response.destroy();
    end();
  }
}

const EVENT_TYPES: readonly unknown[] = ["ADDED", "MODIFIED", "DELETED", "BOOKMARK"];

/** Whether a line that came is what the API says it is, as far as its readers build on it. */
function isWatchEvent<T>(line: unknown): line is WatchEvent<T> {
  if (typeof line !== "object" || line === null) return false;
  const { type, object } = line as { type?: unknown; object?: { metadata?: { resourceVersion?: unknown } } | null };
  if (typeof object !== "object" || object === null) return false;
  return type === "ERROR" || (EVENT_TYPES.includes(type) && typeof object.metadata?.resourceVersion === "string");
}

function codeOf(error: unknown): number | undefined {
  return error instanceof ApiError ? error.code : undefined;
}

function isOk(response: IncomingMessage): boolean {
  return response.statusCode !== undefined && response.statusCode >= 200 && response.statusCode < 300;
}

function parseStatus(body: string): Status | undefined {
  try {
    const parsed = JSON.parse(body) as Status | null;
    return parsed?.kind === "Status" ? parsed : undefined;
  } catch {
    return undefined; // A proxy's words, not the API server's.
  }
}

function queryString(query: Query = {}): string {
  const parameters = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) if (value !== undefined) parameters.set(name, String(value));
  return parameters.size === 0 ? "" : `?${parameters.toString()}`;
}

/** The caller's signal and a deadline in one; `lift` drops the deadline, `end` both. */
function deadline(options: RequestOptions, message: string) {
  const { signal, timeoutMs = DEFAULT_TIMEOUT_MS } = options;
  const controller = new AbortController();
  let late: NodeJS.Immediate | undefined;
  const timer = setTimeout(() => {
    // After what has come is read: it may be this process that was not there for so long.
    late = setImmediate(() => {
      controller.abort(new ApiUnavailable(`${message} within ${timeoutMs / 1000} s`));
    });
  }, timeoutMs);
  const onAbort = () => {
    controller.abort(signal?.reason);
  };
  signal?.addEventListener("abort", onAbort, { once: true });
  if (signal?.aborted === true) onAbort();
  const lift = () => {
    clearTimeout(timer);
    clearImmediate(late);
  };
  const end = () => {
    lift();
    signal?.removeEventListener("abort", onAbort);
  };
  return { signal: controller.signal, lift, end };
}
