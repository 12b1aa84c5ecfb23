/** Looks at what is there for one key: the records at containerd and their tasks. Nothing is remembered that can be asked. */
import { parseKey } from "../kube/index.ts";
import type { Instance, Observed } from "./decide.ts";
import type { Parts } from "./parts.ts";
import { generationOf, type Record } from "./record.ts";

/**
 * What is on the node for a key. `uid` is that of the object the key stands for now: records of another one are leftovers.
 * @throws ContainerdError
 */
export async function observe(parts: Parts, key: string, uid: string | undefined): Promise<Observed> {
  const records = await parts.records.list(parseKey(key));
  const instances = await Promise.all(records.map((record) => instanceOf(parts, record)));
  instances.sort((a, b) => generationOf(b.record.id) - generationOf(a.record.id));
  const current = instances.find(({ record }) => uid === undefined || record.applied.uid === uid);
  const leftovers = instances.filter((instance) => instance !== current);
  return current === undefined ? { leftovers } : { current, leftovers };
}

async function instanceOf(parts: Parts, record: Record): Promise<Instance> {
  const task = await parts.containerd.task(record.id);
  return task === undefined ? { record } : { record, task };
}
