/** An API server that one agent can't reach, and a count of what it asks for when it can: for its `--kubeconfig`. */
import { join } from "node:path";
import type { Container } from "../../src/api/index.ts";
import { Proxy } from "./proxy.ts";
import { RequestLog } from "./request-log.ts";
import type { TestNode } from "./test-node.ts";

/** The way from an agent to the API server. */
export class ServerAway {
  /** The agent's credentials for this way. */
  readonly kubeconfig: string;
  readonly #proxy: Proxy;
  readonly #log: RequestLog;
  #gone = 0;

  private constructor(kubeconfig: string, proxy: Proxy, log: RequestLog) {
    this.kubeconfig = kubeconfig;
    this.#proxy = proxy;
    this.#log = log;
  }

  /** Opens a way for a node's agent, which has yet to be started on it. */
  static async open({ node }: TestNode): Promise<ServerAway> {
    const [through, kubeconfig] = [join(node.dir, "away.kubeconfig"), join(node.dir, "logged.kubeconfig")];
    const proxy = await Proxy.inFrontOf(node.agentFlags()["kubeconfig"] ?? "", through);
    return new ServerAway(kubeconfig, proxy, await RequestLog.open({ from: through, to: kubeconfig }));
  }

  /** The server is gone, until {@link comeBack}. */
  goAway(): void {
    this.#gone = this.#log.requests.length;
    this.#proxy.cut();
  }

  /** The server is there again. */
  comeBack(): void {
    this.#log.peakWrites = 0;
    this.#proxy.resume();
  }

  /** What the server was asked to write about a Container since it came back, or when it did, as `METHOD path`. */
  writes({ metadata }: Container): string[] {
    return this.#log.requests
      .slice(this.#gone)
      .filter(({ failed }) => failed !== true)
      .filter(({ method, path }) => method !== "GET" && path.includes(`/containers/${metadata.name}`))
      .map(({ method, path }) => `${method} ${path}`);
  }

  /** The most writes of any kind that were under way at once since it came back. */
  get peakWrites(): number {
    return this.#log.peakWrites;
  }

  /** Ends everything. */
  async close(): Promise<void> {
    await this.#log.close();
    await this.#proxy.close();
  }
}
