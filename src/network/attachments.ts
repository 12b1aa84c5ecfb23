// What Berth remembers of each attachment, as one file a container in the state directory. It is written before the
// first step and completed after the last, so that whatever a crash leaves behind has a record that leads to it; it goes
// with a reboot, as the namespaces do.
import { mkdir, readFile, readdir, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { orMissing } from "../node/index.ts";
import type { CniResult } from "./cni.ts";
import type { NetworkConfigList, PortMapping, RuntimeConfig } from "./config.ts";

export type AttachmentRecord = {
  id: string;
  ports: PortMapping[];
  /** The configuration ADD was given, which DEL must be given too; absent for a namespace with nothing but loopback. */
  cni?: { ifName: string; list: NetworkConfigList; runtimeConfig: RuntimeConfig; args?: string };
  /** The container whose namespace this one has joined: the one that has the addresses, not another that has joined it. */
  joined?: string;
  /** The plugins' final answer. */
  result?: CniResult;
  /** All steps of the attachment are done. */
  complete: boolean;
};

const SUFFIX = ".json";

/** The records in one directory. */
export class AttachmentRecords {
  readonly #directory: string;

  constructor(directory: string) {
    this.#directory = directory;
  }

  /** Puts a record in the place of the one before; a reader sees either of them whole. */
  async write(record: AttachmentRecord): Promise<void> {
    await mkdir(this.#directory, { recursive: true, mode: 0o700 });
    const path = this.#path(record.id);
    await writeFile(`${path}.new`, JSON.stringify(record), { mode: 0o600 });
    await rename(`${path}.new`, path);
  }

  /** @throws Error naming the file when it can't be understood */
  async read(id: string): Promise<AttachmentRecord | undefined> {
    const path = this.#path(id);
    const text = await orMissing(readFile(path, "utf8"));
    if (text === undefined) return undefined;
    try {
      return JSON.parse(text) as AttachmentRecord;
    } catch (error) {
      throw new Error(`${path} is damaged: ${String(error)}`, { cause: error });
    }
  }

  async remove(id: string): Promise<void> {
    await rm(this.#path(id), { force: true });
    await rm(`${this.#path(id)}.new`, { force: true });
  }

  /** The ids that have a record. */
  async ids(): Promise<string[]> {
    const names = (await orMissing(readdir(this.#directory))) ?? [];
    return names.filter((name) => name.endsWith(SUFFIX)).map((name) => name.slice(0, -SUFFIX.length));
  }

  #path(id: string): string {
    return join(this.#directory, `${id}${SUFFIX}`);
  }
}
