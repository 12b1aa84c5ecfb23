// What Berth remembers of each attachment, as one file a container in the state directory. It is written before the
// first step and completed after the last, so that whatever a crash leaves behind has a record that leads to it; it goes
// with a reboot, as the namespaces do.
import { mkdir, readFile, readdir, rename, unlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { orMissing } from "../node/index.ts";
import type { CniResult } from "./cni.ts";
import type { NetworkConfigList, PortMapping, RuntimeConfig } from "./config.ts";

export type AttachmentRecord = {
  id: string;
  ports: PortMapping[];
  /** The configuration ADD was given, which DEL must be given too; absent for a namespace with nothing but loopback. */
  cni?: { ifName: string; list: NetworkConfigList; runtimeConfig: RuntimeConfig; args?: string };
  /** The name under which the network was made ahead: by it the plugins know it, and its namespace lies there. */
  spare?: string;
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
      return { ...(JSON.parse(text) as AttachmentRecord), id };
    } catch (error) {
      throw new Error(`${path} is damaged: ${String(error)}`, { cause: error });
    }
  }

  /** Makes a record of others one of these, under another id, from one moment to the next. */
  async adopt(id: string, record: AttachmentRecord, from: AttachmentRecords): Promise<AttachmentRecord> {
    await mkdir(this.#directory, { recursive: true, mode: 0o700 });
    await rename(from.#path(record.id), this.#path(id));
    return { ...record, id };
  }

  async remove(id: string): Promise<void> {
    await orMissing(unlink(this.#path(id)));
    await orMissing(unlink(`${this.#path(id)}.new`));
  }

  /** The ids that have a record; with `unwritten` also those whose first was cut short. */
  async ids({ unwritten = false } = {}): Promise<string[]> {
    const names = (await orMissing(readdir(this.#directory))) ?? [];
    const suffixes = unwritten ? [SUFFIX, `${SUFFIX}.new`] : [SUFFIX];
    const ids = suffixes.flatMap((suffix) =>
      names.filter((name) => name.endsWith(suffix)).map((name) => name.slice(0, -suffix.length)),
    );
    return [...new Set(ids)];
  }

  #path(id: string): string {
    return join(this.#directory, `${id}${SUFFIX}`);
  }
}
