/** What events should have told of and have not: looked for from time to time, in a few calls for all of a node's containers. */
import type { State } from "../api/index.ts";
import type { TaskStatus } from "../containerd/index.ts";
import { taskState } from "../containerd/index.ts";
import type { Parts } from "./parts.ts";
import { keyOf, type Record } from "./record.ts";

/** What the agent last told of an object. */
export interface Told {
  readonly uid: string;
  readonly state: State;
}

/**
 * The keys that may not be as was told last.
 * @param told by key; asked for after all else, for what changes meanwhile has events of its own
 * @throws ContainerdError
 */
export async function unnoticed(
  { records, containerd }: Pick<Parts, "records" | "containerd">,
  told: () => ReadonlyMap<string, Told>,
): Promise<Set<string>> {
  const [all, { tasks }] = await Promise.all([records.list(), containerd.tasks.list({})]);
  const statuses = tasks.map(taskState).map(({ containerId, status }) => [containerId, status] as const);
  return unlike(all, new Map(statuses), told());
}

/** The keys whose records and tasks are not what is told of them; those of which there is no one record, in any case. */
export function unlike(
  records: readonly Pick<Record, "id" | "applied">[],
  tasks: ReadonlyMap<string, TaskStatus>,
  told: ReadonlyMap<string, Told>,
): Set<string> {
  const byKey = Map.groupBy(records, ({ applied }) => keyOf(applied));
  const isAsTold = (key: string): boolean => {
    const [record, ...others] = byKey.get(key) ?? [];
    const last = told.get(key);
    if (record === undefined || others.length > 0 || last?.uid !== record.applied.uid) return false;
    return last.state === STATES[tasks.get(record.id) ?? "none"];
  };
  return new Set([...byKey.keys(), ...told.keys()].filter((key) => !isAsTold(key)));
}

/** What is told of a container by its task, where nothing is on its way to be otherwise. */
const STATES: Partial<{ readonly [S in TaskStatus | "none"]: State }> = {
  none: "Exited",
  running: "Running",
  paused: "Paused",
};
