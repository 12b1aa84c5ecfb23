/**
 * The guarded start, after the Docker daemon's: what it acquires, it gives back when a later step fails, and what a crash
 * leaves behind has a name by which the next attempt finds it.
 */
import { isDeepStrictEqual } from "node:util";
import type { Any } from "@bufbuild/protobuf/wkt";
import { isAlreadyExists } from "../containerd/index.ts";
import type { OciImageConfig, OciMount } from "../oci/index.ts";
import { connectNetwork, openNetwork, type StartNetwork, writeNames } from "./attach.ts";
import { removeCgroups } from "./cgroup.ts";
import { type Restore, restoreFiles, restoreOptions, restoring, withRestore } from "./checkpoint/restore.ts";
import { defaultAppArmor } from "./confinement.ts";
import type { Instance } from "./decide.ts";
import { renewDevices } from "./devices.ts";
import { runNow } from "./end.ts";
import { at, bothOf } from "./failure.ts";
import { instanceOf } from "./observe.ts";
import { phase } from "./observer.ts";
import type { Parts } from "./parts.ts";
import { type Peers, withPeers } from "./peers.ts";
import { type Applied, keyOf, NEVER_RUN, type Record, type RunState } from "./record.ts";
import { hasRecursiveReadOnly, runtimeHandler, specFor } from "./spec.ts";
import { createTask, forgetSandbox, rememberSandbox, startTask } from "./task.ts";
import { Undo } from "./undo.ts";
import type { VolumeFiles } from "./volume-files.ts";
import { NoLongerWanted } from "./wanted.ts";

/** A container to start: for the first time, or again on its record. */
export interface Start {
  readonly id: string;
  readonly applied: Applied;
  /** The record of the earlier start, when there was one. */
  readonly record?: Record;
  /** What a container that has no record yet is made from. */
  readonly source?: Source;
  /** The content of the configMap and secret volumes that have none yet. */
  readonly files?: VolumeFiles;
  /** The containers it needs, which run. */
  readonly peers: Peers;
  /** The annotation's value that this start acts on. */
  readonly restartedAt?: string;
  /** Whether this start counts as a restart. */
  readonly counts: boolean;
  /** Whether somebody asked for it: the restart policy's count and wait begin anew, as Docker's restart manager does. */
  readonly asked: boolean;
  /** Whether it is still wished; asked between the steps, for a step may take long. */
  readonly wanted: () => boolean;
  /** The checkpoint that it goes on from. */
  readonly restore?: Restore;
  /** The value of `spec.restoreFrom` that this start, or one before it, uses. */
  readonly restoredFrom?: string;
}

/** What the runtime spec of a new container is made from, beside the spec. */
export interface Source {
  readonly image: OciImageConfig;
  /** The variables of `env` and `envFrom`, resolved. */
  readonly env: ReadonlyMap<string, string>;
  /** Names of those whose values come from Secrets. */
  readonly secretEnv: ReadonlySet<string>;
}

interface Storage {
  readonly rootfs: Awaited<ReturnType<Parts["rootfs"]["mounts"]>>;
  readonly volumes: readonly OciMount[];
}

/**
 * Starts a container, and answers what it looks like then. The caller holds the key's place in the queue, which is the lock,
 * and has seen that there is no task.
 *
 * @throws StartError when a step failed; everything this start acquired is then given back
 * @throws NoLongerWanted when it was called off between two steps; likewise
 * @throws ContainerdError when containerd went away
 */
export async function start(parts: Parts, wish: Start): Promise<Instance | undefined> {
  const isNew = wish.record === undefined;
  await using undo = new Undo({
    // A container that ran before is found again by its record, whatever state this start leaves it in.
    stopAtFailure: isNew,
    onFailure: (error) => {
      parts.logger.error({ err: error, container: wish.id }, "a failed start could not be undone whole");
      if (isNew) parts.remains.add(wish.id, keyOf(wish.applied));
    },
  });

  if (isNew) {
    // Before both sides of what follows: of what `release` takes away, the one makes the volumes, the other the files of names.
    undo.defer(() => parts.rootfs.remove(wish.id));
    undo.defer(() => parts.volumes.release(wish.id));
  }
  const [[storage], { network, files }] = await bothOf(
    at("storage", () =>
      bothOf(
        phase(parts, wish, "storage", () => prepareStorage(parts, wish)),
        keepExits(parts, wish, undo),
      ),
    ),
    prepareNetwork(parts, wish, undo),
  );
  keepOn(wish);
  const mounts = [...storage.volumes, ...files];

  const state = afterStart(wish, network);
  await at("spec", () => renewForNode(parts, wish));
  const record =
    wish.record === undefined
      ? await createRecord(parts, wish, state, { ...storage, mounts, network }, undo)
      : await reviseRecord(parts, wish, { ...wish.record, state }, network.netns);
  keepOn(wish);
  // A namespace that could not be connected is gone, for which the task may fail, too: the first error counts.
  await bothOf(
    connectNetwork(parts, wish, network),
    bothOf(
      phase(parts, wish, "task", () =>
        at("create", async () => createTask(parts, record, storage.rootfs, undo, await taskOptions(parts, wish))),
      ),
      at("create", () => saveBefore(parts, wish, state)),
    ),
  );
  keepOn(wish);
  // Before its process runs, or a short run would end before it began.
  const begun = runNow(parts);
  const pid = await phase(parts, wish, "start", () => at("start", () => runTask(parts, wish)));

  undo.disarm();
  const run = { ...begun, pid };
  const { starting: _, ...started } = state;
  const [saved, task] = await bothOf(
    phase(parts, wish, "save", () => parts.records.saveState(wish.id, { ...started, run })),
    parts.containerd.task(wish.id),
  );
  parts.logger.info({ container: record.id, pid }, "started");
  return saved === undefined ? undefined : await instanceOf(parts, saved, task);
}

function keepOn({ id, wanted }: Start): void {
  if (!wanted()) throw new NoLongerWanted(id);
}

async function taskOptions(parts: Parts, { id, applied, restore }: Start): Promise<Any | undefined> {
  return restore === undefined ? undefined : restoreOptions(parts, id, applied.spec, restore);
}

async function runTask(parts: Parts, { id, restore }: Start): Promise<number> {
  const start = () => startTask(parts, id);
  return restore === undefined ? start() : restoring(parts, id, restore, start);
}

/** Without an entry in containerd's sandbox store, a task that ends while containerd is down loses its exit code. */
async function keepExits(parts: Parts, { id, applied, record }: Start, undo: Undo): Promise<void> {
  if (record !== undefined) return;
  undo.defer(() => forgetSandbox(parts, id));
  await rememberSandbox(parts, id, runtimeHandler(parts, applied.spec).type);
}

/** The root filesystem and the volumes: made for a new container, found again for one that is started again. */
async function prepareStorage(parts: Parts, wish: Start): Promise<Storage> {
  const { id, applied, record, restore } = wish;
  const rootfs = record === undefined ? await createRootfs(parts, wish) : await parts.rootfs.mounts(id);
  if (record === undefined && restore !== undefined) await restoreFiles(parts, restore, rootfs);
  const volumes = await parts.volumes.prepare(id, applied, {
    rootfs,
    isNew: record === undefined,
    recursiveReadOnly: hasRecursiveReadOnly(runtimeHandler(parts, applied.spec)),
    ...(wish.files === undefined ? {} : { files: wish.files }),
  });
  return { rootfs, volumes };
}

/** The network namespace, and the files that tell of the network. */
async function prepareNetwork(
  parts: Parts,
  wish: Start,
  undo: Undo,
): Promise<{ network: StartNetwork; files: readonly OciMount[] }> {
  const network = await at("network", () => openNetwork(parts, wish, undo));
  const files = await phase(parts, wish, "files", () => at("storage", () => writeNames(parts, wish, network)));
  return { network, files };
}

async function createRootfs(parts: Parts, { id, applied }: Start): Promise<Storage["rootfs"]> {
  try {
    return await parts.rootfs.prepare(id, applied.image.chainID);
  } catch (error) {
    if (!isAlreadyExists(error)) throw error;
    // A crashed attempt left it; nothing of it was ever used.
    await parts.rootfs.remove(id);
    return parts.rootfs.prepare(id, applied.image.chainID);
  }
}

/** What a container that is started again has from others may be new. */
async function reviseRecord(
  parts: Parts,
  { id, applied, peers }: Start,
  record: Record,
  netns: string | undefined,
): Promise<Record> {
  if (peers.joined === undefined && peers.links.length === 0) return record;
  const spec = await parts.records.spec(id);
  const revised = withPeers(spec, peers, netns);
  if (!isDeepStrictEqual(spec, revised)) await at("create", () => parts.records.saveApplied(id, applied, revised));
  return record;
}

/** The container's record, from which on the start can be found again. */
async function createRecord(
  parts: Parts,
  wish: Start,
  state: RunState,
  made: Storage & { mounts: readonly OciMount[]; network: StartNetwork },
  undo: Undo,
): Promise<Record> {
  const { source } = wish;
  if (source === undefined) throw new Error(`container ${wish.id} has neither a record nor an image to make one from`);
  const { spec, runtime } = await phase(parts, wish, "spec", () =>
    at("spec", () => specFor(parts, wish, source, made)),
  );
  const record = { id: wish.id, applied: wish.applied, state };
  const complete = wish.restore === undefined ? spec : withRestore(parts, wish.id, spec);
  undo.defer(() => parts.records.delete(wish.id));
  // The runtime takes back the container's own, but not the parents it made for it.
  undo.defer(() => removeCgroups(parts, wish.id));
  await phase(parts, wish, "record", () =>
    at("create", () => parts.records.create({ ...record, spec: complete, runtime })),
  );
  return record;
}

/** What a container that is started again needs of the node, and may have changed there since its runtime spec was written. */
async function renewForNode(parts: Parts, { record }: Start): Promise<void> {
  if (record === undefined) return;
  await defaultAppArmor(parts, record.applied.spec);
  await renewDevices(parts, record);
}

/** What a start again will have changed must be known before its task runs, or a crash in between would count it twice. */
async function saveBefore(parts: Parts, wish: Start, state: RunState): Promise<void> {
  if (wish.record !== undefined) await parts.records.saveState(wish.id, state);
}

/** The run state that a start leaves, but for the run itself: the restart manager's waits and verdicts are over. */
function afterStart(wish: Start, { netns }: StartNetwork): RunState {
  const { restartCount, lastEnd, backoffMs, policyRestarts = 0 } = wish.record?.state ?? NEVER_RUN;
  const counted = wish.counts ? 1 : 0;
  return {
    restartCount: restartCount + counted,
    policyRestarts: wish.asked ? 0 : policyRestarts + counted,
    backoffMs: wish.asked ? 0 : backoffMs,
    starting: true,
    ...(lastEnd === undefined ? {} : { lastEnd }),
    ...(netns === undefined ? {} : { holdsNetwork: true }),
    ...(wish.restartedAt === undefined ? {} : { restartedAt: wish.restartedAt }),
    ...(wish.restoredFrom === undefined ? {} : { restoredFrom: wish.restoredFrom }),
  };
}
