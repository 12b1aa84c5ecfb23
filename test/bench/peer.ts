/** Whom the benchmark compares, and with what. */

/** In the order in which they take turns. */
export const PEERS = ["floor", "docker", "berth", "kubelet"] as const;
export type PeerName = (typeof PEERS)[number];

/** What they are called in tables and pictures. */
export const TITLES: Record<PeerName, string> = {
  floor: "the floor",
  docker: "Docker Engine",
  berth: "Berth",
  kubelet: "Pod on the kubelet",
};

/** What a container is made like, beside image and command, which are the same for all. */
export interface Shape {
  readonly network: "Bridge" | "None";
  /** How many ports of the node lead into it. */
  readonly ports: number;
  /** How many empty volumes of its own it has. */
  readonly volumes: number;
  /** A directory of this machine with a FIFO `go` in it: the process ends when a line has come out of that. */
  readonly ending?: string;
}

/** What a container is made like unless said otherwise. */
export const PLAIN: Shape = { network: "Bridge", ports: 0, volumes: 0 };

/** Where a container sees its {@link Shape.ending}. */
export const ENDING_PATH = "/bench";

/** The command of a container of that shape: it waits. */
export function commandOf({ ending }: Shape): string[] {
  return ending === undefined ? ["sleep", "3600"] : ["sh", "-c", `read line <${ENDING_PATH}/go`];
}

/**
 * What a container is stopped with: a first process does not get a signal that it has no handler for, and one that has just
 * been started has none yet.
 */
export const STOP_SIGNAL = "SIGKILL";

/** Where a container's volumes are mounted. */
export function volumePaths({ volumes }: Shape): string[] {
  return Array.from({ length: volumes }, (_, index) => `/volume-${index}`);
}

/** Ports within a container, one for each port of the node that leads to it. */
export function containerPorts({ ports }: Shape): number[] {
  return Array.from({ length: ports }, (_, index) => 8000 + index);
}

/**
 * One who starts containers. Each call returns when what was asked for is seen to be so: how long it takes is what is
 * measured. Several may be under way at once, of different names.
 */
export interface Peer {
  readonly name: PeerName;
  /** What is measured: from when until when. */
  readonly measures: string;
  /** What it is made of, with versions: known when it is up. */
  readonly versions: Readonly<Record<string, string>>;
  /** Milliseconds that it waits by design before it first starts a container again. */
  readonly backoffMs?: number;
  /** Gets ready, the image included. */
  up(): Promise<void>;
  /** What it does between its turns would be at the others' cost: it stands still from `rest` on until `wake` returns. */
  rest?(): Promise<void>;
  wake?(): Promise<void>;
  /** Makes a container and starts it. */
  start(name: string, shape: Shape): Promise<void>;
  /** Ends its process, with {@link STOP_SIGNAL}. */
  stop?(name: string): Promise<void>;
  /** Has a container that has a {@link Shape.ending} end by itself, and returns when its restart policy has it run again. */
  restart?(name: string, end: () => Promise<void>): Promise<void>;
  /** Puts another one in its place, as after a change of what it is made from. */
  recreate?(name: string): Promise<void>;
  /** Ends it, if it runs, and removes it with all that is its own. */
  remove(name: string): Promise<void>;
  /** Lets go of what it has. Containers are gone by then, or go with the node. */
  down(): Promise<void>;
}
