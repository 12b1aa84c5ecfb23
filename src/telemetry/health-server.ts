import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import type { Logger } from "pino";

export type HealthServerOptions = {
  /** `host:port`, `[::1]:port` or `:port`; "" and "0" turn the server off. */
  address: string;
  /** Checks that must have been set and be ok before the process is ready. */
  checks: string[];
  /** What `/metrics` answers, in Prometheus' text format. */
  metrics: () => Promise<string>;
  logger: Logger;
  now?: () => Date;
};

type Check = { ok: boolean; detail: string; since: Date };

/**
 * `/healthz`: 200 as long as the process answers at all. `/readyz`: 200 when all checks are ok, else 503; a line a check
 * says why (`apiserver: connect ECONNREFUSED since 2024-05-01T10:00:00.000Z`). `/metrics`: for Prometheus.
 */
export class HealthServer {
  readonly #options: HealthServerOptions;
  readonly #now: () => Date;
  readonly #checks = new Map<string, Check>();
  readonly #warnings = new Map<string, string>();
  #server: Server | undefined;

  constructor(options: HealthServerOptions) {
    this.#options = options;
    this.#now = options.now ?? (() => new Date());
    for (const name of options.checks) this.set(name, false, "not known yet");
  }

  /** Where it listens, undefined when it does not. */
  get address(): AddressInfo | undefined {
    const address = this.#server?.address();
    return typeof address === "object" && address !== null ? address : undefined;
  }

  /** All checks are ok. */
  get ready(): boolean {
    return [...this.#checks.values()].every((check) => check.ok);
  }

  /** Each check, and whether it is ok. */
  states(): (readonly [name: string, ok: boolean])[] {
    return [...this.#checks].map(([name, { ok }]) => [name, ok] as const);
  }

  /** Sets a check's state; `detail` says why it is not ok. */
  set(name: string, ok: boolean, detail = "not ok"): void {
    const before = this.#checks.get(name);
    const since = before?.ok === ok ? before.since : this.#now();
    this.#checks.set(name, { ok, detail, since });
  }

  /** Adds a line that does not make the process unready, or takes it away. */
  warn(name: string, text: string | undefined): void {
    if (text === undefined) this.#warnings.delete(name);
    else this.#warnings.set(name, text);
  }

  /** @throws Error when the address is no address or can't be had. */
  async start(): Promise<void> {
    const { address, logger } = this.#options;
    if (address === "" || address === "0") return;
    const { host, port } = parseAddress(address);
    const server = createServer((request, response) => {
      void this.#answer(request, response);
    });
    const listening = Promise.withResolvers<undefined>();
    server.once("error", (error) => {
      listening.reject(new Error(`metrics address ${address}: ${error.message}`, { cause: error }));
    });
    server.listen({ port, ...(host === "" ? {} : { host }) }, () => {
      listening.resolve(undefined);
    });
    await listening.promise;
    this.#server = server;
    logger.info({ address: this.address }, "serving /metrics, /healthz and /readyz");
  }

  async close(): Promise<void> {
    const server = this.#server;
    if (server === undefined) return;
    this.#server = undefined;
    const closed = new Promise((resolve) => server.close(resolve));
    server.closeAllConnections();
    await closed;
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const path = (request.url ?? "/").split("?")[0];
    if (request.method !== "GET" && request.method !== "HEAD") send(response, 405, "method not allowed");
    else if (path === "/healthz") send(response, 200, "ok");
    else if (path === "/readyz") send(response, this.ready ? 200 : 503, this.#report());
    else if (path === "/metrics") await this.#metrics(response);
    else send(response, 404, "not found; there are /metrics, /healthz and /readyz");
  }

  async #metrics(response: ServerResponse): Promise<void> {
    try {
      const text = await this.#options.metrics();
      response.writeHead(200, { "Content-Type": "text/plain; version=0.0.4; charset=utf-8" }).end(text);
    } catch (error) {
      this.#options.logger.error({ err: error }, "the metrics can't be told");
      send(response, 500, String(error));
    }
  }

  #report(): string {
    const lines = [...this.#checks].map(([name, { ok, detail, since }]) =>
      ok ? `${name}: ok` : `${name}: ${detail.replaceAll("\n", " ")} since ${since.toISOString()}`,
    );
    for (const [name, text] of this.#warnings) lines.push(`${name}: ${text.replaceAll("\n", " ")}`);
    return lines.length === 0 ? "ok" : lines.join("\n");
  }
}

function send(response: ServerResponse, code: number, text: string): void {
  response
    .writeHead(code, { "Content-Type": "text/plain; charset=utf-8", "Cache-Control": "no-store" })
    .end(text + "\n");
}

function parseAddress(address: string): { host: string; port: number } {
  const match = /^(?:\[([^\]]*)\]|([^:]*)):(\d{1,5})$/.exec(address);
  const port = Number(match?.[3]);
  if (match === null || port > 65535) throw new Error(`metrics address ${address}: not of the form host:port`);
  return { host: match[1] ?? match[2] ?? "", port };
}
