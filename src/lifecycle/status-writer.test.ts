import { beforeEach, describe, expect, it } from "@jest/globals";
import type { Container, ContainerStatus } from "../api/index.ts";
import { ApiError, ApiUnavailable } from "../kube/index.ts";
import type { ContainerCache } from "./reconcile.ts";
import { StatusWriter } from "./status-writer.ts";

const NOW = new Date("2026-01-02T03:04:05.678Z");
const KEY = "default/web";

const object = (status?: ContainerStatus, uid = "1"): Container => ({
  apiVersion: "berth.dev/v1alpha1",
  kind: "Container",
  metadata: { name: "web", namespace: "default", uid, generation: 1, resourceVersion: "1" },
  spec: { nodeName: "node-1", image: "busybox" },
  ...(status === undefined ? {} : { status }),
});

const RUNNING: ContainerStatus = { state: "Running", reason: "Started", containerID: "containerd://1-1" };
const FAILED: ContainerStatus = {
  state: "Pending",
  reason: "ErrImagePull",
  startAttempts: 2,
  nextRetryAt: "2026-01-02T03:04:06Z",
};

const REFUSED: ContainerStatus = {
  state: "Exited",
  reason: "InvalidSpec",
  conditions: [
    {
      type: "Failed",
      status: "True",
      reason: "InvalidSpec",
      message: "spec.tty: is not supported yet",
      observedGeneration: 1,
      lastTransitionTime: NOW.toISOString(),
    },
  ],
};

let cached: Container | undefined;
let patches: { path: string; body: object }[];
let failure: Error | undefined;
let writer: StatusWriter;

beforeEach(() => {
  cached = object();
  patches = [];
  failure = undefined;
  const cache: ContainerCache = {
    synced: true,
    get: (key) => (key === KEY ? cached : undefined),
    write: async (_, request) => (cached = await request()),
  };
  const mergePatch = (path: string, body: object): Promise<never> => {
    patches.push({ path, body });
    if (failure !== undefined) return Promise.reject(failure);
    // What the server makes of the patch is the writer's own status here: the tests write whole ones.
    return Promise.resolve(object(written) as never);
  };
  writer = new StatusWriter({ mergePatch }, cache);
});

/** The status that is being written. */
let written: ContainerStatus;
const write = (status: ContainerStatus, of = object()): Promise<void> =>
  writer.write(of, () => {
    written = status;
    return status;
  });

describe("a status", () => {
  it("is written as what differs, for this object alone", async () => {
    cached = object({ state: "Pending", reason: "Starting", message: "soon" });
    await write(RUNNING);
    const status = { state: "Running", reason: "Started", message: null, containerID: "containerd://1-1" };
    expect(patches).toEqual([
      {
        path: "/apis/berth.dev/v1alpha1/namespaces/default/containers/web/status",
        body: { metadata: { uid: "1" }, status },
      },
    ]);
  });

  it("is about the object as it was read, not about a spec that came meanwhile", async () => {
    const newer = object({ state: "Pending" });
    cached = { ...newer, metadata: { ...newer.metadata, generation: 2 } };
    let base: Container | undefined;
    await writer.write(object(), (given) => {
      base = given;
      return (written = RUNNING);
    });
    expect(base?.metadata.generation).toBe(1);
    expect(base?.status).toEqual({ state: "Pending" });
  });

  it("is not written when it says nothing new", async () => {
    await write(RUNNING);
    await write({ ...RUNNING });
    expect(patches).toHaveLength(1);
  });

  it("is compared with what the cache holds, which may be newer than what the caller has", async () => {
    cached = object(RUNNING);
    await write(RUNNING, object());
    expect(patches).toEqual([]);
  });

  it("is not compared with that of another object of the same name", async () => {
    cached = object(RUNNING, "2");
    await write(RUNNING, object(undefined, "1"));
    expect(patches).toHaveLength(1);
  });

  it("of an object that is gone is dropped", async () => {
    failure = new ApiError(404, "NotFound", "gone");
    await write(FAILED);
    expect(writer.verdict(object())).toBeUndefined();
  });
});

describe("a status that could not be written", () => {
  beforeEach(async () => {
    failure = new ApiUnavailable("connection refused");
    await expect(write(FAILED)).rejects.toBe(failure);
  });

  it("counts with its state", () => {
    expect(writer.state(object(RUNNING))).toBe("Pending");
    expect(writer.state(object(RUNNING, "2"))).toBe("Running");
    expect(writer.state(object(undefined, "2"))).toBe("Pending");
  });

  it("is not forgotten: the next one builds on it", async () => {
    expect(writer.verdict(object())).toMatchObject({ attempts: 2, nextRetryAt: FAILED.nextRetryAt });
    failure = undefined;
    const bases: (ContainerStatus | undefined)[] = [];
    await writer.write(object(), (base) => {
      bases.push(base.status);
      written = RUNNING;
      return RUNNING;
    });
    expect(bases).toEqual([FAILED]);
    // What the server holds is still nothing, so all of it is sent.
    expect(patches.at(-1)?.body).toMatchObject({ status: RUNNING });
  });

  it("is over once a later one was written, or the server holds it already", async () => {
    failure = undefined;
    await write(RUNNING);
    expect(writer.verdict(object())).toBeUndefined();

    failure = new ApiUnavailable("reset");
    await expect(write(FAILED)).rejects.toBe(failure);
    // The answer got lost, not the write.
    cached = object(FAILED);
    await write(FAILED);
    cached = object();
    expect(writer.verdict(object())).toBeUndefined();
  });

  it("is not another object's of the same name", () => {
    expect(writer.verdict(object(undefined, "2"))).toBeUndefined();
  });

  it("is forgotten with its object", () => {
    writer.forget(KEY);
    expect(writer.verdict(object())).toBeUndefined();
  });
});

it("keeps nothing of a status that the server refused", async () => {
  failure = new ApiError(422, "Invalid", "status.state: Unsupported value");
  await expect(write(FAILED)).rejects.toBe(failure);
  expect(writer.verdict(object())).toBeUndefined();
});

describe("that containerd is away", () => {
  const away = new Error("connect ENOENT /run/containerd/containerd.sock");

  it("is said of what nothing is known of", async () => {
    await writer.runtimeUnavailable(object(), away, NOW);
    expect(patches[0]?.body).toMatchObject({ status: { state: "Pending", reason: "RuntimeUnavailable" } });
  });

  it.each([
    ["a started container", RUNNING],
    ["a start that failed", FAILED],
    ["a spec that can't be applied", REFUSED],
  ])("does not overwrite what is known of %s", async (_, status) => {
    cached = object(status);
    await writer.runtimeUnavailable(cached, away, NOW);
    expect(patches).toEqual([]);
  });

  it("takes the place of the controller's word that the agent is away, of a started container", async () => {
    const condition = { type: "Ready", status: "Unknown", message: "", observedGeneration: 1 } as const;
    cached = object({
      ...RUNNING,
      state: "Unknown",
      reason: "AgentUnreachable",
      conditions: [{ ...condition, reason: "AgentUnreachable", lastTransitionTime: "2026-01-01T00:00:00Z" }],
    });
    await writer.runtimeUnavailable(cached, away, NOW);
    expect(patches[0]?.body).toMatchObject({
      status: {
        reason: "RuntimeUnavailable",
        conditions: [{ status: "Unknown", reason: "RuntimeUnavailable", lastTransitionTime: "2026-01-01T00:00:00Z" }],
      },
    });
    expect(patches[0]?.body).not.toHaveProperty("status.state");
  });

  it("does not overwrite what could not be told yet either", async () => {
    failure = new ApiUnavailable("connection refused");
    await expect(write(RUNNING)).rejects.toBe(failure);
    await writer.runtimeUnavailable(object(), away, NOW);
    expect(patches).toHaveLength(1);
  });
});

it("the verdict on a start is the agent's own, also where the controller has written over its reason", () => {
  const condition = (type: string, reason: string) =>
    ({ type, status: "True", reason, message: `${reason}!`, observedGeneration: 1, lastTransitionTime: "" }) as const;
  const marked = object({
    ...FAILED,
    state: "Unknown",
    reason: "NodeNotReady",
    message: "The Node is not Ready.",
    conditions: [
      condition("DiskPressure", "Full"),
      condition("Ready", "NodeNotReady"),
      condition("Reconciling", "ErrImagePull"),
    ],
  });
  expect(writer.verdict(marked)).toMatchObject({
    attempts: 2,
    failure: { reason: "ErrImagePull", message: "ErrImagePull!", state: "Pending", final: false },
  });
});
