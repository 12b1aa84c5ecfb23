/** Objects of one kind as a watch tells of them, for who waits until one is as wished. */
import { pino } from "pino";
import { type KubeApi, type KubeObject, ListWatch } from "../../src/kube/index.ts";

/** More than a start takes on the busiest machine. */
const TIMEOUT_MS = 180_000;

/** A collection that is followed. */
export class Watched<T extends KubeObject> {
  readonly #objects: ListWatch<T>;
  readonly #listeners = new Map<string, Set<() => void>>();

  constructor(api: KubeApi, path: string) {
    this.#objects = new ListWatch<T>({
      api,
      path,
      onChange: (key) => {
        for (const listener of this.#listeners.get(key) ?? []) listener();
      },
      logger: pino({ level: "silent" }),
    });
    this.#objects.start();
  }

  get(key: string): T | undefined {
    return this.#objects.get(key);
  }

  /**
   * Waits until an object is as wished; undefined stands for one that is not there.
   * @throws Error that says how it was instead
   */
  async until(key: string, what: string, wished: (object: T | undefined) => boolean): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<undefined>();
    const look = (): void => {
      if (wished(this.get(key))) resolve(undefined);
    };
    const listeners = this.#listeners.get(key) ?? new Set();
    this.#listeners.set(key, listeners.add(look));
    const timer = setTimeout(() => {
      reject(new Error(`${key} was not ${what} within ${TIMEOUT_MS} ms; it is ${JSON.stringify(this.get(key))}`));
    }, TIMEOUT_MS);
    try {
      look();
      await promise;
    } finally {
      clearTimeout(timer);
      listeners.delete(look);
      if (listeners.size === 0) this.#listeners.delete(key);
    }
  }

  async close(): Promise<void> {
    await this.#objects.stop();
  }
}
