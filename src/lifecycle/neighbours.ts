/**
 * What the containers of a node know of each other: who refers to whom, and the names in their hosts files. It is an index
 * of what records and tasks say, filled from them when the agent comes up and with each look at a key after; a file that is
 * behind is found by what was written last, and anything can be written again.
 */
import type { Logger } from "pino";
import type { ContainerSpec } from "../api/index.ts";
import { hostname } from "../api/index.ts";
import { hostsBlock, type HostsLine } from "../network/index.ts";
import type { Instance } from "./decide.ts";
import { type Applied, keyOf } from "./record.ts";

/** A container as others know it. */
export interface Neighbour {
  readonly id: string;
  /** Its process runs, or is paused, and is not being stopped. */
  readonly running: boolean;
  /** When its process was started: a joined network may be another one since. */
  readonly since?: string;
  readonly namespace: string;
  readonly name: string;
  readonly hostname: string;
  /** The network in which it has its addresses; absent where it has none of its own. */
  readonly network?: string;
  readonly addresses: readonly string[];
  /** The ports that its image and its spec name, as `80/tcp`. */
  readonly ports: readonly string[];
  readonly links: readonly Link[];
}

/** A link of a container, by the key of the one it leads to. */
export interface Link {
  readonly key: string;
  readonly alias: string;
}

interface Entry {
  readonly neighbour?: Neighbour;
  /** Keys of the containers that this one needs for its start. */
  readonly needs: readonly string[];
}

/** The containers of a node and their hosts files. */
export class Neighbours {
  readonly #requeue: (key: string) => void;
  readonly #writeBlock: (id: string, block: string) => Promise<void>;
  readonly #logger: Logger;
  readonly #entries = new Map<string, Entry>();
  /** The block last written, by container id. */
  readonly #written = new Map<string, string>();
  /** Ids whose files a start is writing: not to be touched meanwhile. */
  readonly #held = new Set<string>();
  /** Networks (with their namespace) whose names have changed since they were written last. */
  readonly #changed = new Set<string>();
  #pass: Promise<void> | undefined;

  constructor(options: {
    /** Has a key looked at again. */
    requeue: (key: string) => void;
    /** Brings the block of a container's hosts file up to date. */
    writeBlock: (id: string, block: string) => Promise<void>;
    logger: Logger;
  }) {
    this.#requeue = options.requeue;
    this.#writeBlock = options.writeBlock;
    this.#logger = options.logger;
  }

  /** Takes over what there is, before the first look at a key: names of containers not looked at yet must not vanish. */
  load(neighbours: readonly Neighbour[]): void {
    for (const neighbour of neighbours) {
      this.#entries.set(keyOf(neighbour), { neighbour, needs: [] });
      this.#touch(neighbour);
    }
    void this.#write();
  }

  /** The container of a key; undefined when it has none. */
  get(key: string): Neighbour | undefined {
    return this.#entries.get(key)?.neighbour;
  }

  /** Whether a key is known: it has an object or a record on this node. */
  has(key: string): boolean {
    return this.#entries.has(key);
  }

  /** Notes which containers a key's start needs, before they are looked at, so that no change of theirs goes unnoticed. */
  need(key: string, needs: readonly string[]): void {
    const entry = this.#entries.get(key);
    if (isSame(entry?.needs ?? [], needs)) return;
    this.#entries.set(key, { ...entry, needs });
    this.#wake(key);
  }

  /**
   * Notes what a key stands for now; undefined when it has no container. Those who need it are looked at again when that
   * is news. Resolves when the hosts files tell of it.
   */
  async note(key: string, neighbour: Neighbour | undefined): Promise<void> {
    const before = this.#entries.get(key);
    if (before !== undefined && isSame(before.neighbour, neighbour)) return;
    this.#entries.set(key, { needs: before?.needs ?? [], ...(neighbour === undefined ? {} : { neighbour }) });
    if (before?.neighbour !== undefined && before.neighbour.id !== neighbour?.id) {
      this.#written.delete(before.neighbour.id);
    }
    if (!isSame(namesOf(before?.neighbour), namesOf(neighbour))) {
      for (const each of [before?.neighbour, neighbour]) if (each !== undefined) this.#touch(each);
    }
    this.#wake(key);
    await this.#write();
  }

  /** A key has neither object nor container any more. */
  async forget(key: string): Promise<void> {
    if (!this.#entries.has(key)) return;
    await this.note(key, undefined);
    this.#entries.delete(key);
    this.#wake(key);
  }

  /** The way from a key back to itself by what each needs and does not run; undefined when there is none. */
  circle(key: string): string[] | undefined {
    return this.#wayTo(key, key, new Set());
  }

  /**
   * Lets a start write a container's files, with the block that tells of the others now. Nobody else writes them meanwhile;
   * what has changed until it is done is brought up to date after.
   */
  async writing<T>(self: Neighbour, write: (block: string) => Promise<T>): Promise<T> {
    this.#held.add(self.id);
    try {
      await this.#pass;
      const block = this.#block(self, linesOfAll(this.#members().get(networkOf(self)) ?? []));
      const result = await write(block);
      this.#written.set(self.id, block);
      return result;
    } finally {
      this.#held.delete(self.id);
      this.#touch(self);
      void this.#write();
    }
  }

  #wayTo(goal: string, from: string, seen: Set<string>): string[] | undefined {
    for (const key of this.#entries.get(from)?.needs ?? []) {
      if (key === goal) return [from, goal];
      if (seen.has(key) || this.#entries.get(key)?.neighbour?.running === true) continue;
      const rest = this.#wayTo(goal, key, seen.add(key));
      if (rest !== undefined) return [from, ...rest];
    }
    return undefined;
  }

  #wake(key: string): void {
    for (const [other, { needs }] of this.#entries) if (needs.includes(key)) this.#requeue(other);
  }

  /** Names in a container's network have changed, and so may the lines of those who are linked to it. */
  #touch(neighbour: Neighbour): void {
    if (neighbour.network !== undefined) this.#changed.add(networkOf(neighbour));
  }

  /** Writes what has changed. One pass at a time; changes that come meanwhile share the next one. */
  async #write(): Promise<void> {
    while (this.#pass !== undefined) await this.#pass;
    if (this.#changed.size === 0) return;
    this.#pass = this.#writeAll().finally(() => {
      this.#pass = undefined;
    });
    await this.#pass;
  }

  async #writeAll(): Promise<void> {
    const members = this.#members();
    const changed = [...this.#changed];
    this.#changed.clear();
    for (const network of changed) {
      const neighbours = members.get(network) ?? [];
      const lines = linesOfAll(neighbours);
      await Promise.all(neighbours.map((self) => this.#update(self, lines)));
    }
  }

  async #update(self: Neighbour, lines: readonly OwnedLine[]): Promise<void> {
    if (this.#held.has(self.id)) return;
    const block = this.#block(self, lines);
    if (this.#written.get(self.id) === block) return;
    try {
      await this.#writeBlock(self.id, block);
      this.#written.set(self.id, block);
    } catch (error) {
      this.#logger.warn({ err: error, container: self.id }, "the names of other containers could not be written");
    }
  }

  /** Those that have an address, by network, in the order of their names. */
  #members(): Map<string, Neighbour[]> {
    const found = this.#entries
      .values()
      .map(({ neighbour }) => neighbour)
      .filter((neighbour) => neighbour?.network !== undefined && neighbour.addresses.length > 0);
    const sorted = [...found].filter((each) => each !== undefined).sort((a, b) => (a.name < b.name ? -1 : 1));
    return Map.groupBy(sorted, networkOf);
  }

  /** Links first: an alias may be another container's name. Its own host name is in a container's file already. */
  #block(self: Neighbour, lines: readonly OwnedLine[]): string {
    if (self.network === undefined) return "";
    const others = self.hostname === self.name ? lines.filter(({ id }) => id !== self.id) : lines;
    return hostsBlock([...this.#linkLines(self), ...others]);
  }

  #linkLines({ links }: Neighbour): HostsLine[] {
    return links.flatMap(({ key, alias }) => {
      const peer = this.#entries.get(key)?.neighbour;
      return peer === undefined ? [] : linesOf(peer, [alias, peer.hostname, peer.name]);
    });
  }
}

interface OwnedLine extends HostsLine {
  readonly id: string;
}

/** Names, as on a Docker network of one's own: each container's own, and its host name where no other is called so. */
function linesOfAll(neighbours: readonly Neighbour[]): OwnedLine[] {
  const taken = new Set(neighbours.map(({ name }) => name));
  return neighbours.flatMap((each) => {
    const names = taken.has(each.hostname) ? [each.name] : [each.name, each.hostname];
    taken.add(each.hostname);
    return linesOf(each, names).map((line) => ({ ...line, id: each.id }));
  });
}

/** What of a container others find in their hosts files. */
function namesOf(neighbour: Neighbour | undefined): unknown {
  if (neighbour?.network === undefined) return undefined;
  const { id, namespace, name, hostname: own, network, addresses, links } = neighbour;
  return { id, namespace, name, own, network, addresses, links };
}

function linesOf({ addresses }: Neighbour, names: readonly string[]): HostsLine[] {
  return addresses.map((address) => ({ address, names: [...new Set(names)] }));
}

function networkOf({ namespace, network }: Neighbour): string {
  return `${namespace}/${network ?? ""}`;
}

function isSame(a: unknown, b: unknown): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}

/** What others may know of a container: by its record, whether it runs, and its addresses as long as it holds them. */
export function neighbourOf({ record, task }: Instance, network: Addressed | undefined): Neighbour {
  const alive = task?.status === "running" || task?.status === "paused" || task?.status === "pausing";
  // One that is being stopped takes its network away in a moment.
  const running = alive && record.state.stopping === undefined;
  const since = record.state.run?.startedAt;
  return { ...toNeighbour(record, network, running), ...(since === undefined ? {} : { since }) };
}

interface Addressed {
  readonly ipAddresses: readonly string[];
}

/** A container as others will know it. */
export function toNeighbour(
  { id, applied }: { readonly id: string; readonly applied: Applied },
  network: Addressed | undefined,
  running: boolean,
): Neighbour {
  const { namespace, name, spec, image } = applied;
  const isBridge = (spec.network?.mode ?? "Bridge") === "Bridge";
  const ofSpec = (spec.ports ?? []).map(({ containerPort, protocol = "TCP" }) => `${containerPort}/${protocol}`);
  return {
    id,
    running,
    namespace,
    name,
    hostname: hostname(applied),
    ...(isBridge ? { network: spec.network?.name ?? "" } : {}),
    addresses: isBridge ? (network?.ipAddresses ?? []) : [],
    ports: [...(image.exposedPorts ?? []), ...ofSpec].map((port) => port.toLowerCase()),
    links: linksOf(namespace, spec),
  };
}

/** A container's links by key, in the order of the spec. */
export function linksOf(namespace: string, spec: Pick<ContainerSpec, "network">): Link[] {
  return (spec.network?.links ?? []).map(({ container, alias = container }) => ({
    key: keyOf({ namespace, name: container }),
    alias,
  }));
}
