// What passes the oldest API server, which drops the CRD's rules, is refused by the agent: it names the field, what it
// holds and what would be right, makes nothing, and leaves what runs as it is.
import { describe, expect, it } from "@jest/globals";
import type { Container, ContainerSpec } from "../../../src/api/index.ts";
import { containerPath } from "../../../src/kube/index.ts";
import { expectFailedStart, INVALID_SPEC } from "../../support/failed-start.ts";
import { useNode } from "../../support/test-node.ts";

const test = useNode();

const volume = { name: "v", emptyDir: {} };
const mount = { name: "v", mountPath: "/v" };

describe("a rule over several fields", () => {
  it.each<[string, Partial<ContainerSpec>, string[]]>([
    [
      "maxRestarts without OnFailure",
      { maxRestarts: 3 },
      ["spec.maxRestarts: Invalid value: 3: maxRestarts is only for restartPolicy OnFailure"],
    ],
    ["autoRemove without Never", { autoRemove: true }, ["spec.autoRemove", "needs restartPolicy Never"]],
    [
      "user beside runAsUser",
      { user: "app", securityContext: { runAsUser: 0 } },
      ['spec.user: Invalid value: "app"', "leave one of them out"],
    ],
    [
      "a hostPort given twice",
      {
        network: { mode: "Bridge" },
        ports: [
          { containerPort: 80, hostPort: 28_230 },
          { containerPort: 81, hostPort: 28_230 },
        ],
      },
      ["spec.ports", "a hostPort is given twice"],
    ],
    [
      "a hostPort without a network",
      { ports: [{ containerPort: 80, hostPort: 28_230 }] },
      ["spec.ports", "only Bridge"],
    ],
    [
      "a mount of no volume",
      { volumes: [volume], volumeMounts: [{ ...mount, name: "w" }] },
      ["spec.volumeMounts", "names a volume that is not in volumes"],
    ],
    [
      "a volume of two kinds",
      { volumes: [{ ...volume, hostPath: { path: "/srv" } }] },
      ["spec.volumes[0]", "exactly one of"],
    ],
    ["a variable of no source", { env: [{ name: "A", valueFrom: {} }] }, ["spec.env[0].valueFrom", "exactly one of"]],
    [
      "a soft limit above the hard one",
      { ulimits: [{ name: "nofile", soft: 2, hard: 1 }] },
      ["spec.ulimits[0].soft: Invalid value: 2", "must not be above its hard limit"],
    ],
    [
      "a limit below the request",
      { resources: { limits: { memory: "32Mi" }, requests: { memory: "64Mi" } } },
      ['spec.resources.requests.memory: Invalid value: "64Mi"', "limit of 32Mi"],
    ],
  ])("%s", async (_, spec, says) => {
    await test().delete(await expectFailedStart(test(), spec, { ...INVALID_SPEC, says }));
  });
});

describe("what this version does not do yet", () => {
  it("is refused: a limit of an emptyDir on disk", async () => {
    const what = "spec.volumes[0].emptyDir.sizeLimit: volumes.emptyDir.sizeLimit on disk";
    const container = await test().create({ volumes: [{ name: "v", emptyDir: { sizeLimit: "1Mi" } }] });
    const { status } = await test().untilState(container, "Exited");
    expect(status).toMatchObject({ reason: "InvalidSpec", exitCode: 128, message: `${what} is not supported yet` });
    await test().delete(container);
  });
});

describe("what an older agent did not know", () => {
  it("is started by a newer one; what that does not know either stays as it is", async () => {
    const unknown = await test().create({ volumes: [{ name: "v", emptyDir: { sizeLimit: "1Mi" } }] });
    const refused = await test().untilState(unknown, "Exited");
    await test().node.stopAgent();
    const known = await test().create();
    // What the older one would have written.
    const path = containerPath("default", known.metadata.name, "status");
    await test().api.mergePatch(path, { status: refused.status ?? {} });
    test().node.startAgent();
    const running = await test().untilCondition(known, "Ready");
    expect(running.status).toMatchObject({ state: "Running", restartCount: 0 });
    expect(test().get(unknown)?.status).toEqual(refused.status);
    await Promise.all([test().delete(known), test().delete(unknown)]);
  });
});

describe("a container that runs, and whose spec becomes wrong", () => {
  const refused = async (container: Container, patch: object): Promise<Container> => {
    const patched = await test().patch(container, patch);
    const { generation } = patched.metadata;
    return test().until(
      patched,
      "refused",
      ({ status }) => status?.reason === "InvalidSpec" && status.observedGeneration === generation,
    );
  };

  it("goes on as it is, and takes the spec when it is right again", async () => {
    const created = await test().create();
    const before = await test().untilCondition(created, "Ready");

    const wrong = await refused(created, { spec: { maxRestarts: 3, hostname: "other" } });
    expect(wrong.status).toMatchObject({
      state: "Running",
      pid: before.status?.pid,
      containerID: before.status?.containerID,
      message: "spec.maxRestarts: Invalid value: 3: maxRestarts is only for restartPolicy OnFailure",
    });
    const held = wrong.status?.conditions?.filter(({ status }) => status === "True").map(({ type }) => type);
    expect(held).toEqual(["Stalled"]);

    const right = await test().patch(created, { spec: { maxRestarts: null, hostname: null } });
    const after = await test().untilCondition(right, "Ready");
    expect(after.status).toMatchObject({ state: "Running", reason: "Started", pid: before.status?.pid });
    expect(after.status).not.toHaveProperty("message");
    await test().delete(created);
  });

  it("is still kept running by the spec that was applied before", async () => {
    const created = await test().create();
    const before = await test().untilCondition(created, "Ready");
    await refused(created, { spec: { autoRemove: true } });
    process.kill(before.status?.pid ?? 0, "SIGKILL");
    const again = await test().until(created, "restarted", ({ status }) => status?.restartCount === 1);
    const { status } = await test().until(again, "running", ({ status }) => status?.state === "Running");
    expect(status).toMatchObject({ reason: "InvalidSpec", exitCode: 137 });
    await test().delete(created);
  });

  it("stays on its node, whatever nodeName says then", async () => {
    const created = await test().create();
    const before = await test().untilCondition(created, "Ready");
    const { name } = test().node;

    const moved = await refused(created, { spec: { nodeName: "elsewhere" } });
    expect(moved.status).toMatchObject({ state: "Running", pid: before.status?.pid, nodeName: name });
    expect(moved.status?.message).toMatch(/^spec\.nodeName: Invalid value: "elsewhere": is immutable/);
    expect(moved.status?.message).toContain(`"${name}"`);

    const back = await test().patch(created, { spec: { nodeName: name } });
    const after = await test().untilCondition(back, "Ready");
    expect(after.status).toMatchObject({ reason: "Started", pid: before.status?.pid });
    await test().delete(created);
  });

  it("is removed when it is deleted then", async () => {
    const created = await test().create();
    await test().untilCondition(created, "Ready");
    await refused(created, { spec: { nodeName: "elsewhere" } });
    await test().delete(created);
    expect((await test().audit()).container).toEqual([]);
  });
});

it("a spec that is put right is started", async () => {
  const created = await test().create({ maxRestarts: 3 });
  await test().until(created, "refused", ({ status }) => status?.reason === "InvalidSpec");
  const right = await test().patch(created, { spec: { restartPolicy: "OnFailure" } });
  const { status } = await test().untilCondition(right, "Ready");
  expect(status).not.toHaveProperty("exitCode");
  await test().delete(created);
});
