import { describe, expect, it } from "@jest/globals";
import { isOver } from "./auto-remove.ts";
import type { Desired, Instance } from "./decide.ts";
import { end, instance, RUN, verdict, wish } from "./status.test-support.ts";

const AUTO = { autoRemove: true, restartPolicy: "Never" } as const;
const auto = (rest: object = {}): Desired => ({ ...wish(AUTO), ...rest });
const over = (desired: Desired, current?: Instance, leftovers: Instance[] = []): boolean =>
  isOver(desired, { leftovers, ...(current === undefined ? {} : { current }) });

describe("isOver", () => {
  it("is so after an end, asked for or not", () => {
    expect(over(auto(), instance({ lastEnd: end(3) }))).toBe(true);
    expect(over(auto(), instance({ lastEnd: end(0, { requested: true }), stopped: true }))).toBe(true);
  });

  it("is so after a start that failed for good, with or without a record", () => {
    expect(over(auto({ verdict: verdict("CommandNotFound") }))).toBe(true);
    expect(over(auto(), instance({ verdict: verdict("CommandNotFound") }))).toBe(true);
    expect(over(auto({ done: true }))).toBe(true);
  });

  it.each<[string, Desired, Instance | undefined]>([
    ["nobody asked for it", { ...auto(), ...wish() }, instance({ lastEnd: end(3) })],
    ["it is being deleted anyway", { kind: "deleting" }, undefined],
    ["its spec can't be applied", auto({ refused: true }), undefined],
    ["it was never started", auto(), undefined],
    ["its start is tried again", auto({ verdict: verdict("ErrImagePull") }), undefined],
    [
      "the verdict is about an earlier spec",
      auto({ verdict: verdict("CommandNotFound", { generation: 1 }) }),
      undefined,
    ],
    ["it runs", auto(), instance({ run: RUN, lastEnd: end(3) }, "running")],
    ["its end is not recorded yet", auto(), instance({ run: RUN, lastEnd: end(3) })],
    ["a start is under way", auto(), instance({ starting: true, lastEnd: end(3) })],
    ["it still holds its address", auto(), instance({ holdsNetwork: true, lastEnd: end(3) })],
    ["it waits for a restart", auto(), instance({ nextRetryAt: "2026-01-02T03:04:06Z", lastEnd: end(3) })],
  ])("is not so when %s", (_, desired, current) => {
    expect(over(desired, current)).toBe(false);
  });

  it("is not so while an earlier container is there", () => {
    expect(over(auto(), instance({ lastEnd: end(3) }), [instance({})])).toBe(false);
  });
});
