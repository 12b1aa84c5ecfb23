/**
 * What the containers of a node know of each other: who refers to whom, and the names in their hosts files. It is an index
 * of what records and tasks say, filled from them when the agent comes up and with each look at a key after; a file that is
 * behind is found by what was written last, and anything can be written again.
 */
import { hash } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";
import type { Logger } from "pino";
import { hostsBlock, type HostsLine } from "../network/index.ts";
import { linesOf, linesOfAll, namesOf, type Neighbour, networkOf, type OwnedLine } from "./neighbour.ts";
import { keyOf } from "./record.ts";

/** Milliseconds from one pass over the hosts files to the next while many containers are started at once: these share it. */
const PASS_INTERVAL_MS = 1000;

/** Files that a pass has in memory at once. */
const FILES_AT_ONCE = 8;

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
  /** The digest of the block last written, by container id: all blocks of many containers are much text. */
  readonly #written = new Map<string, string>();
  /** Ids whose files a start is writing: not to be touched meanwhile. */
  readonly #held = new Set<string>();
  /** Networks (with their namespace) whose names have changed since they were written last. */
  readonly #changed = new Set<string>();
  /** The pass under way, and the one to come, which may be waited for or be hurried. */
  #pass: Promise<void> | undefined;
  #next: { readonly over: Promise<void>; readonly hurry: AbortController } | undefined;
  readonly #isBusy: () => boolean;

  constructor(options: {
    /** Has a key looked at again. */
    requeue: (key: string) => void;
    /** Brings the block of a container's hosts file up to date. */
    writeBlock: (id: string, block: string) => Promise<void>;
    /** Whether so many containers wait for their turn that nobody is to wait for names. */
    isBusy: () => boolean;
    logger: Logger;
  }) {
    this.#isBusy = options.isBusy;
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
    // A circle may have closed, or opened: that concerns all who lead here, by however many steps.
    this.#wakeAll(key, new Set([key]));
  }

  /**
   * Notes what a key stands for now; undefined when it has no container. Those who need it are looked at again when that
   * is news. Resolves when the hosts files tell of it; while many are started at once, at once: they do within a second.
   */
  async note(key: string, neighbour: Neighbour | undefined): Promise<void> {
    const before = this.#entries.get(key);
    if (before !== undefined && isSame(before.neighbour, neighbour)) return;
    this.#entries.set(key, { needs: before?.needs ?? [], ...(neighbour === undefined ? {} : { neighbour }) });
    if (!isSame(namesOf(before?.neighbour), namesOf(neighbour))) {
      for (const each of [before?.neighbour, neighbour]) if (each !== undefined) this.#touch(each);
    }
    this.#wake(key);
    await this.#write();
  }

  /** Writes what could not be written, the disk being full. */
  catchUp(): void {
    void this.#write();
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
      this.#written.set(self.id, digestOf(block));
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
    for (const other of this.#dependents(key)) this.#requeue(other);
  }

  #wakeAll(key: string, woken: Set<string>): void {
    for (const other of this.#dependents(key)) {
      if (woken.has(other)) continue;
      this.#requeue(other);
      this.#wakeAll(other, woken.add(other));
    }
  }

  #dependents(key: string): string[] {
    return [...this.#entries].filter(([, { needs }]) => needs.includes(key)).map(([other]) => other);
  }

  /** Names in a container's network have changed, and so may the lines of those who are linked to it. */
  #touch(neighbour: Neighbour): void {
    if (neighbour.network !== undefined) this.#changed.add(networkOf(neighbour));
  }

  /** Writes what has changed. One pass at a time; changes that come until it begins share it. */
  async #write(): Promise<void> {
    if (this.#changed.size === 0) return this.#pass;
    if (this.#next === undefined) {
      const hurry = new AbortController();
      this.#next = { hurry, over: this.#passInTime(hurry.signal) };
    }
    if (this.#isBusy()) return;
    this.#next.hurry.abort();
    await this.#next.over;
  }

  async #passInTime(hurry: AbortSignal): Promise<void> {
    if (this.#isBusy()) await delay(PASS_INTERVAL_MS, undefined, { ref: false, signal: hurry }).catch(() => undefined);
    await this.#pass;
    this.#next = undefined;
    this.#pass = this.#writeAll().finally(() => {
      this.#pass = undefined;
    });
    await this.#pass;
  }

  async #writeAll(): Promise<void> {
    const members = this.#members();
    const ids = new Set(members.values().flatMap((each) => each.map(({ id }) => id)));
    for (const id of this.#written.keys()) if (!ids.has(id)) this.#written.delete(id);
    const changed = [...this.#changed];
    this.#changed.clear();
    for (const network of changed) {
      const neighbours = members.get(network) ?? [];
      const lines = linesOfAll(neighbours);
      for (let at = 0; at < neighbours.length; at += FILES_AT_ONCE)
        await Promise.all(neighbours.slice(at, at + FILES_AT_ONCE).map((self) => this.#update(self, lines)));
    }
  }

  async #update(self: Neighbour, lines: readonly OwnedLine[]): Promise<void> {
    if (this.#held.has(self.id)) return;
    const block = this.#block(self, lines);
    const digest = digestOf(block);
    if (this.#written.get(self.id) === digest) return;
    try {
      await this.#writeBlock(self.id, block);
      this.#written.set(self.id, digest);
    } catch (error) {
      this.#logger.warn({ err: error, container: self.id }, "the names of other containers could not be written");
      this.#touch(self);
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

function digestOf(block: string): string {
  return hash("sha1", block, "base64");
}

function isSame(a: unknown, b: unknown): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}
