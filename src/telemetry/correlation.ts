/** One id for all log lines of one piece of work, whichever part of the agent writes them. */
import { AsyncLocalStorage } from "node:async_hooks";
import { randomUUID } from "node:crypto";

interface Work {
  readonly reconcileID: string;
  readonly key: string;
  over: boolean;
}

const current = new AsyncLocalStorage<Work>();

/** Does a key's work under an id of its own. What the work sets going and outlives it (a pull, a watch) has none from then on. */
export function correlated<T>(key: string, work: () => Promise<T>): Promise<T> {
  const context = { reconcileID: randomUUID(), key, over: false };
  return current.run(context, work).finally(() => {
    context.over = true;
  });
}

/** The id and key of the work under way, for a log line (`reconcileID` is controller-runtime's name). A new object each time. */
export function correlation(): { reconcileID?: string; key?: string } {
  const work = current.getStore();
  return work === undefined || work.over ? {} : { reconcileID: work.reconcileID, key: work.key };
}
