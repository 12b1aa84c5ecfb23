import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { KubeConfig } from "@kubernetes/client-node";
import { pino } from "pino";
import { KubeApi, type RequestObserver } from "./api.ts";
import type { KubeObject } from "./object.ts";

/** A log nobody reads. */
export const silent = pino({ level: "silent" });

export type Handler = (request: IncomingMessage, response: ServerResponse, url: URL, body: string) => void;

/** An HTTP server that answers as a test wants: for the faults that a real API server does not commit on demand. */
export class FakeServer {
  readonly requests: string[] = [];
  readonly #server: Server;
  #handler: Handler;

  private constructor(handler: Handler) {
    this.#handler = handler;
    this.#server = createServer((request, response) => {
      this.requests.push(`${request.method ?? ""} ${request.url ?? ""}`);
      let body = "";
      request.setEncoding("utf8");
      request.on("data", (chunk: string) => (body += chunk));
      request.on("end", () => {
        this.#handler(request, response, new URL(request.url ?? "/", "http://127.0.0.1"), body);
      });
    });
  }

  static async start(handler: Handler, port = 0): Promise<FakeServer> {
    const fake = new FakeServer(handler);
    await new Promise<void>((resolve) => fake.#server.listen(port, "127.0.0.1", resolve));
    return fake;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  set handler(handler: Handler) {
    this.#handler = handler;
  }

  /** Requests since the last call. */
  takeRequests(): string[] {
    return this.requests.splice(0);
  }

  api(observer?: RequestObserver): KubeApi {
    return apiOn(`http://127.0.0.1:${this.port}`, observer);
  }

  async close(): Promise<void> {
    const closed = new Promise((resolve) => this.#server.close(resolve));
    this.#server.closeAllConnections();
    await closed;
  }
}

export function apiOn(server: string, observer?: RequestObserver): KubeApi {
  const config = new KubeConfig();
  config.loadFromClusterAndUser({ name: "c", server, skipTLSVerify: true }, { name: "u", token: "t" });
  return new KubeApi(config, observer);
}

export function object(name: string, resourceVersion: number, rest: object = {}): KubeObject {
  return { metadata: { name, namespace: "ns", uid: `uid-${name}`, resourceVersion: String(resourceVersion) }, ...rest };
}

export function line(type: string, of: object): string {
  return JSON.stringify({ type, object: of }) + "\n";
}

export function json(response: ServerResponse, code: number, body: object): void {
  response.writeHead(code, { "Content-Type": "application/json" }).end(JSON.stringify(body));
}

export function status(code: number, reason: string, message = reason): object {
  return { kind: "Status", apiVersion: "v1", status: "Failure", code, reason, message };
}

export function listOf(resourceVersion: number, ...items: KubeObject[]): object {
  return { metadata: { resourceVersion: String(resourceVersion) }, items };
}

/** Resolves once the condition holds; the test's own timeout ends the wait. */
export async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 5));
}
