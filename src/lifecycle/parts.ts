/** What the verbs work with: one agent's parts and settings. */
import { join } from "node:path";
import type { Logger } from "pino";
import { API_VERSION, type ContainerCheckpoint } from "../api/index.ts";
import type { Config } from "../config.ts";
import type { Containerd } from "../containerd/index.ts";
import { type EventRecorder, type KubeApi, type KubeObject, ReferenceWatcher } from "../kube/index.ts";
import { Network } from "../network/index.ts";
import { type Cgroups, diskUse, type NodeFacts, orMissing } from "../node/index.ts";
import { RootFilesystem, Volumes } from "../storage/index.ts";
import { LogRotation } from "../telemetry/index.ts";
import { BudgetLimits } from "./budget.ts";
import { CheckpointData } from "./checkpoint/data.ts";
import { type DiskRole, DiskWatch, type DiskWatchOptions } from "./disk-watch.ts";
import { HealthMonitor } from "./health-monitor.ts";
import { whyUnhealthy } from "./health.ts";
import { ImageCollector, type ImageCollectorOptions } from "./image-collector.ts";
import { imagesInUse, isImageWanted, type NodeObjects } from "./images-in-use.ts";
import { Neighbours } from "./neighbours.ts";
import type { Observer } from "./observer.ts";
import { OutputRescue } from "./output-rescue.ts";
import { clearProbe, runProbe } from "./probe.ts";
import { Pulls } from "./pulls.ts";
import { PodSecurity } from "./pod-security.ts";
import type { Applied } from "./record.ts";
import { Records } from "./records.ts";
import { Remains } from "./remains.ts";
import { Room } from "./room.ts";
import { FileUpdates } from "./volume-files.ts";

/** Writes an Event; never fails, never waits. */
export type Announce = (
  object: Pick<Applied, "namespace" | "name" | "uid">,
  type: "Normal" | "Warning",
  reason: string,
  message: string,
  /** Takes the place of the Event with the same word, instead of being another one. */
  replaces?: string,
) => void;

/** The parts and settings of one agent. */
export interface Parts {
  readonly nodeName: string;
  readonly api: KubeApi;
  readonly containerd: Containerd;
  readonly records: Records;
  readonly network: Network;
  readonly rootfs: RootFilesystem;
  readonly volumes: Volumes;
  readonly logs: LogRotation;
  readonly outputs: OutputRescue;
  readonly pulls: Pulls;
  readonly images: ImageCollector;
  readonly disks: DiskWatch;
  readonly health: HealthMonitor;
  readonly references: ReferenceWatcher;
  readonly fileUpdates: FileUpdates;
  readonly neighbours: Neighbours;
  readonly podSecurity: PodSecurity;
  readonly room: Room;
  readonly limits: BudgetLimits;
  /** The ContainerCheckpoints of the cluster, by key, as the API server told of them last. */
  readonly checkpoints: {
    readonly synced: boolean;
    get(key: string): ContainerCheckpoint | undefined;
  };
  /** What this node holds of them. */
  readonly checkpointData: CheckpointData;
  /** Writes an Event on the object that a container was made for. */
  readonly announce: Announce;
  /**
   * Writes such an Event, and returns when it is written.
   * @throws ApiError, ApiUnavailable
   */
  readonly report: (...event: Parameters<Announce>) => Promise<void>;
  readonly facts: NodeFacts;
  readonly cgroups: Cgroups;
  readonly runtimes: Config["runtimes"];
  readonly cgroupRoot: string;
  /** Where the node keeps its seccomp profiles. */
  readonly seccompDir: string;
  readonly bridgeSubnet: string;
  readonly stateDir: string;
  readonly logDir: string;
  /** The kernel's id of this boot: a task that was started under another one ended with the reboot. */
  readonly bootID: string;
  /** What failed undos have left. */
  readonly remains: Remains;
  readonly clock: () => Date;
  /** Milliseconds since the node's boot, whatever the clock is set to; all processes of the node count alike. */
  readonly uptime: () => number;
  readonly observer: Observer;
  readonly logger: Logger;
}

/** What parts are made from. */
export interface NodeSettings {
  readonly config: Config;
  readonly facts: { readonly node: NodeFacts; readonly cgroups: Cgroups; readonly bootID: string };
  readonly api: KubeApi;
  readonly containerd: Containerd;
  readonly events: EventRecorder;
  readonly checkpoints: Parts["checkpoints"];
  readonly objects: NodeObjects;
  readonly onDisk: DiskWatchOptions["onChange"];
  /** Has a key looked at again. */
  readonly requeue: (key: string) => void;
  /** Whether more keys wait for their turn than are worked on at once. */
  readonly isBusy: () => boolean;
  /** Resolves when no key waits or is worked on. */
  readonly idle: () => Promise<void>;
  readonly observer: Observer;
  readonly logger: Logger;
}

function referenceTo({ namespace, name, uid }: Pick<Applied, "namespace" | "name" | "uid">): KubeObject {
  return { apiVersion: API_VERSION, kind: "Container", metadata: { namespace, name, uid, resourceVersion: "" } };
}

/** As the kubelet's Events name the node. */
function nodeReference(name: string): KubeObject {
  return { apiVersion: "v1", kind: "Node", metadata: { name, uid: name, resourceVersion: "" } };
}

type AnnounceNode = ImageCollectorOptions["announce"];

function diskWatch(settings: NodeSettings, announce: AnnounceNode, outputs: OutputRescue): DiskWatch {
  const { config, containerd, onDisk, logger } = settings;
  return new DiskWatch({
    measure: () => measureDisks(config, containerd),
    onChange: (disk, isFull) => {
      if (isFull) announce("Warning", "DiskFull", `A disk is full: ${disk.words}`);
      else announce("Normal", "DiskHasRoom", `There is room again: ${disk.words}`);
      onDisk(disk, isFull);
    },
    onPeriod: () => {
      outputs.checkAll();
    },
    logger,
  });
}

function imageCollector(
  { config, containerd, objects, logger }: NodeSettings,
  announce: AnnounceNode,
  parts: Pick<Parts, "records" | "checkpointData" | "pulls">,
): ImageCollector {
  return new ImageCollector({
    high: config.imageGcHigh,
    low: config.imageGcLow,
    images: containerd.images,
    disks: async () => Promise.all((await containerd.imageRoots()).map(diskUse)),
    inUse: () => imagesInUse({ ...parts, objects, containerd }),
    isWanted: (name) => isImageWanted({ ...parts, objects }, name),
    announce,
    now: () => new Date(),
    logger,
  });
}

function budgetLimits({ config, facts, logger }: NodeSettings, announce: AnnounceNode): BudgetLimits {
  const { budget, cgroupRoot, stateDir } = config;
  return new BudgetLimits({ budget, cgroups: facts.cgroups, cgroupRoot, stateDir, announce, logger });
}

/** The disks that the agent needs; a directory that is not there yet is made with the first container. */
async function measureDisks(config: Config, containerd: Containerd): ReturnType<DiskWatchOptions["measure"]> {
  const roots = await containerd.imageRoots().catch((): string[] => []);
  const places: [DiskRole, string][] = [
    ["state", config.stateDir],
    ["data", config.dataDir],
    ["log", config.logDir],
    ...roots.map((root): [DiskRole, string] => ["images", root]),
  ];
  const uses = places.map(async ([role, path]) => {
    const use = await orMissing(diskUse(path));
    return use === undefined ? [] : [{ role, ...use }];
  });
  return (await Promise.all(uses)).flat();
}

/** Makes an agent's parts. Nothing is begun yet. */
export function makeParts(settings: NodeSettings): Parts {
  const { config, facts, api, containerd, events, checkpoints, requeue, isBusy, idle, observer, logger } = settings;
  const { stateDir, dataDir } = config;
  const announce: Announce = (object, type, reason, message, replaces) => {
    events.event(referenceTo(object), type, reason, message, replaces === undefined ? {} : { replaces });
  };
  const announceNode: AnnounceNode = (type, reason, message) => {
    events.event(nodeReference(config.nodeName), type, reason, message);
  };
  const volumes = new Volumes({ stateDir, dataDir });
  const outputs = new OutputRescue({ cgroups: facts.cgroups, idle, logger });
  const disks = diskWatch(settings, announceNode, outputs);
  const records = new Records(containerd);
  const checkpointData = new CheckpointData({ stateDir, dataDir });
  const onSettled = (key: string): void => {
    requeue(key);
    void images.look();
  };
  const { registryHostsDir: hostsDir } = config;
  const pulls = new Pulls({ source: containerd, hostsDir, onSettled, announce, observer, logger });
  const images = imageCollector(settings, announceNode, { records, checkpointData, pulls });
  const limits = budgetLimits(settings, announceNode);
  const onLeave = (): void => void limits.keep();
  const parts: Omit<Parts, "health"> = {
    nodeName: config.nodeName,
    api,
    containerd,
    records,
    network: new Network({ ...config, isBusy, idle, logger }),
    rootfs: new RootFilesystem({ containerd, stateDir }),
    volumes,
    logs: new LogRotation({ onLook: () => void disks.look(), logger }),
    outputs,
    pulls,
    images,
    disks,
    references: new ReferenceWatcher({ api, onAppear: requeue, logger }),
    fileUpdates: new FileUpdates({ api, volumes, onChange: requeue, logger }),
    neighbours: new Neighbours({ requeue, writeBlock: (id, block) => volumes.updateHosts(id, block), isBusy, logger }),
    podSecurity: new PodSecurity({ api, fallback: config.podSecurityDefault, requeue, logger }),
    room: new Room({ budget: config.budget, requeue, onLeave }),
    limits,
    checkpoints,
    checkpointData,
    announce,
    report: (object, type, reason, message) => events.report(referenceTo(object), type, reason, message),
    facts: facts.node,
    cgroups: facts.cgroups,
    runtimes: config.runtimes,
    cgroupRoot: config.cgroupRoot,
    seccompDir: join(dataDir, "seccomp"),
    bridgeSubnet: config.bridgeSubnet,
    stateDir,
    logDir: config.logDir,
    bootID: facts.bootID,
    remains: new Remains(),
    clock: () => new Date(),
    // CLOCK_MONOTONIC.
    uptime: () => Number(process.hrtime.bigint() / 1_000_000n),
    observer,
    logger,
  };
  return Object.assign(parts, { health: healthMonitor(parts, requeue) });
}

function healthMonitor(parts: Omit<Parts, "health">, requeue: (key: string) => void): HealthMonitor {
  const { containerd, records, stateDir, uptime, logger } = parts;
  return new HealthMonitor({
    uptime,
    probe: (watched, signal) => runProbe(parts, watched, signal),
    clear: (id) => clearProbe({ containerd, stateDir }, id),
    runs: async (id) => (await containerd.task(id))?.status === "running",
    save: (id, health) => records.saveHealth(id, health),
    onNews: (key, { applied }, before, after) => {
      requeue(key);
      if (after.status !== "Unhealthy" || before.status === "Unhealthy") return;
      parts.announce(applied, "Warning", "Unhealthy", whyUnhealthy(after));
    },
    logger,
  });
}
