/** From a recording: the points at which a path is killed, and which of them leave the same state outside. */
import type { Death, Moment } from "./trace.ts";

/** A point, and the class of those that nothing outside the process can tell from it. */
export interface Point extends Death {
  readonly stateClass: number;
  /** The last change has begun and is not over, as far as the agent knows. */
  readonly isBetween: boolean;
}

/** A change that takes so many milliseconds is also killed half-way. */
const LONG_MS = 3;

/** All moments of a recording as points, in their order, and the middle of each long change. */
export function pointsOf(recording: readonly Moment[]): Point[] {
  const hits = new Map<string, number>();
  const ends = endsOf(recording);
  const points: Point[] = [];
  let state = { stateClass: 0, isBetween: false };
  for (const moment of recording) {
    const { kind, what, atMs } = moment;
    const hit = (hits.get(`${kind} ${what}`) ?? 0) + 1;
    hits.set(`${kind} ${what}`, hit);
    const end = ends.get(moment);
    // What has ended has changed something; what begins, not yet.
    const changes = kind === "end" ? moment.unchanged !== true : end?.unchanged !== true;
    if (kind === "end" && changes) state = { stateClass: state.stateClass + 1, isBetween: false };
    points.push({ kind, what, hit, afterMs: 0, ...state });
    if (kind !== "begin" || !changes) continue;
    state = { stateClass: state.stateClass + 1, isBetween: true };
    const tookMs = (end?.atMs ?? atMs) - atMs;
    if (tookMs >= LONG_MS) points.push({ kind, what, hit, afterMs: Math.ceil(tookMs / 2), ...state });
  }
  return points;
}

/** The end of each change, by its begin. */
function endsOf(recording: readonly Moment[]): Map<Moment, Moment> {
  const open = new Map<string, Moment[]>();
  const ends = new Map<Moment, Moment>();
  for (const moment of recording) {
    const { kind, what } = moment;
    if (kind === "begin") open.set(what, [...(open.get(what) ?? []), moment]);
    const begin = kind === "end" ? open.get(what)?.shift() : undefined;
    if (begin !== undefined) ends.set(begin, moment);
  }
  return ends;
}

/**
 * One point of each class. Of a change that is over in no time, none that is between its begin and its end: whether it is
 * made by then is not to be told, so that it is one of the classes before and after it.
 */
export function representatives(points: readonly Point[]): Point[] {
  return firstOfEach(
    points.filter(({ isBetween, afterMs }) => !isBetween || afterMs > 0),
    ({ stateClass }) => String(stateClass),
  );
}

/** Each await, in each class in which it is come to, and what stands for the classes. */
export function everyAwait(points: readonly Point[]): Point[] {
  const standing = new Set(representatives(points));
  const awaits = firstOfEach(
    points.filter(({ kind }) => kind === "await"),
    ({ what, stateClass }) => `${what} ${stateClass}`,
  );
  const chosen = new Set([...standing, ...awaits]);
  return points.filter((point) => chosen.has(point));
}

function firstOfEach(points: readonly Point[], nameOfClass: (point: Point) => string): Point[] {
  const chosen = new Map<string, Point>();
  for (const point of points) if (!chosen.has(nameOfClass(point))) chosen.set(nameOfClass(point), point);
  return [...chosen.values()];
}

/** A point as a person, and `BERTH_CRASH_POINT`, names it. */
export function nameOf({ kind, what, hit, afterMs }: Death): string {
  return `${kind} ${what} #${hit}${afterMs > 0 ? ` +${afterMs} ms` : ""}`;
}

/** A share of them, chosen by a number, in their order: other numbers choose others. */
export function chosenBy(seed: number, points: readonly Point[], count: number): Point[] {
  const random = randomFrom(seed);
  const drawn = points.map((point) => ({ point, lot: random() })).sort((a, b) => a.lot - b.lot);
  const chosen = new Set(drawn.slice(0, count).map(({ point }) => point));
  return points.filter((point) => chosen.has(point));
}

/** Numbers between 0 and 1, the same for the same seed (mulberry32). */
function randomFrom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
