/** A connection that a test can cut or let die in silence: a TCP proxy in front of the API server. */
import { readFileSync, writeFileSync } from "node:fs";
import { connect, createServer, type AddressInfo, type Server, type Socket } from "node:net";

/** A part of a kubeconfig file. */
interface Kubeconfig {
  clusters: { cluster: { server: string } }[];
}

/** Forwards connections on loopback to a server there. */
export class Proxy {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  #frozen = false;
  #cut = false;

  private constructor(target: number) {
    this.#server = createServer((inside) => {
      if (this.#cut) {
        inside.destroy();
        return;
      }
      this.#join(inside, connect(target, "127.0.0.1"));
    });
  }

  /** A proxy in front of the server of a kubeconfig file, and the file of those who go through it. */
  static async inFrontOf(kubeconfig: string, through: string): Promise<Proxy> {
    const config = JSON.parse(readFileSync(kubeconfig, "utf8")) as Kubeconfig;
    const [first] = config.clusters;
    if (first === undefined) throw new Error(`${kubeconfig} names no cluster`);
    const proxy = new Proxy(Number(new URL(first.cluster.server).port));
    const listening = Promise.withResolvers<undefined>();
    proxy.#server.listen(0, "127.0.0.1", () => {
      listening.resolve(undefined);
    });
    await listening.promise;
    first.cluster.server = `https://127.0.0.1:${(proxy.#server.address() as AddressInfo).port}`;
    writeFileSync(through, JSON.stringify(config), { mode: 0o600 });
    return proxy;
  }

  /** Ends all connections, and each new one at once, until {@link resume}. */
  cut(): void {
    this.#cut = true;
    this.#destroyAll();
  }

  /** From now on no byte passes on the connections there are, and neither side is told; new ones work. */
  freeze(): void {
    for (const socket of this.#sockets) socket.removeAllListeners("data").pause();
  }

  /** No byte passes on any connection, new ones included, until {@link resume}: a network that lost its way. */
  freezeAll(): void {
    this.#frozen = true;
    this.freeze();
  }

  /** New connections work again; those that were frozen stay so. */
  resume(): void {
    this.#cut = false;
    this.#frozen = false;
  }

  /** Ends everything. */
  async close(): Promise<void> {
    const closed = new Promise((resolve) => this.#server.close(resolve));
    this.#destroyAll();
    await closed;
  }

  #destroyAll(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  #join(inside: Socket, outside: Socket): void {
    for (const [from, to] of [[inside, outside] as const, [outside, inside] as const]) {
      this.#sockets.add(from);
      from.on("error", () => undefined);
      from.once("close", () => {
        this.#sockets.delete(from);
        to.destroy();
      });
      if (this.#frozen) from.pause();
      else from.on("data", (bytes) => to.write(bytes));
    }
  }
}
