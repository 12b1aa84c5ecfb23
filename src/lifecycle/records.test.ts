import { describe, expect, it } from "@jest/globals";
import { status } from "@grpc/grpc-js";
import { type Containerd, ContainerdError, packJSON } from "../containerd/index.ts";
import { EXTENSION } from "./record.ts";
import { type NewRecord, Records } from "./records.ts";

type Kept = { id: string; extensions: Record<string, unknown> };

/** containerd's records as far as they are asked for here, and what was asked. */
function fakeContainerd() {
  const kept = new Map<string, Kept>();
  const asked: string[] = [];
  /** What a call waits for before it is answered. */
  const hold: { list?: Promise<unknown>; create?: Promise<unknown> } = {};
  const containers = {
    list: async ({ filters }: { filters: string[] }) => {
      asked.push(`list ${filters.join()}`);
      const found = [...kept.values()];
      await hold.list;
      return { containers: found };
    },
    get: ({ id }: { id: string }) => {
      asked.push(`get ${id}`);
      const container = kept.get(id);
      return container === undefined
        ? Promise.reject(new ContainerdError("Containers.Get", status.NOT_FOUND, "gone"))
        : Promise.resolve({ container });
    },
    create: async ({ container }: { container: Kept }) => {
      await hold.create;
      kept.set(container.id, container);
    },
  };
  const records = new Records({ containers, snapshotter: "overlayfs" } as unknown as Containerd);
  const put = (id: string): void => {
    kept.set(id, { id, extensions: extensionsOf(record(id)) });
  };
  return { records, kept, asked, hold, put };
}

const NAME = { namespace: "default", name: "web" };

function record(id: string): NewRecord {
  const applied = { ...NAME, uid: "u", generation: 1, spec: {}, image: { name: "i", digest: "d", chainID: "c" } };
  const state = { restartCount: 0, backoffMs: 0 };
  return { id, applied, state, spec: {}, runtime: { name: "r" } } as unknown as NewRecord;
}

function extensionsOf({ applied, state }: NewRecord): Record<string, unknown> {
  return {
    [EXTENSION.applied]: packJSON(EXTENSION.applied, applied),
    [EXTENSION.state]: packJSON(EXTENSION.state, state),
  };
}

const idsOf = async (records: Records): Promise<string[]> => (await records.of(NAME)).map(({ id }) => id);

describe("an object's records", () => {
  it("are looked for by labels until there was a whole list, and by their ids from then on", async () => {
    const { records, asked, put, kept } = fakeContainerd();
    put("u-1");
    expect(await idsOf(records)).toEqual(["u-1"]);
    await records.list();
    asked.length = 0;
    await records.create(record("u-2"));
    expect(await idsOf(records)).toEqual(["u-1", "u-2"]);
    kept.delete("u-1");
    expect(await idsOf(records)).toEqual(["u-2"]);
    expect(await idsOf(records)).toEqual(["u-2"]);
    expect(asked).toEqual(["get u-1", "get u-2", "get u-1", "get u-2", "get u-2"]);
  });

  it("have those among them that were made while the list was under way, which does not tell of them", async () => {
    const { records, hold } = fakeContainerd();
    await records.list();
    const answer = Promise.withResolvers<undefined>();
    hold.list = answer.promise;
    const listed = records.list();
    await records.create(record("u-1"));
    answer.resolve(undefined);
    expect(await listed).toEqual([]);
    expect(await idsOf(records)).toEqual(["u-1"]);
  });

  it("are asked for again where a creation has failed, which containerd may carry out yet", async () => {
    const { records, hold, put } = fakeContainerd();
    await records.list();
    hold.create = Promise.reject(new Error("cut off"));
    await expect(records.create(record("u-1"))).rejects.toThrow("cut off");
    expect(await idsOf(records)).toEqual([]);
    put("u-1");
    expect(await idsOf(records)).toEqual(["u-1"]);
    // A whole list after that knows.
    await records.list();
    expect(await idsOf(records)).toEqual(["u-1"]);
  });
});
