import { describe, expect, it } from "@jest/globals";
import type { State } from "../api/index.ts";
import type { TaskStatus } from "../containerd/index.ts";
import { instance, UID } from "./status.test-support.ts";
import { unlike } from "./unnoticed.ts";

const KEY = "default/web";
const ID = `${UID}-2`;
const OTHER_UID = "11111111-2222-3333-4444-666666666666";

const found = (state: State, task: TaskStatus | undefined, uid = UID): string[] => {
  const tasks = new Map<string, TaskStatus>(task === undefined ? [] : [[ID, task]]);
  return [...unlike([{ ...instance({}).record, id: ID }], tasks, new Map([[KEY, { uid, state }]]))];
};

describe("unlike", () => {
  it.each([
    ["Running", "running"],
    ["Paused", "paused"],
    ["Exited", undefined],
  ] as const)("finds nothing new in %s where the task is %s", (state, task) => {
    expect(found(state, task)).toEqual([]);
  });

  it.each([
    ["Running", "stopped"],
    ["Running", undefined],
    ["Running", "paused"],
    ["Paused", "running"],
    ["Exited", "running"],
    ["Exited", "stopped"],
    ["Pending", undefined],
    ["Pending", "created"],
    ["Restarting", undefined],
  ] as const)("finds a key that is %s where the task is %s", (state, task) => {
    expect(found(state, task)).toEqual([KEY]);
  });

  it("finds a record of another object, or of none, and an object without one, or with two", () => {
    expect(found("Exited", undefined, OTHER_UID)).toEqual([KEY]);
    expect([...unlike([{ ...instance({}).record, id: ID }], new Map(), new Map())]).toEqual([KEY]);
    const told = new Map([[KEY, { uid: UID, state: "Exited" as const }]]);
    expect([...unlike([], new Map(), told)]).toEqual([KEY]);
    const two = [ID, `${UID}-3`].map((id) => ({ ...instance({}).record, id }));
    expect([...unlike(two, new Map(), told)]).toEqual([KEY]);
  });
});
