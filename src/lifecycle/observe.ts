/** Looks at what is there for one key: the records at containerd and their tasks. Nothing is remembered that can be asked. */
import type { TaskState } from "../containerd/index.ts";
import { parseKey } from "../kube/index.ts";
import type { Instance, Observed } from "./decide.ts";
import { neighbourOf } from "./neighbour.ts";
import type { Parts } from "./parts.ts";
import { hasMoved } from "./peers.ts";
import { generationOf, type Record } from "./record.ts";

/**
 * What is on the node for a key. `uid` is that of the object the key stands for now: records of another one are leftovers.
 * @throws ContainerdError
 */
export async function observe(parts: Parts, key: string, uid: string | undefined): Promise<Observed> {
  const records = await parts.records.of(parseKey(key));
  const instances = await Promise.all(
    records.map(async (record) => instanceOf(parts, record, await parts.containerd.task(record.id))),
  );
  instances.sort((a, b) => generationOf(b.record.id) - generationOf(a.record.id));
  const current = instances.find(({ record }) => uid === undefined || record.applied.uid === uid);
  const leftovers = instances.filter((instance) => instance !== current);
  return current === undefined ? { leftovers } : { current, leftovers };
}

/** A container by its record and its task, and whether it still is in the network that it has joined. */
export async function instanceOf(parts: Parts, record: Record, task: TaskState | undefined): Promise<Instance> {
  if (task === undefined) return { record };
  return (await hasMoved(parts, record)) ? { record, task, moved: true } : { record, task };
}

/** Takes stock of all containers of the node for {@link Parts.neighbours} and {@link Parts.room}, before the first key is looked at. */
export async function takeStock(parts: Parts): Promise<void> {
  const records = await parts.records.list();
  const found = records.map(async (record) => {
    const task = await parts.containerd.task(record.id);
    const network = record.state.holdsNetwork === true ? await parts.network.status(record.id) : undefined;
    const instance: Instance = task === undefined ? { record } : { record, task };
    return { instance, neighbour: neighbourOf(instance, network) };
  });
  const all = await Promise.all(found);
  parts.room.load(all.map(({ instance }) => instance));
  parts.neighbours.load(all.map(({ neighbour }) => neighbour));
}
