/** What a run has found out. */
import type { AgentCosts } from "./agent.ts";
import type { Machine } from "./machine.ts";
import type { PeerName } from "./peer.ts";
import type { Turn } from "./scenarios.ts";
import { median, quantile } from "./statistics.ts";
import type { Bar } from "./waterfall.ts";

/** One scenario of one peer, a turn for each round that counts. */
export interface Figure {
  readonly scenario: string;
  readonly title: string;
  readonly peer: PeerName;
  readonly isBurst: boolean;
  readonly turns: readonly Turn[];
}

/** Who took part, or why not. */
export interface Participant {
  readonly name: PeerName;
  readonly measures: string;
  readonly versions: Readonly<Record<string, string>>;
}

export interface Results {
  /** RFC 3339. */
  readonly at: string;
  readonly commit: string;
  /** The program that was measured: compiled in one piece, or the modules as they are. */
  readonly program: "compiled" | "source";
  readonly machine: Machine;
  readonly peers: readonly Participant[];
  readonly rounds: { readonly made: number; readonly discarded: number; readonly calls: number };
  /** Of the turns, how many began while the machine had something else to do. */
  readonly turns: { readonly made: number; readonly disturbed: number };
  readonly figures: readonly Figure[];
  readonly agent: AgentCosts;
  readonly waterfall?: readonly Bar[];
}

/** A figure in few numbers. */
export interface Summary {
  /** Milliseconds: the median of the turns' medians. */
  readonly median: number;
  /** Milliseconds, of all calls together. */
  readonly p90: number;
  readonly p99: number;
  /** Calls a second: the median of the turns'. */
  readonly perSecond: number;
}

export function summaryOf({ turns }: Pick<Figure, "turns">): Summary {
  const calls = turns.flatMap(({ ms }) => ms);
  return {
    median: median(turns.map(({ ms }) => median(ms))),
    p90: quantile(calls, 0.9),
    p99: quantile(calls, 0.99),
    perSecond: median(turns.map(({ ms, wallMs }) => (ms.length / wallMs) * 1000)),
  };
}

/** The summary of one peer's scenario; undefined where it was not measured. */
export function find(figures: readonly Figure[], scenario: string, peer: PeerName): Summary | undefined {
  const figure = figures.find((each) => each.scenario === scenario && each.peer === peer);
  return figure === undefined ? undefined : summaryOf(figure);
}
