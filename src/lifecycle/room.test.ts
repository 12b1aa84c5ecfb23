import { describe, expect, it } from "@jest/globals";
import type { ContainerSpec } from "../api/index.ts";
import type { CgroupLimits } from "../node/index.ts";
import type { Instance } from "./decide.ts";
import { startFailure } from "../oci/index.ts";
import { holdsPlace, Room } from "./room.ts";
import { end, instance, RETRY, RUN, spec } from "./status.test-support.ts";

const MI = 2 ** 20;
const BUDGET = { milliCPU: 1000, memoryBytes: 100 * MI };

function roomOf(budget: CgroupLimits = BUDGET): { room: Room; woken: string[]; leaves: () => number } {
  const woken: string[] = [];
  let left = 0;
  const room = new Room({
    budget,
    requeue: (key) => woken.push(key),
    onLeave: () => {
      left++;
    },
  });
  return { room, woken, leaves: () => left };
}

/** A wish for so many thousandths of a CPU and MiB, of a Container of this age. */
const wish = (key: string, milliCPU: number, mi = 0, since = 0) => ({
  key,
  requests: { milliCPU, memoryBytes: mi * MI },
  since: new Date(since),
});

/** A container of this name that asks for so much. */
function container(name: string, cpu: string, state: Instance["record"]["state"], running = false): Instance {
  const { record, task } = instance(state, running ? "running" : undefined);
  const wishes: Partial<ContainerSpec> = { resources: { requests: { cpu } } };
  const applied = { ...record.applied, name, spec: spec({ ...record.applied.spec, ...wishes }) };
  return { record: { ...record, applied }, ...(task === undefined ? {} : { task }) };
}

const running = (name: string, cpu: string): Instance => container(name, cpu, { ...NEVER, run: RUN }, true);
const NEVER = { restartCount: 0, backoffMs: 0 };

describe("a place", () => {
  it("is taken as long as all requests fit in, each resource for itself", () => {
    const { room } = roomOf();
    expect(room.take(wish("a", 600, 50))).toBeUndefined();
    expect(room.take(wish("b", 400, 50))).toBeUndefined();
    expect(room.requested).toEqual({ milliCPU: 1000, memoryBytes: 100 * MI });
    expect(room.take(wish("c", 1, 1))).toEqual({
      reason: "InsufficientResources",
      message:
        "spec.resources: 1m of cpu is asked for, and 0 of the 1 for all Containers of the node are left: it goes on as soon as there is room; " +
        "spec.resources: 1Mi of memory is asked for, and 0 of the 100Mi for all Containers of the node are left: it goes on as soon as there is room",
    });
    expect(room.take(wish("d", 0))).toBeUndefined();
  });

  it("that can't be had at all is told of with what would help", () => {
    expect(roomOf().room.take(wish("a", 1500))?.message).toBe(
      "spec.resources: 1500m of cpu is asked for, and all Containers of the node may have 1: ask for less, or raise the agent's --cgroup-cpu",
    );
  });

  it("has no bound where there is no budget", () => {
    const { room } = roomOf({ memoryBytes: MI });
    expect(room.take(wish("a", 1_000_000, 1))).toBeUndefined();
    expect(room.take(wish("b", 0, 1))?.message).toContain("memory");
  });

  it("may be changed: to less always, to more as far as there is room", () => {
    const { room } = roomOf();
    room.take(wish("a", 500));
    room.take(wish("b", 400));
    expect(room.take(wish("a", 601))?.message).toContain("601m of cpu is asked for, and 600m of the 1");
    expect(room.requested.milliCPU).toBe(900);
    expect(room.take(wish("a", 600))).toBeUndefined();
    expect(room.take(wish("a", 100))).toBeUndefined();
    expect(room.requested.milliCPU).toBe(500);
  });

  it("is given back when the container has ended for good, was not started, or is gone", () => {
    const { room, leaves } = roomOf();
    for (const key of ["default/a", "default/b", "default/c"]) room.take(wish(key, 300));
    room.settle("default/a", [container("a", "300m", { ...NEVER, lastEnd: end(0), stopped: true })]);
    room.settle("default/b", []);
    room.forget("default/c");
    expect(room.requested.milliCPU).toBe(0);
    expect(leaves()).toBe(3);
  });

  it("is kept through a wait for a restart, but not got by one", () => {
    const { room } = roomOf();
    const waits = container("a", "300m", { ...NEVER, lastEnd: end(1), nextRetryAt: RETRY });
    room.settle("default/a", [waits]);
    expect(room.has("default/a")).toBe(false);
    room.take(wish("default/a", 300));
    room.settle("default/a", [waits]);
    expect(room.has("default/a")).toBe(true);
  });

  it("is that of all that runs for a key", () => {
    const { room } = roomOf();
    room.settle("default/a", [running("a", "100m"), running("a", "200m")]);
    expect(room.requested.milliCPU).toBe(300);
  });
});

describe("who waits", () => {
  it("is looked at again when there is room, the oldest first, and has it for certain then", () => {
    const { room, woken } = roomOf();
    room.take(wish("default/a", 1000));
    room.take(wish("young", 600, 0, 3));
    room.take(wish("old", 600, 0, 1));
    room.take(wish("middle", 400, 0, 2));
    room.settle("default/a", []);
    expect(woken).toEqual(["old", "middle"]);
    // The one that comes now does not get in before it.
    expect(room.take(wish("new", 100))).toBeDefined();
    expect(room.take(wish("old", 600, 0, 1))).toBeUndefined();
  });

  it("does not hold up who needs less", () => {
    const { room, woken } = roomOf();
    room.take(wish("default/a", 500));
    room.take(wish("default/b", 400));
    room.take(wish("big", 900, 0, 1));
    room.take(wish("small", 200, 0, 2));
    room.settle("default/b", []);
    expect(woken).toEqual(["small"]);
  });

  it("gets what another one gives back by a change", () => {
    const { room, woken } = roomOf();
    room.settle("default/a", [running("a", "1")]);
    room.take(wish("b", 500));
    room.settle("default/a", [running("a", "500m")]);
    expect(woken).toEqual(["b"]);
  });

  it("keeps what it is given before the turn is over in which it asked", () => {
    const { room, woken } = roomOf();
    room.take(wish("default/a", 1000));
    room.take(wish("b", 1000));
    room.settle("default/a", []);
    room.settle("b", [], true);
    expect(woken).toEqual(["b"]);
    expect(room.has("b")).toBe(true);
  });

  it("waits no more when it wants no more, and passes on a place that it does not need", () => {
    const { room, woken } = roomOf();
    room.take(wish("default/a", 1000));
    room.take(wish("default/b", 500, 0, 1));
    room.take(wish("default/c", 700, 0, 2));
    room.settle("default/b", [], true);
    room.settle("default/a", []);
    expect(woken).toEqual(["default/b"]);
    room.settle("default/b", []);
    expect(woken).toEqual(["default/b", "default/c"]);
  });
});

describe("an agent that comes up", () => {
  it("refuses nothing that runs; what is to be started again comes in order of age", () => {
    const { room } = roomOf();
    const lost = (name: string, cpu: string, age: number): Instance => {
      const { record } = container(name, cpu, { ...NEVER, run: RUN });
      return { record: { ...record, createdAt: new Date(age) } };
    };
    const over = container("over", "100m", { ...NEVER, lastEnd: end(0), stopped: true });
    room.load([lost("c", "300m", 3), lost("b", "300m", 2), lost("a", "200m", 1), running("r", "600m"), over]);
    expect(["a", "b", "c", "r", "over"].filter((name) => room.has(`default/${name}`))).toEqual(["a", "r"]);
    const smaller = roomOf({ milliCPU: 100 }).room;
    smaller.load([running("a", "300m"), running("b", "300m")]);
    expect(smaller.requested.milliCPU).toBe(600);
    expect(smaller.take(wish("default/a", 300))).toBeUndefined();
    expect(smaller.take(wish("c", 10))?.message).toContain("0 of the 100m");
  });
});

describe("holdsPlace", () => {
  const verdict = { failure: startFailure("RuntimeError", "broken"), attempts: 1, generation: 2 };
  it.each<[string, boolean, Instance]>([
    ["runs", true, instance({ run: RUN }, "running")],
    ["is paused", true, instance({ run: RUN }, "paused")],
    ["is being removed and still there", true, instance({ run: RUN, removing: true }, "running")],
    ["is about to be started", true, instance({ starting: true })],
    ["waits for its restart", true, instance({ lastEnd: end(1), nextRetryAt: RETRY })],
    ["is being restarted on request", true, instance({ lastEnd: end(0, { requested: true }) })],
    ["went down with the node", true, instance({ run: RUN })],
    ["is tried again", true, instance({ lastEnd: end(1), verdict: { ...verdict, nextRetryAt: RETRY } })],
    ["can't be started again", false, instance({ lastEnd: end(1), verdict })],
    ["is stopped", false, instance({ lastEnd: end(0, { requested: true }), stopped: true })],
    ["has been ended for a checkpoint", false, instance({ lastEnd: end(137, { checkpoint: "c" }) })],
    ["is half removed", false, instance({ lastEnd: end(1), removing: true })],
    ["was never started", false, instance({})],
  ])("who %s: %s", (_, holds, found) => {
    expect(holdsPlace(found)).toBe(holds);
  });
});
