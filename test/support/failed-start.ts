/** What a start that failed must look like, whatever it failed by: API.md, "A start that failed". */
import { expect } from "@jest/globals";
import type { Container, ContainerSpec } from "../../src/api/index.ts";
import type { TestNode } from "./test-node.ts";

/** A row of API.md's table. */
export interface ExpectedFailure {
  readonly exitCode: number;
  readonly reason: string;
  readonly state: "Exited" | "Pending";
  /** Not tried again by itself; as a rule, that is what `Exited` says. */
  readonly final?: boolean;
  /** What the message must contain: the field or value that is wrong, and what to do. */
  readonly says: readonly string[];
}

/** The command is not in the image. */
export const COMMAND_NOT_FOUND = { exitCode: 127, reason: "CommandNotFound", state: "Exited" } as const;
/** The command can't be invoked. */
export const COMMAND_NOT_EXECUTABLE = { exitCode: 126, reason: "CommandNotExecutable", state: "Exited" } as const;
/** A file mounted on a directory, or the other way round: Docker's question is asked. */
export const MOUNT_MISMATCH = {
  exitCode: 127,
  reason: "MountMismatch",
  state: "Exited",
  says: ["Are you trying to mount a directory onto a file (or vice-versa)?"],
} as const;
/** The spec asks for what can't be. */
export const INVALID_SPEC = { exitCode: 128, reason: "InvalidSpec", state: "Exited" } as const;
/** The node lacks a volume's source, or can't mount it just now. */
export const VOLUME_SETUP_FAILED = { exitCode: 128, reason: "VolumeSetupFailed", state: "Pending" } as const;
/** The node can't give the container its network just now. */
export const NETWORK_SETUP_FAILED = { exitCode: 128, reason: "NetworkSetupFailed", state: "Pending" } as const;
/** The node's OCI runtime does not work. */
export const RUNTIME_ERROR = { exitCode: 128, reason: "RuntimeError", state: "Pending" } as const;

/** Volumes of all kinds that are a container's alone. */
export const OWN_VOLUMES = {
  volumes: [
    { name: "memory", emptyDir: { medium: "Memory" } },
    { name: "disk", emptyDir: {} },
  ],
  volumeMounts: [
    { name: "memory", mountPath: "/memory" },
    { name: "disk", mountPath: "/disk" },
    { name: "disk", mountPath: "/part", subPath: "part" },
  ],
} satisfies Partial<ContainerSpec>;

/** What makes a start acquire all there is to acquire: address, port, volumes, terminal, input, a cgroup's parent. */
export function everything({ node }: TestNode, more: Partial<ContainerSpec> = {}): Partial<ContainerSpec> {
  return {
    network: { mode: "Bridge" },
    ports: [{ containerPort: 80, hostPort: 20_000 + node.index }],
    ...OWN_VOLUMES,
    tty: true,
    stdin: true,
    cgroupParent: "group",
    ...more,
  };
}

/** Creates a Container whose start fails, checks all it says, and that nothing of the attempt is left on the node. */
export async function expectFailedStart(
  test: TestNode,
  spec: Partial<ContainerSpec>,
  expected: ExpectedFailure,
): Promise<Container> {
  const before = await test.audit();
  const container = await test.create(spec);
  const failed = await untilJudged(test, container);
  expectVerdict(failed, expected);
  expect(failed.status?.containerID).toBeUndefined();
  expect(await test.leaks(before)).toEqual([]);
  return failed;
}

/** Checks what a failed start says: exit code, reason, state, message and conditions. */
export function expectVerdict({ metadata, status }: Container, expected: ExpectedFailure): void {
  const { says, final = expected.state === "Exited", ...columns } = expected;
  expect(status).toMatchObject({ ...columns, observedGeneration: metadata.generation });
  for (const part of says) expect(status?.message).toContain(part);
  const conditions = new Map(status?.conditions?.map(({ type, ...condition }) => [type, condition]));
  expect(conditions.get("Ready")).toMatchObject({ status: "False", reason: expected.reason });
  const held = [...conditions].filter(([, condition]) => condition.status === "True").map(([type]) => type);
  expect(held.sort()).toEqual(final ? ["Failed", "Stalled"] : ["Reconciling"]);
  if (final) expect(status).not.toHaveProperty("nextRetryAt");
  else expect(Date.parse(status?.nextRetryAt ?? "")).not.toBeNaN();
}

/** Waits until a start of the spec's newest generation has failed. */
export async function untilJudged(test: TestNode, container: Container): Promise<Container> {
  const { generation } = container.metadata;
  return test.until(
    container,
    "judged",
    ({ status }) =>
      (status?.observedGeneration ?? 0) >= generation &&
      ((status?.startAttempts ?? 0) > 0 || status?.reason === "InvalidSpec"),
  );
}

/** How many starts of a Container have failed, as its Events tell. */
export async function failedEvents(test: TestNode, { metadata }: Container): Promise<number> {
  const { items } = await test.api.list<{ reason?: string; count?: number }>(
    `/api/v1/namespaces/${metadata.namespace}/events`,
    { query: { fieldSelector: `involvedObject.uid=${metadata.uid}` } },
  );
  return items
    .filter(({ reason }) => reason === "Failed")
    .map(({ count = 1 }) => count)
    .reduce((sum, count) => sum + count, 0);
}
