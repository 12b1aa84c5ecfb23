/**
 * Walks a ring of paths (start, restart, stop, remove, …) again and again, and kills the agent once on each of them, at
 * another point each time round: of each path, all its points are seen in the end.
 */
import { CrashAgent } from "./crash-agent.ts";
import { nameOf, type Point } from "./points.ts";
import type { Death, Moment } from "./trace.ts";
import type { TestNode } from "../support/test-node.ts";

/** One way that a subject `S` (a Container, and what is known of it) is taken on. */
export interface Path<S> {
  readonly name: string;
  /** Whether the agent is killed on it; otherwise it only leads to the next one. */
  readonly isWalked: boolean;
  /** Left out when it has no points left, alone or with the others of its group, which are only of use together. */
  readonly group?: string;
  /** Where the walk of this path ends, if that is before it is through. */
  readonly until?: (moment: Moment) => boolean;
  /** Where an agent is killed first: what is walked is the way of the next one, from its beginning on. */
  readonly after?: Death;
  /** What has to be done before, and is not walked. */
  readonly prepare?: (subject: S) => Promise<void>;
  /** What sets it off. */
  readonly trigger: (subject: S) => Promise<void>;
  /** Waits until all is as it must be at its end; says what is not. Asked again after each crash. */
  readonly reached: (subject: S) => Promise<void>;
}

/** A ring of paths, each of which begins where the one before it ends. */
export interface Ring<S> {
  readonly subject: (number: number) => S;
  readonly paths: readonly Path<S>[];
}

/** What came of one point. */
export interface Verdict {
  readonly path: string;
  readonly point: string;
  /** The agent was not killed: the moment did not come again. */
  readonly missed?: true;
  /** Why the next agent did not put it right. */
  readonly wrong?: string;
}

/** A path's points that are still to come, and how often each was missed. */
interface Rest<S> {
  readonly path: Path<S>;
  readonly points: Point[];
  readonly missed: Map<Point, number>;
}

/** Milliseconds without anything happening after which an agent is at rest. */
const REST_MS = 80;
const RECORDED_REST_MS = 250;
/** Milliseconds that a moment may be late for, when its path is through. */
const LATE_MS = 1500;
/** How often a point is tried that is not come to: what is done beside each other is not always done in one order. */
const TRIES = 3;
/** How often the world is compared with what it was, in rounds. */
const AUDIT_EVERY = 10;

export class Walk {
  readonly verdicts: Verdict[] = [];
  readonly #test: TestNode;
  readonly #source: string;
  readonly #onVerdict: (verdict: Verdict) => void;
  #agent: CrashAgent;
  #next: CrashAgent;
  #agents = 0;
  #subjects = 0;

  /**
   * @param source where the instrumented source is
   * @param onVerdict told of each as it comes
   */
  constructor(test: TestNode, source: string, onVerdict: (verdict: Verdict) => void) {
    this.#test = test;
    this.#source = source;
    this.#onVerdict = onVerdict;
    this.#agent = this.#load();
    this.#next = this.#load();
  }

  /** Starts the first agent. */
  async begin(): Promise<void> {
    await this.#agent.begin();
  }

  /** Ends the agents. */
  async end(): Promise<void> {
    await Promise.all([this.#agent.kill(), this.#next.kill()]);
  }

  /**
   * Goes a ring without killing anything, and answers what each of its paths was seen to do: the second time, for the first
   * does much that is done from then on.
   */
  async record<S>(ring: Ring<S>): Promise<Map<string, Moment[]>> {
    const first = ring.subject(++this.#subjects);
    for (const path of ring.paths) await this.#pass(first, path);
    const recordings = new Map<string, Moment[]>();
    const subject = ring.subject(++this.#subjects);
    for (const path of ring.paths) {
      await this.#setOff(subject, path, RECORDED_REST_MS, (agent) => agent.record());
      await path.reached(subject);
      await this.#agent.rest(RECORDED_REST_MS);
      if (path.isWalked) recordings.set(path.name, upTo(await this.#agent.recorded(), path.until));
    }
    return recordings;
  }

  /** Goes a ring until all these points are seen. */
  async walk<S>(ring: Ring<S>, points: ReadonlyMap<string, readonly Point[]>): Promise<void> {
    const rests = ring.paths.map((path) => ({ path, points: [...(points.get(path.name) ?? [])], missed: new Map() }));
    await this.#agent.rest(REST_MS);
    const before = await this.#test.audit();
    for (let round = 1; rests.some((rest) => rest.points.length > 0); round++) {
      await this.#round(ring.subject(++this.#subjects), rests);
      if (round % AUDIT_EVERY > 0 && rests.some((rest) => rest.points.length > 0)) continue;
      const leaks = await this.#test.leaks(before);
      if (leaks.length > 0) this.#judge({ path: "all", point: `round ${round}`, wrong: leaks.join("\n") });
    }
  }

  async #round<S>(subject: S, rests: readonly Rest<S>[]): Promise<void> {
    // All of a group or none: also when the last point of one of them is taken on the way.
    const gone = rests.filter(({ path }) => !isLeftOut(path, rests));
    for (const { path, points, missed } of gone) {
      const point = points.shift();
      try {
        if (point === undefined) await this.#pass(subject, path);
        else if (await this.#killAt(subject, path, point)) this.#judge({ path: path.name, point: nameOf(point) });
        else {
          const tries = (missed.get(point) ?? 0) + 1;
          missed.set(point, tries);
          if (tries < TRIES) points.push(point);
          else this.#judge({ path: path.name, point: nameOf(point), missed: true });
        }
      } catch (error) {
        const wrong = error instanceof Error ? error.message : String(error);
        this.#judge({ path: path.name, point: point === undefined ? "none" : nameOf(point), wrong });
        // The others are to be seen all the same.
        await this.#test.deleteAll();
        return;
      }
    }
  }

  async #pass<S>(subject: S, path: Path<S>): Promise<void> {
    await this.#setOff(subject, path, REST_MS, () => Promise.resolve());
    await path.reached(subject);
  }

  /** Kills the agent at a point, and has the next one see to it. Answers false when the point did not come. */
  async #killAt<S>(subject: S, path: Path<S>, point: Point): Promise<boolean> {
    await this.#setOff(subject, path, REST_MS, (agent) => agent.dieAt(point));
    const isDead = await this.#awaitDeath(path.reached(subject));
    if (!isDead && (await this.#spare())) return false;
    this.#replace();
    await this.#agent.begin();
    await path.reached(subject);
    return true;
  }

  /** Sets a path off; the agent that walks it is told something before. */
  async #setOff<S>(
    subject: S,
    path: Path<S>,
    restMs: number,
    tell: (agent: CrashAgent) => Promise<void>,
  ): Promise<void> {
    await path.prepare?.(subject);
    await this.#agent.rest(restMs);
    if (path.after === undefined) {
      await tell(this.#agent);
      await path.trigger(subject);
      return;
    }
    await this.#agent.dieAt(path.after);
    await path.trigger(subject);
    if (!(await this.#awaitDeath(path.reached(subject)))) throw new Error(`there was no ${nameOf(path.after)}`);
    this.#replace();
    await tell(this.#agent);
    await this.#agent.begin();
  }

  /** Has the agent live on, whatever comes. Answers false when it has just died. */
  #spare(): Promise<boolean> {
    return this.#agent.record().then(
      () => true,
      () => false,
    );
  }

  /** The next agent takes the place of one that is dead. */
  #replace(): void {
    this.#agent = this.#next;
    this.#next = this.#load();
  }

  /** Whether the agent dies before its path is through, or a little later: some of what it does comes after. */
  async #awaitDeath(reached: Promise<void>): Promise<boolean> {
    const agent = this.#agent;
    const died = agent.ended.then(() => true);
    const over = reached.then(
      () =>
        agent.rest(LATE_MS).then(
          () => false,
          () => true,
        ),
      // Said by the agent that follows.
      () => died,
    );
    return Promise.race([died, over]);
  }

  #judge(verdict: Verdict): void {
    this.verdicts.push(verdict);
    this.#onVerdict(verdict);
  }

  #load(): CrashAgent {
    return new CrashAgent(this.#test.node, this.#source, ++this.#agents);
  }
}

/** A path that nothing asks for any more, of itself or of its group. */
function isLeftOut<S>({ group }: Path<S>, rests: readonly Rest<S>[]): boolean {
  if (group === undefined) return false;
  return rests.every(({ path, points }) => path.group !== group || points.length === 0);
}

function upTo(moments: Moment[], isEnd: ((moment: Moment) => boolean) | undefined): Moment[] {
  const index = isEnd === undefined ? -1 : moments.findIndex(isEnd);
  return index < 0 ? moments : moments.slice(0, index);
}
