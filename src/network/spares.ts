// Networks made ahead: namespaces that are on the bridge already and have an address, for containers to come. A start then
// finds what would otherwise take its time from it: a namespace, three programs, and what the kernel does for them.
import { randomUUID } from "node:crypto";
import { mkdir, readlink } from "node:fs/promises";
import { basename, join } from "node:path";
import { isDeepStrictEqual } from "node:util";
import type { Logger } from "pino";
import { orMissing, run } from "../node/index.ts";
import { addresses } from "./addresses.ts";
import { AttachmentRecords } from "./attachments.ts";
import type { AttachmentRecord } from "./attachments.ts";
import type { CniResult } from "./cni.ts";
import { createNetns, netnsExists } from "./netns.ts";

/** Of the addresses of a subnet, one in so many may be kept ready. */
const ADDRESSES_A_SPARE = 8;
/** How many are kept ready at first, and at the least. */
const LEAST = 4;

export type SparesOptions = {
  directory: string;
  /** How many are kept ready at the most. */
  most: number;
  /** Resolves when there is nothing more urgent to do. */
  idle: () => Promise<void>;
  /** Whether more is to be done than is being done: then it is waited for that, between two of them. */
  isBusy: () => boolean;
  /** What a new one's plugins are given. */
  cni: () => NonNullable<AttachmentRecord["cni"]>;
  /** Sees to what all networks share; it may have gone since the last one was made. */
  look: () => Promise<void>;
  /** Gives the namespace of a record its addresses. */
  connect: (record: AttachmentRecord) => Promise<CniResult | undefined>;
  /** Takes down what there is of a record's network; safe to repeat. */
  disconnect: (record: AttachmentRecord) => Promise<void>;
  logger: Logger;
};

/** How many networks may be kept ready in a subnet of this prefix length: a small one's addresses are for those who ask. */
export function sparesIn(prefixLength: number, most: number): number {
  return Math.min(most, Math.floor(2 ** (32 - prefixLength) / ADDRESSES_A_SPARE));
}

/**
 * How many are to be ready for the next time, where so many were and so many were asked for this time: enough for what there
 * was, and by one fewer each time that it was too many.
 */
export function sparesAfter(ready: number, asked: number, most: number): number {
  return Math.min(most, Math.max(LEAST, asked, ready - 1));
}

/**
 * A stock of such networks, as large as was asked for at once. It begins to be filled when nothing else is to be done, but not
 * before the first container has asked; then one is made after the other, unless starts wait for their turn. Each has a
 * record, which becomes the container's own when it is taken.
 */
export class Spares {
  readonly #options: SparesOptions;
  readonly #records: AttachmentRecords;
  #ready: AttachmentRecord[] = [];
  /** Those of which something is left that could not be taken down. */
  readonly #spoilt: AttachmentRecord[] = [];
  /** How many are to be ready, and how many were asked for since they were. */
  #wanted = 0;
  #asked = 0;
  #filling: Promise<void> | undefined;
  #making: Promise<void> | undefined;
  #closed = false;

  constructor(options: SparesOptions) {
    this.#options = options;
    this.#records = new AttachmentRecords(options.directory);
  }

  /** Takes over what an agent that was killed has left, as far as it is what this one would make. */
  async load(): Promise<void> {
    this.#ready = [];
    for (const id of await this.#records.ids({ unwritten: true })) {
      const record = await this.#records.read(id);
      if (record === undefined) await this.#records.remove(id);
      else if (await this.#isGood(record)) this.#ready.push(record);
      else await this.#discard(record);
    }
    this.#wanted = this.#ready.length;
  }

  /** How many are ready. */
  get size(): number {
    return this.#ready.length;
  }

  /** Where the namespace of one is, or was when it was taken. */
  path(id: string): string {
    return join(this.#options.directory, id);
  }

  /**
   * Makes one of them a container's: from one moment to the next, its record is among the containers'. Undefined when there is
   * none that is as it was made.
   */
  async take(id: string, records: AttachmentRecords): Promise<AttachmentRecord | undefined> {
    this.#asked++;
    for (;;) {
      const record = this.#ready.shift();
      if (record === undefined) return undefined;
      const taken = (await this.#isGood(record)) ? await this.#handOver(record, id, records) : undefined;
      if (taken !== undefined) return taken;
      await this.#discard(record);
    }
  }

  /** Gives back those of the ready whose address is needed, or all; answers whether there was any. */
  async giveBack(address?: string): Promise<boolean> {
    await this.#making?.catch(() => undefined);
    const isMeant = ({ result }: AttachmentRecord): boolean =>
      address === undefined || addresses(result).ipAddresses.includes(address);
    const given = this.#ready.filter(isMeant);
    this.#ready = this.#ready.filter((record) => !isMeant(record));
    await Promise.all(given.map((record) => this.#discard(record)));
    return given.length > 0;
  }

  /** Has the stock filled, from when there is nothing else to do. */
  fill(): void {
    if (this.#closed) return;
    this.#filling ??= this.#fill()
      .catch((error: unknown) => {
        // Whoever needs a network now is told what is wrong.
        this.#options.logger.debug({ err: error }, "no network can be made ahead");
      })
      .finally(() => {
        this.#filling = undefined;
      });
  }

  /** Gives back all, and makes no more. */
  async close(): Promise<void> {
    this.#closed = true;
    await this.giveBack();
  }

  async #fill(): Promise<void> {
    await this.#options.idle();
    for (const record of this.#spoilt.splice(0)) await this.#discard(record);
    for (;;) {
      if (this.#options.isBusy()) await this.#options.idle();
      if (this.#asked > 0) {
        await this.#account();
        continue;
      }
      if (this.#closed || this.#ready.length >= this.#wanted) return;
      this.#making = this.#make();
      await this.#making;
    }
  }

  /** Some were taken, for whom the starts themselves have not looked. */
  async #account(): Promise<void> {
    this.#wanted = sparesAfter(this.#wanted, this.#asked, this.#options.most);
    this.#asked = 0;
    await this.#options.look();
  }

  async #make(): Promise<void> {
    const id = `spare-${randomUUID()}`;
    const record: AttachmentRecord = { id, spare: id, ports: [], cni: this.#options.cni(), complete: false };
    try {
      await mkdir(this.#options.directory, { recursive: true, mode: 0o711 });
      await this.#records.write(record);
      await createNetns(this.path(id));
      const result = await this.#options.connect(record);
      const complete = { ...record, ...(result === undefined ? {} : { result }), complete: true };
      await this.#records.write(complete);
      this.#ready.push(complete);
    } catch (error) {
      await this.#discard(record);
      throw error;
    }
  }

  async #handOver(
    record: AttachmentRecord,
    id: string,
    records: AttachmentRecords,
  ): Promise<AttachmentRecord | undefined> {
    try {
      return await records.adopt(id, record, this.#records);
    } catch (error) {
      this.#options.logger.warn({ err: error, id: record.id }, "a network made ahead can't be handed over");
      return undefined;
    }
  }

  async #discard(record: AttachmentRecord): Promise<void> {
    try {
      await this.#options.disconnect(record);
      await this.#records.remove(record.id);
    } catch (error) {
      this.#options.logger.warn({ err: error, id: record.id }, "a network made ahead can't be taken down now");
      this.#spoilt.push(record);
    }
  }

  /**
   * Whether it is as this agent makes them, still there and plugged into the bridge: flags may be others than an earlier agent's, and
   * an administrator may have removed the bridge.
   */
  async #isGood({ id, cni, result, complete }: AttachmentRecord): Promise<boolean> {
    if (!complete || !isDeepStrictEqual(cni, this.#options.cni())) return false;
    const bridge = cni?.list.name ?? "";
    const port = result?.interfaces?.find(({ name, sandbox }) => (sandbox ?? "") === "" && name !== bridge)?.name;
    if (port === undefined || !(await netnsExists(this.path(id)))) return false;
    return (await bridgeOf(port)) === bridge;
  }
}

/** The bridge that an interface of the node is plugged into. */
async function bridgeOf(port: string): Promise<string | undefined> {
  const master = await orMissing(readlink(`/sys/class/net/${port}/master`));
  if (master !== undefined) return basename(master);
  // What is mounted there may tell of another network namespace than the agent's.
  const link = await run("ip", ["-oneline", "link", "show", "dev", port]).catch(() => undefined);
  return / master (\S+)/.exec(link?.stdout ?? "")?.[1];
}
