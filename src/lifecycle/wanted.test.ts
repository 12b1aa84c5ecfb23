import { describe, expect, it } from "@jest/globals";
import type { Container, ContainerSpec } from "../api/index.ts";
import { object, spec, UID } from "./status.test-support.ts";
import { isWanted } from "./wanted.ts";

const applied = { uid: UID, spec: spec(), generation: 2 };
const now = (changes: Partial<ContainerSpec> = {}, metadata: Partial<Container["metadata"]> = {}): Container => {
  const container = object();
  return { ...container, metadata: { ...container.metadata, ...metadata }, spec: { ...spec(), ...changes } };
};
/** The object's generation after a change of its spec. */
const CHANGED = { generation: 3 };
const wanted = (container: Container | undefined): boolean => isWanted(container, applied, "node-1");

describe("isWanted", () => {
  it("holds while the spec wishes for this container, running or paused", () => {
    expect(wanted(now())).toBe(true);
    expect(wanted(now({ desiredState: "Paused", terminationGracePeriodSeconds: 3 }, CHANGED))).toBe(true);
  });

  it.each([
    ["is gone", undefined],
    ["is another one of the same name", now({}, { uid: "11111111-2222-3333-4444-666666666666" })],
    ["is being deleted", now({}, { deletionTimestamp: "2026-01-02T03:04:05Z" })],
    ["wishes for Stopped", now({ desiredState: "Stopped" }, CHANGED)],
    ["wishes for another container", now({ image: "other" }, CHANGED)],
  ])("does not when the object %s", (_, container) => {
    expect(wanted(container)).toBe(false);
  });

  it("holds under a spec that can't be applied, which changes nothing", () => {
    expect(wanted(now({ nodeName: "node-2", desiredState: "Stopped" }, CHANGED))).toBe(true);
  });
});
