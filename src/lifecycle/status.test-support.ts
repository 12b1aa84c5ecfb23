/** What the tests of the status are made from: one object, what is wished of it, and what is on the node. */
import { type Container, type ContainerSpec, type ContainerStatus, withDefaults } from "../api/index.ts";
import type { TaskState } from "../containerd/index.ts";
import { startFailure } from "../oci/index.ts";
import type { Desired, Instance } from "./decide.ts";
import { type End, NEVER_RUN, type RunState, type Verdict } from "./record.ts";
import { statusOf, type StatusInput } from "./status.ts";

export const NOW = new Date("2026-01-02T03:04:05.678Z");
export const STARTED = "2026-01-02T03:00:00.000Z";
export const ENDED = "2026-01-02T03:04:00.000Z";
export const RETRY = "2026-01-02T03:04:06.678Z";
export const UID = "11111111-2222-3333-4444-555555555555";

export const spec = (changes: Partial<ContainerSpec> = {}): ContainerSpec =>
  withDefaults({ nodeName: "node-1", image: "busybox", ...changes });

export const object = (status?: ContainerStatus, annotations: Record<string, string> = {}): Container => ({
  apiVersion: "berth.dev/v1alpha1",
  kind: "Container",
  metadata: { name: "web", namespace: "default", uid: UID, generation: 2, resourceVersion: "1", annotations },
  spec: spec(),
  ...(status === undefined ? {} : { status }),
});

export const wish = (changes: Partial<ContainerSpec> = {}, rest: { restartedAt?: string } = {}): Desired => ({
  kind: "present",
  generation: 2,
  spec: spec(changes),
  refused: false,
  done: false,
  ...rest,
});

export const instance = (state: Partial<RunState>, task?: TaskState["status"]): Instance => ({
  record: {
    id: `${UID}-1`,
    applied: {
      namespace: "default",
      name: "web",
      uid: UID,
      generation: 2,
      spec: spec(),
      image: { name: "docker.io/library/busybox:latest", digest: "sha256:1", chainID: "sha256:2" },
    },
    state: { ...NEVER_RUN, ...state },
  },
  ...(task === undefined ? {} : { task: { containerId: `${UID}-1`, pid: 42, status: task, exitStatus: 0 } }),
});

export const RUN = { startedAt: STARTED, pid: 42, bootID: "boot" };
export const end = (exitCode: number, changes: Partial<End> = {}): End => ({
  exitCode,
  reason: exitCode === 0 ? "Completed" : "Error",
  oomKilled: false,
  startedAt: STARTED,
  finishedAt: ENDED,
  requested: false,
  ...changes,
});
export const verdict = (reason: "CommandNotFound" | "ErrImagePull", changes: Partial<Verdict> = {}): Verdict => ({
  failure: startFailure(reason, "what to do", "its own words"),
  attempts: 3,
  generation: 2,
  ...(reason === "ErrImagePull" ? { nextRetryAt: RETRY } : {}),
  ...changes,
});

export const status = (current: Instance | undefined, rest: Partial<StatusInput> = {}): ContainerStatus =>
  statusOf({
    object: object(),
    desired: wish(),
    observed: { leftovers: [], ...(current === undefined ? {} : { current }) },
    nodeName: "node-1",
    now: NOW,
    ...rest,
  });

/** The conditions that are True. */
export const held = ({ conditions = [] }: ContainerStatus): string[] =>
  conditions.filter((condition) => condition.status === "True").map(({ type }) => type);
