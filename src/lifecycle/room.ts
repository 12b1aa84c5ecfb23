/**
 * The node's room for Containers: which of them hold a place, and who waits for one. An index of what records and tasks
 * say, filled from them when the agent comes up and with each look at a key after. A place is taken before a start and kept
 * until the container ends for good, through all restarts: what runs is never refused, whatever becomes of the budget.
 */
import type { CgroupLimits } from "../node/index.ts";
import { type Requests, requestsOf } from "../oci/index.ts";
import { type Instance, restarts } from "./decide.ts";
import { keyOf, type Waiting } from "./record.ts";

/** The reason of a start that waits for room. */
export const INSUFFICIENT = "InsufficientResources";

const RESOURCES = ["milliCPU", "memoryBytes"] as const;
type Resource = (typeof RESOURCES)[number];

/** What is asked for, and by whom. */
export interface Wish {
  readonly key: string;
  readonly requests: Requests;
  /** The Container's age: of those who wait, the oldest comes first. */
  readonly since: Date;
}

const NOTHING: Requests = { milliCPU: 0, memoryBytes: 0 };

/** The places of one node. */
export class Room {
  readonly #budget: CgroupLimits;
  readonly #requeue: (key: string) => void;
  readonly #onLeave: () => void;
  readonly #places = new Map<string, Requests>();
  readonly #waiting = new Map<string, Wish>();

  constructor(options: {
    budget: CgroupLimits;
    /** Has a key looked at again, for which there is room now. */
    requeue: (key: string) => void;
    /** Somebody has left. */
    onLeave: () => void;
  }) {
    this.#budget = options.budget;
    this.#requeue = options.requeue;
    this.#onLeave = options.onLeave;
  }

  /** What those who hold a place have asked for, in all. */
  get requested(): Requests {
    return sum(this.#places.values());
  }

  /**
   * Takes over what there is, before the first look at a key. Who runs has a place. Who is only to be started again, as all
   * are after a reboot, gets one in order of age, as far as there is room.
   */
  load(instances: readonly Instance[]): void {
    const byKey = Map.groupBy(instances.filter(holdsPlace), ({ record }) => keyOf(record.applied));
    const found = [...byKey].map(([key, held]) => ({
      key,
      requests: sum(held.map(requestsOfInstance)),
      since: new Date(Math.min(...held.map(({ record }) => record.createdAt?.getTime() ?? 0))),
      runs: held.some(({ task }) => task !== undefined),
    }));
    for (const { key, requests, runs } of found) if (runs) this.#places.set(key, requests);
    for (const wish of found.filter(({ runs }) => !runs).sort(byAge))
      if (this.#lacks(wish).length === 0) this.#places.set(wish.key, wish.requests);
  }

  /** Whether a key holds a place. */
  has(key: string): boolean {
    return this.#places.has(key);
  }

  /**
   * Takes a place for a key, or changes the one it has: at once, so that no two starts take the same. Answers why not when
   * there is no room; the key is looked at again when there is, with its place kept for it.
   */
  take(wish: Wish): Waiting | undefined {
    const lacks = this.#lacks(wish);
    if (lacks.length > 0) {
      this.#waiting.set(wish.key, wish);
      return { reason: INSUFFICIENT, message: lacks.map((resource) => this.#words(wish, resource)).join("; ") };
    }
    this.#waiting.delete(wish.key);
    this.#places.set(wish.key, wish.requests);
    return undefined;
  }

  /**
   * Notes what a key stands for at the end of a turn: who has ended for good, or was not started after all, leaves.
   * @param waits whether it still waits for room
   */
  settle(key: string, instances: readonly Instance[], waits = false): void {
    // It was given one while its turn was at its end; the next turn, which has been asked for, takes it.
    if (waits && !this.#waiting.has(key)) return;
    const held = instances.filter(holdsPlace);
    const runs = held.some(({ task }) => task !== undefined);
    if (!waits) this.#waiting.delete(key);
    // Who is to be started again keeps a place, but gets none by that alone.
    if (held.length > 0 && (runs || this.#places.has(key))) this.#places.set(key, sum(held.map(requestsOfInstance)));
    else if (this.#places.delete(key)) this.#onLeave();
    this.#offer();
  }

  /** A key has neither object nor container any more. */
  forget(key: string): void {
    this.settle(key, []);
  }

  /** Gives the room there is to those who wait and fit in, the oldest first: as at the scheduler, a big one holds up no small one. */
  #offer(): void {
    for (const wish of [...this.#waiting.values()].sort(byAge)) {
      if (this.#lacks(wish).length > 0) continue;
      this.#waiting.delete(wish.key);
      this.#places.set(wish.key, wish.requests);
      this.#requeue(wish.key);
    }
  }

  /** The resources of which a key wants more than it has and than there is. */
  #lacks(wish: Wish): Resource[] {
    const own = this.#places.get(wish.key) ?? NOTHING;
    return RESOURCES.filter((resource) => {
      const wanted = wish.requests[resource];
      return wanted > own[resource] && wanted > this.#left(wish.key, resource);
    });
  }

  /** What of a budget the others leave to a key; less than nothing where a smaller budget was given to those who run. */
  #left(key: string, resource: Resource): number {
    const budget = this.#budget[resource] ?? Number.POSITIVE_INFINITY;
    const own = this.#places.get(key)?.[resource] ?? 0;
    return budget - (this.requested[resource] - own);
  }

  #words({ key, requests }: Wish, resource: Resource): string {
    const { name, flag, format } = WORDS[resource];
    const [wanted, budget] = [requests[resource], this.#budget[resource] ?? 0];
    if (wanted > budget) {
      return `spec.resources: ${format(wanted)} of ${name} is asked for, and all Containers of the node may have ${format(budget)}: ask for less, or raise the agent's ${flag}`;
    }
    const left = Math.max(0, this.#left(key, resource));
    return `spec.resources: ${format(wanted)} of ${name} is asked for, and ${format(left)} of the ${format(budget)} for all Containers of the node are left: it goes on as soon as there is room`;
  }
}

/**
 * Whether a container has a claim to its place: it runs (be it that it is about to end), or is to be started again without
 * anybody's asking.
 */
export function holdsPlace({ record: { applied, state }, task }: Instance): boolean {
  if (task !== undefined) return true;
  if (state.removing === true || state.stopped === true || applied.spec.desiredState === "Stopped") return false;
  if (state.verdict !== undefined && state.verdict.nextRetryAt === undefined) return false;
  if (state.starting === true || state.run !== undefined) return true;
  return state.lastEnd?.requested === true || restarts(applied.spec, state);
}

function requestsOfInstance({ record }: Instance): Requests {
  return requestsOf(record.applied.spec);
}

function sum(all: Iterable<Requests>): Requests {
  let [milliCPU, memoryBytes] = [0, 0];
  for (const each of all) {
    milliCPU += each.milliCPU;
    memoryBytes += each.memoryBytes;
  }
  return { milliCPU, memoryBytes };
}

function byAge(a: Wish, b: Wish): number {
  const difference = a.since.getTime() - b.since.getTime();
  if (difference !== 0) return difference;
  return a.key < b.key ? -1 : 1;
}

const WORDS: Record<Resource, { name: string; flag: string; format: (amount: number) => string }> = {
  milliCPU: { name: "cpu", flag: "--cgroup-cpu", format: cpuQuantity },
  memoryBytes: { name: "memory", flag: "--cgroup-memory", format: memoryQuantity },
};

function cpuQuantity(milli: number): string {
  return milli % 1000 === 0 ? String(milli / 1000) : `${milli}m`;
}

/** The largest unit in which it is a whole number: no digit is lost, or what does not fit would seem to. */
function memoryQuantity(bytes: number): string {
  const units = ["", "Ki", "Mi", "Gi", "Ti"];
  let [amount, power] = [bytes, 0];
  while (power < units.length - 1 && amount > 0 && amount % 1024 === 0) [amount, power] = [amount / 1024, power + 1];
  return `${amount}${units[power] ?? ""}`;
}
