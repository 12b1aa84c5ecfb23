/** What is measured of each peer, turn by turn. */
import { mkdirSync, rmSync } from "node:fs";
import { open } from "node:fs/promises";
import { join } from "node:path";
import { run } from "../../src/node/index.ts";
import { type Peer, PLAIN, type Shape } from "./peer.ts";

/** One peer's turn. */
export interface Turn {
  /** How long each call took. */
  readonly ms: readonly number[];
  /** How long all of them took together: less than their sum where they were made at once. */
  readonly wallMs: number;
}

/** What a turn needs beside the peer. */
export interface TurnContext {
  /** How many calls a turn has, where they are made one after the other. */
  readonly calls: number;
  /** A name that no container has had. */
  readonly newName: () => string;
  /** A directory for what containers are given of this machine. */
  readonly dir: string;
}

export interface Scenario {
  readonly name: string;
  readonly title: string;
  /** All calls at once: then the rate counts, too. */
  readonly isBurst?: true;
  /** Whether a peer has what it takes. */
  readonly isFor: (peer: Peer) => boolean;
  readonly turn: (peer: Peer, context: TurnContext) => Promise<Turn>;
}

const all = (): boolean => true;
/** A Pod takes seconds to come and to go: it is measured in one scenario. */
const notPods = (peer: Peer): boolean => peer.name !== "kubelet";

export const SCENARIOS: readonly Scenario[] = [
  { name: "one", title: "start, one at a time", isFor: all, turn: starts(PLAIN) },
  { name: "none", title: "start, network None", isFor: notPods, turn: starts({ ...PLAIN, network: "None" }) },
  { name: "ports", title: "start, with 3 ports", isFor: notPods, turn: starts({ ...PLAIN, ports: 3 }) },
  { name: "volumes", title: "start, with 5 volumes", isFor: notPods, turn: starts({ ...PLAIN, volumes: 5 }) },
  { name: "burst30", title: "start, 30 at once", isBurst: true, isFor: notPods, turn: burst(30) },
  { name: "burst100", title: "start, 100 at once", isBurst: true, isFor: notPods, turn: burst(100) },
  {
    name: "restart",
    title: "restart after exit",
    isFor: (peer) => "restart" in peer,
    turn: (peer, context) => inTurn(context, (name) => timedRestart(peer, context, name)),
  },
  {
    name: "stop",
    title: "stop",
    isFor: (peer) => "stop" in peer,
    turn: onRunning((peer, name) => peer.stop?.(name)),
  },
  {
    name: "delete",
    title: "stop and delete",
    isFor: notPods,
    turn: (peer, context) =>
      inTurn(context, async (name) => {
        await peer.start(name, PLAIN);
        return timed(() => peer.remove(name));
      }),
  },
  {
    name: "recreate",
    title: "stop, delete and start anew",
    isFor: (peer) => "recreate" in peer,
    turn: onRunning((peer, name) => peer.recreate?.(name)),
  },
];

/** One call after the other; each has a name of its own, and answers the milliseconds that count. */
async function inTurn({ calls, newName }: TurnContext, call: (name: string) => Promise<number>): Promise<Turn> {
  const ms: number[] = [];
  for (let made = 0; made < calls; made++) ms.push(await call(newName()));
  return { ms, wallMs: ms.reduce((sum, each) => sum + each, 0) };
}

function starts(shape: Shape): Scenario["turn"] {
  return (peer, context) =>
    inTurn(context, async (name) => {
      const ms = await timed(() => peer.start(name, shape));
      await peer.remove(name);
      return ms;
    });
}

/** What is done to a container that runs, and leaves one that has to be removed. */
function onRunning(verb: (peer: Peer, name: string) => Promise<void> | undefined): Scenario["turn"] {
  return (peer, context) =>
    inTurn(context, async (name) => {
      await peer.start(name, PLAIN);
      const ms = await timed(async () => verb(peer, name));
      await peer.remove(name);
      return ms;
    });
}

function burst(count: number): Scenario["turn"] {
  return async (peer, { newName }) => {
    const names = Array.from({ length: count }, newName);
    const ms: number[] = [];
    const wallMs = await timed(() =>
      Promise.all(names.map(async (name) => ms.push(await timed(() => peer.start(name, PLAIN))))),
    );
    await Promise.all(names.map((name) => peer.remove(name)));
    return { ms, wallMs };
  };
}

/** From the end of a process until it runs again, without the wait that its restart policy has by design. */
async function timedRestart(peer: Peer, { dir }: TurnContext, name: string): Promise<number> {
  const ending = join(dir, name);
  mkdirSync(ending, { recursive: true });
  await run("mkfifo", [join(ending, "go")]);
  await peer.start(name, { ...PLAIN, ending });
  let ended = 0;
  await peer.restart?.(name, async () => {
    // Opened when the process has opened it.
    const fifo = await open(join(ending, "go"), "w");
    ended = performance.now();
    await fifo.writeFile("\n");
    await fifo.close();
  });
  const ms = performance.now() - ended - (peer.backoffMs ?? 0);
  await peer.remove(name);
  rmSync(ending, { recursive: true });
  return ms;
}

async function timed(action: () => Promise<unknown>): Promise<number> {
  const begun = performance.now();
  await action();
  return performance.now() - begun;
}
