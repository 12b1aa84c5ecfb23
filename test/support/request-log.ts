/** A door to the API server for one client, which writes down what goes through it. */
import { once } from "node:events";
import { readFileSync, writeFileSync } from "node:fs";
import http from "node:http";
import https from "node:https";
import { join } from "node:path";
import { pipeline } from "node:stream";
import type { LocalNode } from "../../hack/cluster/local-node.ts";

/** A request as the API server gets it. */
export interface LoggedRequest {
  readonly method: string;
  /** With its query. */
  readonly path: string;
  /** It never came to the server, or its answer not back. */
  failed?: true;
}

type Cluster = { server: string; "certificate-authority-data"?: string; "insecure-skip-tls-verify"?: boolean };
type Kubeconfig = { clusters: { cluster: Cluster }[] };

/** All requests of those who use its kubeconfig, in order. */
export class RequestLog {
  /** The requests so far. */
  readonly requests: LoggedRequest[] = [];
  /** The most writes that were under way at once. */
  peakWrites = 0;
  /** A request goes on when this is through. */
  hold: ((request: LoggedRequest) => Promise<void>) | undefined;
  readonly #writes = new Set<http.IncomingMessage>();
  readonly #server: http.Server;
  readonly #listeners = new Set<() => void>();

  private constructor(upstream: string, ca: Buffer) {
    const agent = new https.Agent({ ca, keepAlive: true });
    this.#server = http.createServer((request, response) => {
      const { method = "", url = "", headers } = request;
      const logged: LoggedRequest = { method, path: url };
      this.requests.push(logged);
      if (method !== "GET") this.peakWrites = Math.max(this.peakWrites, this.#writes.add(request).size);
      const onwards = https.request(new URL(url, upstream), { method, headers, agent }, (answer) => {
        response.writeHead(answer.statusCode ?? 502, answer.headers);
        // A watch's head must not wait for its first event.
        response.flushHeaders();
        // An answer that is cut off on the other side is cut off on this one.
        pipeline(answer, response, () => undefined);
      });
      onwards.on("error", () => {
        logged.failed = true;
        response.destroy();
      });
      response.on("close", () => {
        onwards.destroy();
        this.#writes.delete(request);
      });
      void Promise.resolve(this.hold?.(logged)).then(() => request.pipe(onwards));
      for (const listener of this.#listeners) listener();
    });
    this.#server.on("close", () => {
      agent.destroy();
    });
  }

  /** Opens the door, and writes a kubeconfig that leads through it with the credentials of another one (JSON). */
  static async open(options: { from: string; to: string }): Promise<RequestLog> {
    const kubeconfig = JSON.parse(readFileSync(options.from, "utf8")) as Kubeconfig;
    const cluster = kubeconfig.clusters[0]?.cluster;
    if (cluster === undefined) throw new Error(`${options.from} names no cluster`);
    const log = new RequestLog(cluster.server, Buffer.from(cluster["certificate-authority-data"] ?? "", "base64"));
    log.#server.listen(0, "127.0.0.1");
    await once(log.#server, "listening");
    const address = log.#server.address();
    cluster.server = `http://127.0.0.1:${typeof address === "object" && address !== null ? String(address.port) : ""}`;
    delete cluster["certificate-authority-data"];
    // client-node sends credentials over plain HTTP only then.
    cluster["insecure-skip-tls-verify"] = true;
    writeFileSync(options.to, JSON.stringify(kubeconfig), { mode: 0o600 });
    return log;
  }

  /** Starts a node's agent behind a door of its own, and waits until it is ready. */
  static async withAgent(node: LocalNode): Promise<RequestLog> {
    const kubeconfig = join(node.dir, "logged.kubeconfig");
    const log = await RequestLog.open({ from: node.agentFlags()["kubeconfig"] ?? "", to: kubeconfig });
    node.startAgent({ kubeconfig });
    await node.agentReady();
    return log;
  }

  /** Those requests that are no watch, in order, as `METHOD path`; of a certain path when a part of it is given. */
  calls(part = ""): string[] {
    return this.requests
      .filter(({ path }) => path.includes(part) && !/[?&]watch=true/.test(path))
      .map(({ method, path }) => `${method} ${path}`);
  }

  /** Waits until a certain number of calls has been made. */
  async untilCalls(count: number, method: string, part: string): Promise<void> {
    const made = (): boolean => this.calls(part).filter((call) => call.startsWith(`${method} `)).length >= count;
    if (made()) return;
    await new Promise<void>((resolve) => {
      const listener = (): void => {
        if (!made()) return;
        this.#listeners.delete(listener);
        resolve();
      };
      this.#listeners.add(listener);
    });
  }

  /** Closes the door on whoever is in it. */
  async close(): Promise<void> {
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, "close");
  }
}
