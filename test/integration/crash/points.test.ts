// The agent is killed on each path of a Container's life, at one point after another, and the next one puts it right. Here
// at a share of the states that it can leave; `make test-crash` does it in each of them.
import { mkdirSync } from "node:fs";
import { join, resolve } from "node:path";
import { afterAll, beforeAll, expect, it } from "@jest/globals";
import { instrument } from "../../crash/instrument.ts";
import { chosenBy, everyAwait, pointsOf, representatives } from "../../crash/points.ts";
import { ringOf, RINGS } from "../../crash/rings.ts";
import type { Moment } from "../../crash/trace.ts";
import { type Verdict, Walk } from "../../crash/walk.ts";
import { seedOf } from "../../support/seed.ts";
import { useNode } from "../../support/test-node.ts";

/** Of each path's states. Another seed draws others. */
const SHARE = 0.05;
/** Of the points, how many may not come again. */
const MAY_BE_MISSED = 0.1;
const HOUR_MS = 3_600_000;

const { BERTH_CRASH: mode = "share", BERTH_CRASH_PATHS: paths } = process.env;
let seed = 0;

const test = useNode({ startAgent: false });
let walk: Walk;
let awaitsInSource = 0;
const awaitsCome = new Set<string>();

beforeAll(async () => {
  seed = await seedOf("BERTH_CRASH_SEED");
  const source = join(test().node.dir, "instrumented");
  mkdirSync(source);
  awaitsInSource = instrument(resolve(import.meta.dirname, "../../../src"), source);
  walk = new Walk(test(), source, tell);
  await walk.begin();
}, 60_000);

function tell({ path, point, missed, wrong }: Verdict): void {
  const verdict = wrong === undefined ? (missed === true ? "did not come" : "put right") : `WRONG: ${wrong}`;
  if (mode !== "share" || wrong !== undefined) say(`${new Date().toISOString()} ${path}: ${point}: ${verdict}`);
}

function say(line: string): void {
  process.stderr.write(`${line}\n`);
}

/** Which points of a path are walked. */
function choose(name: string, recording: readonly Moment[]) {
  const all = pointsOf(recording);
  for (const { kind, what } of all) if (kind === "await") awaitsCome.add(what);
  const awaits = everyAwait(all);
  const states = representatives(all);
  const isMeant = paths === undefined || paths.split(",").includes(name);
  const share =
    mode === "all" ? awaits : mode === "states" ? states : chosenBy(seed, states, Math.ceil(states.length * SHARE));
  const chosen = isMeant ? share : [];
  say(`${name}: ${awaits.length} awaits and changes, which leave ${states.length} states; killed at ${chosen.length}`);
  return [name, chosen] as const;
}

it.each(RINGS)(
  "%s: whatever state the agent dies in, the next one puts it right",
  async (name) => {
    const ring = ringOf(test(), name);
    say(`crash points of ${name}, BERTH_CRASH_SEED=${seed}`);
    const recordings = await walk.record(ring);
    const points = new Map([...recordings].map(([path, recording]) => choose(path, recording)));
    const began = walk.verdicts.length;
    await walk.walk(ring, points);
    const verdicts = walk.verdicts.slice(began);
    const missed = verdicts.filter((verdict) => verdict.missed === true);
    say(`${name}: ${verdicts.length} verdicts; ${missed.length} points did not come again`);
    expect(verdicts.filter(({ wrong }) => wrong !== undefined)).toEqual([]);
    // Else it is not this path that is walked.
    expect(missed.length).toBeLessThanOrEqual(1 + verdicts.length * MAY_BE_MISSED);
  },
  3 * HOUR_MS,
);

afterAll(async () => {
  say(`of the ${awaitsInSource} awaits in the source, ${awaitsCome.size} are on these paths`);
  await walk.end();
});
