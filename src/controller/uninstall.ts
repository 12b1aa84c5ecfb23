/**
 * `berth uninstall`: leaves no object that only an agent could let go of, so that no namespace hangs when there is none.
 *
 * With `--delete`, while the agents live, all objects are deleted, and it waits for the agents to clean up. Without, when
 * the agents are gone, all finalizers are taken off; containers run on, and agents that come later take them over. Agents
 * put a finalizer back as long as they live, so it goes on until none has come back for a while.
 */
import { setTimeout as sleep } from "node:timers/promises";
import type { Logger } from "pino";
import { FINALIZER, type ObjectMeta } from "../api/index.ts";
import {
  checkpointPath,
  containerPath,
  isConflict,
  isNotFound,
  isNotServed,
  KubeApi,
  type KubeObject,
  ListWatch,
  WorkQueue,
} from "../kube/index.ts";
import { dropFinalizer } from "../lifecycle/finalizer.ts";
import type { UninstallConfig } from "./config.ts";

/** Milliseconds without a finalizer, after which no agent is taken to be left that would put one back. */
const SETTLE_MS = 10_000;
const CONCURRENCY = 8;
const BACKOFF = { baseMs: 200, maxMs: 5000 };
/** How many of what is left are named. */
const NAMED = 10;

type Owned = KubeObject & { metadata: ObjectMeta };

interface Kind {
  readonly name: string;
  readonly path: typeof containerPath;
}

const KINDS: readonly Kind[] = [
  { name: "containers", path: containerPath },
  { name: "containercheckpoints", path: checkpointPath },
];

/**
 * Does it.
 * @throws Error naming what is left when the time is over; ApiError when the rights are missing
 */
export async function uninstall(config: UninstallConfig, logger: Logger): Promise<void> {
  const api = KubeApi.load({ kubeconfig: config.kubeconfig });
  const deadline = performance.now() + config.timeoutMs;
  try {
    const settled = await Promise.allSettled(
      KINDS.map(async (kind) => {
        if (await isServed(api, kind)) await settle(api, kind, { ...config, deadline, logger });
        else logger.info({ resource: kind.name }, "there is no such resource: nothing to do");
      }),
    );
    for (const result of settled) if (result.status === "rejected") throw result.reason;
  } finally {
    api.close();
  }
}

async function isServed(api: KubeApi, { path }: Kind): Promise<boolean> {
  try {
    await api.get(path(), { query: { limit: 1 } });
    return true;
  } catch (error) {
    if (isNotServed(error)) return false;
    throw error;
  }
}

interface How {
  readonly delete: boolean;
  /** By performance.now(). */
  readonly deadline: number;
  readonly timeoutMs: number;
  readonly logger: Logger;
}

/** Works on all objects of a kind until there is nothing to do about any. */
async function settle(api: KubeApi, kind: Kind, how: How): Promise<void> {
  const { logger } = how;
  let changed = Promise.withResolvers<undefined>();
  const touched = new Set<string>();
  const objects = new ListWatch<Owned>({
    api,
    path: kind.path(),
    trim: ({ metadata }) => ({ metadata }),
    onChange: (key, object) => {
      if (object !== undefined) queue.add(key);
      changed.resolve(undefined);
    },
    onSync: () => {
      changed.resolve(undefined);
    },
    logger,
  });
  const queue = new WorkQueue({
    concurrency: CONCURRENCY,
    handler: async (key) => {
      const object = objects.get(key);
      if (object === undefined || !isDue(object, how)) return;
      if (await workOn(api, objects, object, { kind, how })) touched.add(key);
      // Own writes are no news.
      changed.resolve(undefined);
    },
    backoff: BACKOFF,
    logger,
  });
  objects.start();
  try {
    for (;;) {
      changed = Promise.withResolvers<undefined>();
      const left = objects.synced ? objects.list().filter((object) => isLeft(object, how)) : undefined;
      const wait = how.deadline - performance.now();
      if (wait <= 0) throw new Error(stillThere(kind, left ?? [], how));
      // Nobody tells that no agent is left.
      const isDone = left?.length === 0;
      if (isDone && (how.delete || (await isQuiet(changed.promise)))) break;
      if (!isDone) await Promise.race([changed.promise, sleep(wait, undefined, { ref: false })]);
    }
  } finally {
    await Promise.all([objects.stop(), queue.close(1000)]);
  }
  logger.info({ resource: kind.name, count: touched.size }, how.delete ? "deleted" : "released");
}

async function isQuiet(changed: Promise<undefined>): Promise<boolean> {
  return Promise.race([changed.then(() => false), sleep(SETTLE_MS, true)]);
}

function isLeft({ metadata }: Owned, how: How): boolean {
  return how.delete || metadata.finalizers?.includes(FINALIZER) === true;
}

function isDue(object: Owned, how: How): boolean {
  return how.delete ? object.metadata.deletionTimestamp === undefined : isLeft(object, how);
}

async function workOn(
  api: KubeApi,
  objects: ListWatch<Owned>,
  object: Owned,
  { kind, how }: { kind: Kind; how: How },
): Promise<boolean> {
  const { namespace, name, uid } = object.metadata;
  const path = kind.path(namespace, name);
  if (!how.delete) return dropFinalizer(api, objects, object, path);
  try {
    await api.delete(path, { preconditions: { uid } });
    return true;
  } catch (error) {
    if (isNotFound(error) || isConflict(error)) return false;
    throw error;
  }
}

function stillThere({ name }: Kind, left: readonly Owned[], how: How): string {
  const names = left.slice(0, NAMED).map(({ metadata }) => `${metadata.namespace}/${metadata.name}`);
  const more = left.length > NAMED ? ` and ${left.length - NAMED} more` : "";
  const which =
    left.length === 0 ? `${name}: the API server could not be asked` : `${name} left: ${names.join(", ")}${more}`;
  const advice = how.delete
    ? "their agents can't be reached, or something is in the way (see their status); without --delete their finalizers are taken off"
    : "an agent that still runs puts the finalizer back: delete the agents' DaemonSet first";
  return `after ${how.timeoutMs / 1000} s, ${which}; ${advice}`;
}
