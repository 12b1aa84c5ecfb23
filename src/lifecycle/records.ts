/** Reads and writes containers' records at containerd. */
import type { Any } from "@bufbuild/protobuf/wkt";
import {
  type Containerd,
  type ContainerRecord,
  dateOf,
  isNotFound,
  packJSON,
  packSpec,
  unpackJSON,
} from "../containerd/index.ts";
import type { OciSpec } from "../oci/index.ts";
import type { HealthRecord } from "./health.ts";
import { type Applied, EXTENSION, keyOf, LABEL, type Record, type RunState } from "./record.ts";

/** A record to be made. */
export interface NewRecord extends Record {
  readonly spec: OciSpec;
  /** containerd's name of the runtime, and its options. */
  readonly runtime: { readonly name: string; readonly options?: Any };
}

/** The records of this agent's containers. All methods throw ContainerdError. */
export class Records {
  readonly #containerd: Pick<Containerd, "containers" | "updateContainer" | "snapshotter">;
  /** Ids by key: all that the last whole list has told of, and those made since; some of them may be gone. */
  #known: Map<string, Set<string>> | undefined;
  /** Ids whose creation is under way, or has failed: containerd may carry it out yet. */
  readonly #creating = new Map<string, "under way" | "failed">();

  constructor(containerd: Pick<Containerd, "containers" | "updateContainer" | "snapshotter">) {
    this.#containerd = containerd;
  }

  /** All records that carry Berth's labels. Other tools' containers are left out. */
  async list(): Promise<Record[]> {
    const before = [...(this.#known?.values() ?? [])].flatMap((ids) => [...ids]);
    const settled = new Set(before.filter((id) => this.#creating.get(id) !== "under way"));
    const records = await this.#listed(`labels."${LABEL.uid}"`);
    const known = new Map<string, Set<string>>();
    for (const { id, applied } of records) add(known, keyOf(applied), id);
    // Those that were being made meanwhile it may not tell of yet.
    for (const [key, ids] of this.#known ?? []) for (const id of ids) if (!settled.has(id)) add(known, key, id);
    for (const id of settled) if (this.#creating.get(id) === "failed") this.#creating.delete(id);
    this.#known = known;
    return records;
  }

  /**
   * The records of one object's name. containerd looks at each of its records to find those with a label: once there was a
   * whole list, they are asked for by their ids.
   */
  async of(object: { readonly namespace: string; readonly name: string }): Promise<Record[]> {
    if (this.#known === undefined) {
      const { namespace, name } = object;
      const labels = { [LABEL.namespace]: namespace, [LABEL.name]: name };
      const filters = Object.entries(labels).map(([label, value]) => `labels."${label}"==${JSON.stringify(value)}`);
      return this.#listed(filters.join(","));
    }
    const ids = this.#known.get(keyOf(object)) ?? [];
    const found = await Promise.all([...ids].map((id) => this.#get(keyOf(object), id)));
    return found.filter((record) => record !== undefined);
  }

  /** The ids of all containers in Berth's namespace at containerd, other tools' among them. */
  async ids(): Promise<Set<string>> {
    const { containers } = await this.#containerd.containers.list({});
    return new Set(containers.map(({ id }) => id));
  }

  /** Makes a record. Its snapshot is safe from garbage collection from then on. */
  async create(record: NewRecord): Promise<void> {
    const { id } = record;
    this.#creating.set(id, "under way");
    if (this.#known !== undefined) add(this.#known, keyOf(record.applied), id);
    try {
      await this.#create(record);
      this.#creating.delete(id);
    } catch (error) {
      this.#creating.set(id, "failed");
      throw error;
    }
  }

  async #create(record: NewRecord): Promise<void> {
    const { id, applied } = record;
    await this.#containerd.containers.create({
      container: {
        id,
        labels: {
          [LABEL.uid]: applied.uid,
          [LABEL.namespace]: applied.namespace,
          [LABEL.name]: applied.name,
        },
        image: applied.image.name,
        runtime: record.runtime,
        spec: packSpec(record.spec),
        snapshotter: this.#containerd.snapshotter,
        snapshotKey: record.id,
        extensions: {
          [EXTENSION.applied]: packJSON(EXTENSION.applied, applied),
          [EXTENSION.state]: packJSON(EXTENSION.state, record.state),
        },
      },
    });
  }

  /** Writes how a container's runs went. Answers the record as it is then. */
  async saveState(id: string, state: RunState): Promise<Record | undefined> {
    const extensions = { [EXTENSION.state]: packJSON(EXTENSION.state, state) };
    const container = await this.#containerd.updateContainer(id, { extensions });
    return container && toRecord(container);
  }

  /** Writes how healthy a container is. */
  async saveHealth(id: string, health: HealthRecord): Promise<void> {
    await this.#containerd.updateContainer(id, {
      extensions: { [EXTENSION.health]: packJSON(EXTENSION.health, health) },
    });
  }

  /** Writes the spec as applied, and the runtime spec where that changed with it. */
  async saveApplied(id: string, applied: Applied, spec?: OciSpec): Promise<void> {
    await this.#containerd.updateContainer(id, {
      extensions: { [EXTENSION.applied]: packJSON(EXTENSION.applied, applied) },
      ...(spec === undefined ? {} : { spec: packSpec(spec) }),
    });
  }

  /** The runtime spec of a record. */
  async spec(id: string): Promise<OciSpec> {
    const { container } = await this.#containerd.containers.get({ id });
    const spec = unpackJSON(container?.spec);
    if (spec === undefined) throw new Error(`container ${id}: its record holds no runtime spec`);
    return spec as unknown as OciSpec;
  }

  async #listed(filter: string): Promise<Record[]> {
    const { containers } = await this.#containerd.containers.list({ filters: [filter] });
    return containers.map(toRecord).filter((record) => record !== undefined);
  }

  async #get(key: string, id: string): Promise<Record | undefined> {
    try {
      const { container } = await this.#containerd.containers.get({ id });
      return container && toRecord(container);
    } catch (error) {
      if (!isNotFound(error)) throw error;
      if (!this.#creating.has(id)) this.#forget(key, id);
      return undefined;
    }
  }

  #forget(key: string, id: string): void {
    const ids = this.#known?.get(key);
    ids?.delete(id);
    if (ids?.size === 0) this.#known?.delete(key);
  }

  /** Deletes a record; one that is gone already is as good. */
  async delete(id: string): Promise<void> {
    try {
      await this.#containerd.containers.delete({ id });
    } catch (error) {
      if (!isNotFound(error)) throw error;
    }
  }
}

function add(known: Map<string, Set<string>>, key: string, id: string): void {
  known.set(key, (known.get(key) ?? new Set()).add(id));
}

function toRecord(container: ContainerRecord): Record | undefined {
  const applied = unpackJSON(container.extensions[EXTENSION.applied]);
  const state = unpackJSON(container.extensions[EXTENSION.state]);
  const health = unpackJSON(container.extensions[EXTENSION.health]);
  const createdAt = dateOf(container.createdAt);
  if (applied === undefined || state === undefined) return undefined;
  // What stands under these keys was written by the methods above.
  return {
    id: container.id,
    applied: applied as unknown as Applied,
    state: state as unknown as RunState,
    ...(health === undefined ? {} : { health: health as unknown as HealthRecord }),
    ...(createdAt === undefined ? {} : { createdAt }),
  };
}
