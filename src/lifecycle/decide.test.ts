import { describe, expect, it } from "@jest/globals";
import { type ContainerSpec, withDefaults } from "../api/index.ts";
import type { TaskState } from "../containerd/index.ts";
import { startFailure } from "../oci/index.ts";
import { decide, type Desired, type Instance, type Observed, recordedWish } from "./decide.ts";
import { type End, NEVER_RUN, type Record, type RunState, type Verdict } from "./record.ts";

const NOW = new Date("2026-01-02T03:04:05.678Z");
const later = (ms: number): string => new Date(NOW.getTime() + ms).toISOString();
/** Milliseconds since the node's boot. */
const UPTIME = 5_000_000;
const AT = { date: NOW, uptimeMs: UPTIME };
const ID = "11111111-2222-3333-4444-555555555555-1";

const spec = (changes: Partial<ContainerSpec> = {}): ContainerSpec =>
  withDefaults({ nodeName: "node-1", image: "busybox", ...changes });

const wish = (changes: Partial<ContainerSpec> = {}, rest: Partial<Desired> = {}): Desired => ({
  kind: "present",
  generation: 1,
  spec: spec(changes),
  refused: false,
  done: false,
  ...(rest as object),
});

const RUN = { startedAt: later(-60_000), pid: 42, bootID: "boot" };
const end = (changes: Partial<End> = {}): End => ({
  exitCode: 1,
  reason: "Error",
  oomKilled: false,
  startedAt: later(-60_000),
  finishedAt: later(-1000),
  requested: false,
  ...changes,
});

const record = (state: Partial<RunState> = {}, applied: Partial<ContainerSpec> = {}): Record => ({
  id: ID,
  applied: {
    namespace: "default",
    name: "web",
    uid: ID.slice(0, 36),
    generation: 1,
    spec: spec(applied),
    image: { name: "docker.io/library/busybox:latest", digest: "sha256:1", chainID: "sha256:2" },
  },
  state: { ...NEVER_RUN, ...state },
});

const task = (status: TaskState["status"], pid = 42): TaskState => ({
  containerId: ID,
  pid,
  status,
  exitStatus: status === "stopped" ? 1 : 0,
  ...(status === "stopped" ? { exitedAt: NOW } : {}),
});

const seen = (current?: Instance, leftovers: Instance[] = []): Observed =>
  current === undefined ? { leftovers } : { current, leftovers };

const verb = (desired: Desired, observed: Observed): string => decide(desired, observed, AT).verb;

describe("without a record", () => {
  const verdict: Verdict = {
    failure: { exitCode: 127, reason: "CommandNotFound", state: "Exited", final: true, message: "", error: "" },
    attempts: 1,
    generation: 1,
  };

  it("creates what should run, and what should be paused", () => {
    expect(verb(wish(), seen())).toBe("create");
    expect(verb(wish({ desiredState: "Paused" }), seen())).toBe("create");
  });

  it("creates nothing that is to be stopped, can't be applied, has ended for good or is gone", () => {
    expect(verb(wish({ desiredState: "Stopped" }), seen())).toBe("none");
    expect(verb(wish({}, { refused: true }), seen())).toBe("none");
    expect(verb(wish({}, { done: true }), seen())).toBe("none");
    expect(verb({ kind: "absent" }, seen())).toBe("none");
    expect(verb({ kind: "deleting" }, seen())).toBe("none");
  });

  it("does not try again after a final verdict, until the spec or restartedAt changes", () => {
    expect(verb(wish({}, { verdict }), seen())).toBe("none");
    expect(verb(wish({}, { verdict, generation: 2 }), seen())).toBe("create");
    expect(verb(wish({}, { verdict, restartedAt: "now" }), seen())).toBe("create");
  });

  it("waits for the next try of a verdict that is not final", () => {
    const waiting = { ...verdict, nextRetryAt: later(10) };
    expect(decide(wish({}, { verdict: waiting }), seen(), AT)).toEqual({ verb: "wait", until: later(10) });
    expect(verb(wish({}, { verdict: { ...waiting, nextRetryAt: later(0) } }), seen())).toBe("create");
  });
});

describe("with a task", () => {
  const running = (state: Partial<RunState> = {}, applied: Partial<ContainerSpec> = {}): Instance => ({
    record: record({ run: RUN, ...state }, applied),
    task: task("running"),
  });
  const paused = { record: record({ run: RUN }), task: task("paused") };

  it("looks again at one whose state could not be told, for no event may come of it", () => {
    const unknown = { record: record({ run: RUN }), task: task("unknown") };
    expect(decide(wish(), seen(unknown), AT)).toEqual({ verb: "wait", until: later(1000) });
    expect(decide({ kind: "deleting" }, seen(unknown), AT)).toEqual({ verb: "wait", until: later(1000) });
  });

  it("stops one whose joined network is another now, to be started in that without counting as a restart", () => {
    expect(verb(wish(), seen({ ...running(), moved: true }))).toBe("stop");
    expect(verb(wish({ desiredState: "Paused" }), seen({ ...paused, moved: true }))).toBe("stop");
    const ended = { record: record({ lastEnd: end({ requested: true }) }) };
    expect(decide(wish(), seen(ended), AT)).toMatchObject({ verb: "startAgain", counts: false });
  });

  it("leaves alone what is as wished", () => {
    expect(verb(wish(), seen(running()))).toBe("none");
    expect(
      verb(
        wish({ desiredState: "Paused" }),
        seen({ ...paused, record: record({ run: RUN }, { desiredState: "Paused" }) }),
      ),
    ).toBe("none");
  });

  it("takes over a task that its record does not know", () => {
    expect(verb(wish(), seen({ record: record(), task: task("running") }))).toBe("adopt");
    expect(verb(wish(), seen({ record: record({ run: RUN }), task: task("running", 43) }))).toBe("adopt");
  });

  it("deletes a task that was made but never started", () => {
    expect(verb(wish(), seen({ record: record(), task: task("created") }))).toBe("discardTask");
    expect(verb(wish(), seen({ record: record({ discarding: true }), task: task("stopped") }))).toBe("discardTask");
  });

  it("records an end before anything else", () => {
    for (const desired of [
      wish(),
      wish({ image: "other" }),
      { kind: "deleting" } as const,
      { kind: "absent" } as const,
    ]) {
      expect(verb(desired, seen({ record: record({ run: RUN }), task: task("stopped") }))).toBe("recordEnd");
    }
  });

  it.each<[string, Desired]>([
    ["desiredState Stopped", wish({ desiredState: "Stopped" })],
    ["another spec", wish({ image: "other" }, { generation: 2 })],
    ["a deletion", { kind: "deleting" }],
    ["an object that is gone", { kind: "absent" }],
    ["restartedAt", wish({}, { restartedAt: "now" })],
  ])("stops for %s, and kills when the grace period is over", (_, desired) => {
    expect(
      verb(
        desired,
        seen(running({}, desired.kind === "present" ? { desiredState: desired.spec.desiredState ?? "Running" } : {})),
      ),
    ).toBe("stop");
    expect(decide(desired, seen(running({ stopping: { deadlineMs: UPTIME + 5 } })), AT)).toEqual({
      verb: "wait",
      until: later(5),
    });
    expect(verb(desired, seen(running({ stopping: { deadlineMs: UPTIME } })))).toBe("kill");
  });

  it("does not call back a stop that is under way", () => {
    expect(verb(wish(), seen(running({ stopping: { deadlineMs: UPTIME + 5 } })))).toBe("wait");
  });

  it("pauses and resumes", () => {
    expect(verb(wish({ desiredState: "Paused" }), seen(running({}, { desiredState: "Paused" })))).toBe("pause");
    expect(verb(wish(), seen(paused))).toBe("resume");
  });

  it("applies in place what can be, and leaves alone what runs when the spec can't be applied", () => {
    expect(verb(wish({ restartPolicy: "Never" }, { generation: 2 }), seen(running()))).toBe("update");
    expect(verb(wish({ image: "other" }, { generation: 2, refused: true }), seen(running()))).toBe("none");
  });

  it("has a change deferred that waits for room, and obeys in everything else", () => {
    const waits = { generation: 2, deferred: true } as const;
    expect(verb(wish({}, waits), seen(running()))).toBe("none");
    expect(verb(wish({ desiredState: "Stopped" }, waits), seen(running()))).toBe("stop");
    expect(verb(wish({}, waits), seen({ record: record({ lastEnd: end() }) }))).toBe("startAgain");
  });

  describe("that is unhealthy", () => {
    const unhealthy = (onUnhealthy: "None" | "Restart", status: TaskState["status"] = "running"): Observed => {
      const probe = { kind: "exec", args: ["true"] } as const;
      const healthcheck = { exec: { command: ["true"] }, onUnhealthy };
      const health = { status: "Unhealthy", failingStreak: 3, run: RUN.startedAt, probe } as const;
      return seen({ record: { ...record({ run: RUN }, { healthcheck }), health }, task: task(status) });
    };

    it("is stopped where that is wished, and left alone where not", () => {
      expect(decide(wish(), unhealthy("Restart"), AT)).toMatchObject({ verb: "stop", reason: "unhealthy" });
      expect(verb(wish(), unhealthy("None"))).toBe("none");
    });

    it("is paused, thawed or stopped as is wished all the same", () => {
      expect(verb(wish({ desiredState: "Paused" }), unhealthy("Restart"))).toBe("pause");
      expect(verb(wish({ desiredState: "Paused" }), unhealthy("Restart", "paused"))).toBe("none");
      expect(decide(wish({ desiredState: "Stopped" }), unhealthy("Restart"), AT)).not.toHaveProperty("reason");
    });
  });

  describe("that the last change could not be made to", () => {
    const refused = (nextRetryAt: string): Observed =>
      seen(
        running({
          verdict: { failure: startFailure("RuntimeError", "busy"), attempts: 1, generation: 2, nextRetryAt },
        }),
      );

    it("waits with the change until its next try", () => {
      expect(decide(wish({}, { generation: 2 }), refused(later(5)), AT)).toEqual({ verb: "wait", until: later(5) });
      expect(verb(wish({}, { generation: 2 }), refused(later(0)))).toBe("update");
    });

    it("tries another change at once, and obeys in everything else", () => {
      expect(verb(wish({}, { generation: 3 }), refused(later(5)))).toBe("update");
      expect(verb(wish({ desiredState: "Stopped" }, { generation: 2 }), refused(later(5)))).toBe("stop");
    });
  });
});

describe("after an end", () => {
  const ended = (state: Partial<RunState>, applied: Partial<ContainerSpec> = {}): Instance => ({
    record: record(state, applied),
  });

  it("records the loss of a run whose task is gone", () => {
    expect(verb(wish(), seen(ended({ run: RUN })))).toBe("recordLoss");
  });

  it("waits for the restart and then starts again, which counts", () => {
    const waiting = ended({ lastEnd: end(), nextRetryAt: later(100), holdsNetwork: true });
    expect(decide(wish(), seen(waiting), AT)).toEqual({ verb: "wait", until: later(100) });
    const due = ended({ lastEnd: end(), nextRetryAt: later(0) });
    expect(decide(wish(), seen(due), AT)).toEqual({
      verb: "startAgain",
      instance: due,
      counts: true,
      asked: false,
      refreshImage: false,
    });
  });

  it("is not held up by a clock that was set back under a wait, of a restart or of a failed start", () => {
    const HOURS = 10 * 3_600_000;
    const waiting = ended({ lastEnd: end(), nextRetryAt: later(HOURS), backoffMs: 60_000 });
    expect(verb(wish(), seen(waiting))).toBe("startAgain");
    const failed: Verdict = { failure: startFailure("RuntimeError", "?"), attempts: 20, generation: 1 };
    expect(verb(wish({}, { verdict: { ...failed, nextRetryAt: later(HOURS) } }), seen())).toBe("create");
    // A clock that is adjusted by a little cuts nothing short.
    expect(verb(wish(), seen(ended({ lastEnd: end(), nextRetryAt: later(60_500), backoffMs: 60_000 })))).toBe("wait");
    expect(verb(wish({}, { verdict: { ...failed, nextRetryAt: later(300_000) } }), seen())).toBe("wait");
  });

  it("does not count a start twice that a crash cut short", () => {
    const cut = ended({ lastEnd: end(), starting: true, restartCount: 1 });
    expect(decide(wish(), seen(cut), AT)).toMatchObject({ verb: "startAgain", counts: false });
  });

  it.each<[Partial<ContainerSpec>, Partial<End>, boolean]>([
    [{ restartPolicy: "Never" }, { exitCode: 1 }, false],
    [{ restartPolicy: "OnFailure" }, { exitCode: 0 }, false],
    [{ restartPolicy: "OnFailure" }, { exitCode: 1 }, true],
    [{ restartPolicy: "Always" }, { exitCode: 0 }, true],
  ])("%j after %j: restarts: %s", (applied, how, restarts) => {
    const instance = ended({ lastEnd: end(how), holdsNetwork: true }, applied);
    expect(verb(wish(applied), seen(instance))).toBe(restarts ? "startAgain" : "rest");
    const resting = ended({ lastEnd: end(how) }, applied);
    expect(verb(wish(applied), seen(resting))).toBe(restarts ? "startAgain" : "none");
  });

  it("restarts as often as maxRestarts says since somebody asked for a start, whatever restartCount is", () => {
    const applied = { restartPolicy: "OnFailure", maxRestarts: 2 } as const;
    const after = (state: Partial<RunState>) => seen(ended({ lastEnd: end(), restartCount: 7, ...state }, applied));
    expect(verb(wish(applied), after({ policyRestarts: 1 }))).toBe("startAgain");
    expect(verb(wish(applied), after({ policyRestarts: 2 }))).toBe("none");
  });

  it("takes an end that the healthcheck wanted for a failed one", () => {
    const applied = { restartPolicy: "OnFailure" } as const;
    const unhealthy = ended({ lastEnd: end({ exitCode: 0, reason: "Unhealthy" }) }, applied);
    expect(decide(wish(applied), seen(unhealthy), AT)).toMatchObject({
      verb: "startAgain",
      counts: true,
      asked: false,
    });
  });

  it("starts at once, without counting, when the end was asked for and the wish has turned", () => {
    const instance = ended({ lastEnd: end({ requested: true }) });
    expect(decide(wish(), seen(instance), AT)).toMatchObject({
      verb: "startAgain",
      counts: false,
      refreshImage: false,
    });
  });

  it("rests when stopped, and asks for the image when the user starts it again", () => {
    const applied = { desiredState: "Stopped" } as const;
    expect(verb(wish(applied), seen(ended({ lastEnd: end(), nextRetryAt: later(100) }, applied)))).toBe("rest");
    expect(verb(wish(applied), seen(ended({ lastEnd: end(), stopped: true }, applied)))).toBe("none");
    expect(decide(wish(), seen(ended({ lastEnd: end(), stopped: true })), AT)).toMatchObject({
      verb: "startAgain",
      asked: true,
      refreshImage: true,
    });
  });

  it("counts a restart by annotation, whatever the policy", () => {
    const applied = { restartPolicy: "Never" } as const;
    const instance = ended({ lastEnd: end({ exitCode: 0 }) }, applied);
    expect(decide(wish(applied, { restartedAt: "now" }), seen(instance), AT)).toMatchObject({
      verb: "startAgain",
      counts: true,
      asked: true,
    });
  });

  it("goes on with a restart by annotation whose stop had begun, though only the record tells of it", () => {
    const running = { record: record({ run: RUN, restartedAt: "before" }), task: task("running") };
    const asked = { restartedAt: "now" };
    expect(decide(wish({}, asked), seen(running), AT)).toEqual({ verb: "stop", instance: running, ...asked });
    for (const begun of [{ stopping: { deadlineMs: 0, ...asked } }, { stoppedFor: "now" }]) {
      const left = ended({ lastEnd: end({ requested: true }), restartedAt: "before", ...begun });
      const wished = recordedWish(seen(left));
      expect(wished).toMatchObject(asked);
      expect(decide(wished, seen(left), AT)).toMatchObject({ verb: "startAgain", counts: true, asked: true });
    }
  });

  it("cancels the wait for a restart when the wish changes", () => {
    const waiting = ended({ lastEnd: end(), nextRetryAt: later(60_000) });
    expect(verb(wish({}, { restartedAt: "now" }), seen(waiting))).toBe("startAgain");
    expect(verb({ kind: "deleting" }, seen(waiting))).toBe("remove");
    const stopped = ended({ lastEnd: end(), nextRetryAt: later(60_000) }, { desiredState: "Stopped" });
    expect(verb(wish({ desiredState: "Stopped" }), seen(stopped))).toBe("rest");
    const never = ended({ lastEnd: end(), nextRetryAt: later(60_000) }, { restartPolicy: "Never" });
    expect(verb(wish({ restartPolicy: "Never" }), seen(never))).toBe("rest");
  });

  it("removes for a deletion or another spec", () => {
    expect(verb({ kind: "deleting" }, seen(ended({ lastEnd: end() })))).toBe("remove");
    expect(verb(wish({ image: "other" }, { generation: 2 }), seen(ended({ lastEnd: end() })))).toBe("remove");
  });
});

describe("a container whose removal has begun", () => {
  const removing = (state: Partial<RunState>): Instance => ({ record: record({ removing: true, ...state }) });

  it("is not started, whatever is wished now, but removed", () => {
    for (const state of [{}, { starting: true }, { stopped: true }, { lastEnd: end({ requested: true }) }] as const) {
      expect(verb(wish(), seen(removing(state)))).toBe("remove");
    }
    expect(verb(wish({}, { restartedAt: "now" }), seen(removing({ lastEnd: end() })))).toBe("remove");
  });

  it("is ended first, as a stop does it", () => {
    const alive = { ...removing({ run: RUN }), task: task("running") };
    expect(verb(wish(), seen(alive))).toBe("stop");
    const dead = { ...removing({ run: RUN }), task: task("stopped") };
    expect(verb(wish(), seen(dead))).toBe("recordEnd");
  });
});

it("clears leftovers of earlier incarnations before all else", () => {
  const leftover = { record: record({ run: RUN }), task: task("running") };
  const step = decide(wish(), seen({ record: record({ run: RUN }), task: task("running") }, [leftover]), AT);
  expect(step).toEqual({ verb: "stop", instance: leftover });
});
