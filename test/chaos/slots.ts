/** The places that Containers come and go in: carries out wishes, and keeps what was wished, for the model. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { pino } from "pino";
import type { Container } from "../../src/api/index.ts";
import {
  containerPath,
  isAlreadyExists,
  isConflict,
  isNotFound,
  isUnavailable,
  type KubeApi,
  ListWatch,
} from "../../src/kube/index.ts";
import { run } from "../../src/node/index.ts";
import type { History } from "./history.ts";
import { order } from "./journal.ts";
import { kindOf, type KindName } from "./kinds.ts";
import type { Wish } from "./plan.ts";

const NAMESPACE = "default";
const AGAIN_MS = 250;
const RESTARTED_AT = "berth.dev/restartedAt";

/** What was wished of one object. */
export interface Wished {
  readonly kind: KindName;
  /** The object's own folder. */
  readonly dir: string;
  /** Tells the object from others of its name. */
  readonly mark: string;
  desired: "Running" | "Stopped" | "Paused";
  restartedAt?: string;
  /** How often its process was asked to end, by whatever wish, and how often by an order of its own. */
  stops: number;
  orders: number;
  /** How often `desiredState` became Running after Stopped: starts that count as no restart. */
  starts: number;
  /** No more wishes than its making. */
  readonly steady: boolean;
}

/** A place for one Container at a time. */
export interface Slot {
  readonly name: string;
  readonly node: number;
  readonly nodeName: string;
  readonly hostPort: number;
  /** The name of the Container that those which need one join or link to. */
  readonly peer: string;
  readonly steady: boolean;
  wished?: Wished;
  /** Objects that are wished no more; their processes must be gone. */
  readonly earlier: Wished[];
}

/** A wish that could not be carried out: what was there before does not go, or the API server does not come back. */
export class StuckWish extends Error {
  override readonly name = "StuckWish";
}

/** What slots need. */
export interface SlotsOptions {
  readonly api: KubeApi;
  readonly image: string;
  /** Where the objects' folders are made. */
  readonly dir: string;
  readonly history: History;
}

/** All slots' Containers, as the API server tells of them and as they were wished. */
export class Slots {
  readonly #options: SlotsOptions;
  readonly #watch: ListWatch<Container>;
  readonly #listeners = new Set<() => void>();
  readonly #told = new Map<string, string>();
  #objects = 0;
  /** Wishes that the API server has taken. */
  wishes = 0;
  /** When to give up on a wish. */
  deadline = Infinity;

  constructor(options: SlotsOptions) {
    this.#options = options;
    this.#watch = new ListWatch<Container>({
      api: options.api,
      path: containerPath(),
      onChange: (key, object) => {
        this.#note(key.slice(NAMESPACE.length + 1), object);
        for (const listener of this.#listeners) listener();
      },
      logger: pino({ level: "silent" }),
      timers: { backoff: { baseMs: 100, maxMs: 1000 } },
    });
    this.#watch.start();
  }

  /** The slot's Container, as the watch told of it last. */
  get({ name }: Pick<Slot, "name">): Container | undefined {
    return this.#watch.get(`${NAMESPACE}/${name}`);
  }

  /** Waits for the next news of any Container, or for a while. */
  async news(timeoutMs: number): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<undefined>();
    const listener = (): void => {
      resolve(undefined);
    };
    this.#listeners.add(listener);
    const timer = setTimeout(listener, timeoutMs);
    await promise;
    clearTimeout(timer);
    this.#listeners.delete(listener);
  }

  /**
   * Carries out a wish; returns when the API server, or the container, has it. One that has lost its object is dropped.
   * @throws StuckWish
   */
  async carryOut(slot: Slot, wish: Wish): Promise<void> {
    const { history } = this.#options;
    history.note(slot.name, `wish: ${JSON.stringify(wish)}`);
    const outcome = await this.#do(slot, wish);
    if (outcome !== undefined) history.note(slot.name, `${wish.verb}: ${outcome}`);
    this.wishes++;
  }

  /** Deletes all there are, and returns when they are gone or the deadline is over. */
  async deleteAll(slots: readonly Slot[], timeoutMs: number): Promise<string[]> {
    await Promise.all(slots.map((slot) => this.#delete(slot)));
    const deadline = Date.now() + timeoutMs;
    const left = (): Slot[] => slots.filter((slot) => this.get(slot) !== undefined);
    while (left().length > 0 && Date.now() < deadline) await this.news(1000);
    return left().map(({ name }) => name);
  }

  /** Ends the watch. */
  async close(): Promise<void> {
    await this.#watch.stop();
  }

  async #do(slot: Slot, wish: Wish): Promise<string | undefined> {
    const { wished } = slot;
    if (wish.verb === "create") return this.#create(slot, wish.kind);
    if (wished === undefined) return "there is none";
    switch (wish.verb) {
      case "delete":
      case "tear":
        return wish.verb === "tear" ? this.#tear(slot) : this.#delete(slot);
      case "order":
        wished.orders++;
        return order(wished.dir, wish.order) ? undefined : "nobody is there to hear it";
      case "desire":
        if (wish.state === "Stopped") wished.stops++;
        if (wished.desired === "Stopped" && wish.state !== "Stopped") wished.starts++;
        wished.desired = wish.state;
        return this.#patch(slot, { spec: { desiredState: wish.state } });
      case "restart":
        wished.stops++;
        wished.restartedAt = wish.value;
        return this.#patch(slot, { metadata: { annotations: { [RESTARTED_AT]: wish.value } } });
      case "edit":
        if (wish.rebuilds) wished.stops++;
        return this.#patch(slot, { spec: wish.change });
    }
  }

  async #create(slot: Slot, kind: KindName): Promise<string | undefined> {
    const { api, image } = this.#options;
    await this.#delete(slot);
    const mark = String(++this.#objects);
    const dir = await this.#folder(mark);
    const setting = { image, dir, hostPort: slot.hostPort, peer: slot.peer };
    const object = {
      apiVersion: "berth.dev/v1alpha1",
      kind: "Container",
      metadata: { name: slot.name, namespace: NAMESPACE, annotations: { "chaos/object": mark } },
      spec: { nodeName: slot.nodeName, ...kindOf(kind).spec(setting) },
    };
    const { steady } = slot;
    slot.wished = { kind, dir, mark, desired: "Running", stops: 0, orders: 0, starts: 0, steady };
    for (;;) {
      try {
        await this.#persist(() => api.create(containerPath(NAMESPACE), object));
        return undefined;
      } catch (error) {
        if (!isAlreadyExists(error)) throw error;
        const there = await this.#persist(() => api.get<Container>(containerPath(NAMESPACE, slot.name))).catch(ignore);
        // The answer to an earlier try may have been lost.
        if (there?.metadata.annotations?.["chaos/object"] === mark) return undefined;
        // The last one is on its way out, which its node's agent has to allow.
        this.#keepOn("what was there before does not go");
        await this.news(1000);
      }
    }
  }

  async #folder(mark: string): Promise<string> {
    const dir = join(this.#options.dir, mark);
    mkdirSync(dir, { recursive: true });
    writeFileSync(join(dir, "journal"), "");
    await run("mkfifo", [join(dir, "control")]);
    return dir;
  }

  async #patch({ name }: Slot, patch: object): Promise<string | undefined> {
    const { api } = this.#options;
    try {
      await this.#persist(() => api.mergePatch<Container>(containerPath(NAMESPACE, name), patch));
      return undefined;
    } catch (error) {
      if (isNotFound(error)) return "it is gone";
      throw error;
    }
  }

  async #delete(slot: Slot): Promise<string | undefined> {
    const { api } = this.#options;
    if (slot.wished !== undefined) slot.earlier.push(slot.wished);
    delete slot.wished;
    try {
      await this.#persist(() => api.delete(containerPath(NAMESPACE, slot.name)));
      return undefined;
    } catch (error) {
      if (isNotFound(error)) return "it is gone";
      throw error;
    }
  }

  /** The agent may put it on again while the object is there: hence the order. */
  async #tear(slot: Slot): Promise<string | undefined> {
    return (await this.#delete(slot)) ?? (await this.#patch(slot, { metadata: { finalizers: null } }));
  }

  async #persist<T>(request: () => Promise<T>): Promise<T> {
    for (;;) {
      try {
        return await request();
      } catch (error) {
        if (!isUnavailable(error) && !isConflict(error)) throw error;
        this.#keepOn(String(error));
        await delay(AGAIN_MS);
      }
    }
  }

  #keepOn(why: string): void {
    if (Date.now() > this.deadline) throw new StuckWish(why);
  }

  #note(name: string, object: Container | undefined): void {
    const text = object === undefined ? "gone" : summaryOf(object);
    if (this.#told.get(name) === text) return;
    this.#told.set(name, text);
    this.#options.history.note(name, `is ${text}`);
  }
}

function ignore(): undefined {
  return undefined;
}

/** A Container in a line. */
export function summaryOf({ metadata, status }: Container): string {
  const { uid, generation, deletionTimestamp } = metadata;
  const { state, reason, exitCode, restartCount, pid, observedGeneration, containerID, nextRetryAt } = status ?? {};
  const parts = { state, reason, exitCode, restarts: restartCount, pid, containerID, nextRetryAt };
  const said = Object.entries(parts).flatMap(([name, value]) => (value === undefined ? [] : [`${name}=${value}`]));
  const deleting = deletionTimestamp === undefined ? "" : ", being deleted";
  return `${uid} generation ${observedGeneration ?? 0}/${generation}${deleting}: ${said.join(" ")}`;
}
