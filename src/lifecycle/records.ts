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
import { type Applied, EXTENSION, LABEL, type Record, type RunState } from "./record.ts";

/** A record to be made. */
export interface NewRecord extends Record {
  readonly spec: OciSpec;
  /** containerd's name of the runtime, and its options. */
  readonly runtime: { readonly name: string; readonly options?: Any };
}

/** The records of this agent's containers. All methods throw ContainerdError. */
export class Records {
  readonly #containerd: Pick<Containerd, "containers" | "updateContainer" | "snapshotter">;

  constructor(containerd: Pick<Containerd, "containers" | "updateContainer" | "snapshotter">) {
    this.#containerd = containerd;
  }

  /** All records that carry Berth's labels; of one object's name when that is given. Other tools' containers are left out. */
  async list(object?: { readonly namespace: string; readonly name: string }): Promise<Record[]> {
    const filter =
      object === undefined
        ? `labels."${LABEL.uid}"`
        : `labels."${LABEL.namespace}"==${JSON.stringify(object.namespace)},labels."${LABEL.name}"==${JSON.stringify(object.name)}`;
    const { containers } = await this.#containerd.containers.list({ filters: [filter] });
    return containers.map(toRecord).filter((record) => record !== undefined);
  }

  /** The ids of all containers in Berth's namespace at containerd, other tools' among them. */
  async ids(): Promise<Set<string>> {
    const { containers } = await this.#containerd.containers.list({});
    return new Set(containers.map(({ id }) => id));
  }

  /** Makes a record. Its snapshot is safe from garbage collection from then on. */
  async create(record: NewRecord): Promise<void> {
    const { applied } = record;
    await this.#containerd.containers.create({
      container: {
        id: record.id,
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

  /** Writes how a container's runs went. */
  async saveState(id: string, state: RunState): Promise<void> {
    await this.#containerd.updateContainer(id, { extensions: { [EXTENSION.state]: packJSON(EXTENSION.state, state) } });
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

  /** Deletes a record; one that is gone already is as good. */
  async delete(id: string): Promise<void> {
    try {
      await this.#containerd.containers.delete({ id });
    } catch (error) {
      if (!isNotFound(error)) throw error;
    }
  }
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
