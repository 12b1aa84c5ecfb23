// Events of containerd's that come late, twice, in another order or not at all, and a containerd that hangs: no end is
// missed, nothing is started twice, and each restart counts once.
import { join } from "node:path";
import { setImmediate as tick } from "node:timers/promises";
import { afterAll, afterEach, beforeAll, expect, it } from "@jest/globals";
import type { Container } from "../../../src/api/index.ts";
import { endBy, pidOf, readiness, untilMissed } from "../../support/away.ts";
import { ContainerdProxy, type Gate } from "../../support/containerd-proxy.ts";
import { untilRestarted } from "../../support/restart.ts";
import { useNode } from "../../support/test-node.ts";

const test = useNode({ startAgent: false });

const ENDS_WITH_7 = ["sh", "-c", "echo run; trap 'exit 7' USR1; trap 'exit 0' TERM; sleep 3600 & wait"];
const EXIT = "/tasks/exit";
/** Until a containerd that hangs is noticed. */
const HANG_MS = 40_000;

let proxy: ContainerdProxy;

beforeAll(async () => {
  const { node } = test();
  proxy = await ContainerdProxy.start(join(node.runDir, "proxy.sock"), node.containerdAddress);
  node.startAgent({ "containerd-address": proxy.address });
  await node.agentReady();
});

afterAll(async () => {
  await proxy.close();
});

afterEach(async () => {
  proxy.heal();
  proxy.divert();
  await test().node.agentReady();
  await test().deleteAll();
});

const runsOf = (container: Container): number => test().output(container).split("run\n").length - 1;

it("an end is in the record before its task is deleted, and told after that", async () => {
  const created = await test().create({
    command: ["sh", "-c", "trap 'tail /dev/zero; exit 4' USR1; sleep 3600 & wait"],
    resources: { limits: { memory: "16Mi" } },
    restartPolicy: "Never",
  });
  const running = await test().untilCondition(created, "Ready");
  const deletion = proxy.hold("Tasks/Delete");
  process.kill(pidOf(running), "SIGUSR1");
  try {
    await deletion.called;
    const state = await recordedState(created);
    expect(state).toMatchObject({ lastEnd: { exitCode: 4, reason: "OOMKilled", oomKilled: true, requested: false } });
    expect(state).not.toHaveProperty("run");
    expect(test().get(created)?.status).toEqual(running.status);
  } finally {
    deletion.open();
  }
  const { status } = await test().untilCondition(created, "Failed");
  expect(status).toMatchObject({ exitCode: 4, reason: "OOMKilled", oomKilled: true });
});

it("events that come late, twice and in reverse are as good as others, also when they are about an earlier run", async () => {
  const created = await Promise.all(
    [1, 2].map(() => test().create({ command: ENDS_WITH_7, restartPolicy: "OnFailure" })),
  );
  const running = await Promise.all(created.map((each) => test().untilCondition(each, "Ready")));
  const both = Promise.withResolvers<undefined>();
  let held = 0;
  proxy.divert((topic) => {
    if (!topic.startsWith("/tasks/")) return "now";
    if (topic === EXIT && ++held === 2) both.resolve(undefined);
    return "later";
  });
  for (const each of running) await endBy("SIGUSR1", pidOf(each));
  await both.promise;
  // The stream takes the event when this has returned.
  await tick();
  expect(proxy.release(3)).toBe(2);
  await Promise.all(created.map((each) => untilRestarted(test(), each, 1)));
  proxy.divert();
  proxy.release();
  proxy.repeat();
  await Promise.all(created.map((each) => test().patch(each, { spec: { desiredState: "Stopped" } })));
  for (const each of created) {
    const { status } = await test().until(each, "stopped", ({ status }) => status?.state === "Exited");
    expect(status).toMatchObject({ restartCount: 1, exitCode: 0 });
    expect(runsOf(each)).toBe(2);
  }
});

it("ends while the stream of events is cut again and again are all counted, each once", async () => {
  const created = await Promise.all(
    Array.from({ length: 4 }, () =>
      test().create({ command: ["sh", "-c", "echo run; exit 5"], restartPolicy: "OnFailure", maxRestarts: 2 }),
    ),
  );
  const cutting = setInterval(() => {
    proxy.cutEvents();
  }, 150);
  try {
    for (const each of created) {
      const { status } = await test().untilCondition(each, "Failed");
      expect(status).toMatchObject({ exitCode: 5, restartCount: 2, state: "Exited" });
      expect(runsOf(each)).toBe(3);
    }
  } finally {
    clearInterval(cutting);
  }
});

it("the stream counts as followed only when an event of the agent's own has come back; what was before is looked for", async () => {
  const created = await test().create({ command: ENDS_WITH_7, restartPolicy: "OnFailure" });
  const running = await test().untilCondition(created, "Ready");
  let markers = 0;
  const marked = Promise.withResolvers<undefined>();
  proxy.divert((topic) => {
    if (topic.startsWith("/berth/marker/") && ++markers === 3) marked.resolve(undefined);
    return "never";
  });
  proxy.cutEvents();
  await untilMissed(test().node, "containerd");
  // That it is missed has each Container looked at; these looks are over when one that came later has been started.
  const later = await test().untilCondition(await test().create(), "Ready");
  await endBy("SIGUSR1", pidOf(running));
  // It has subscribed again by now, and its markers get lost on their way back.
  await marked.promise;
  expect(await readiness(test().node)).toMatchObject({ ready: false });
  expect(test().get(created)?.status).toEqual(running.status);
  proxy.divert();
  expect((await untilRestarted(test(), created, 1)).status).toMatchObject({ exitCode: 7 });
  await test().node.agentReady();
  await test().delete(later);
});

it("a containerd that hangs is as one that is away, and ends meanwhile are found when it goes on", async () => {
  const { node } = test();
  const created = await test().create({ command: ENDS_WITH_7, restartPolicy: "OnFailure" });
  const running = await test().untilCondition(created, "Ready");
  const starting = await startHeldUp();
  const { containerdPid = 0 } = node;
  process.kill(containerdPid, "SIGSTOP");
  try {
    starting.creation.open();
    await endBy("SIGUSR1", pidOf(running));
    const { ready, lines } = await untilMissed(node, "containerd", HANG_MS);
    expect(ready).toBe(false);
    expect(lines[0]).toContain("containerd does not answer");
    const fresh = await test().create();
    const told = await test().until(fresh, "told", ({ status }) => status?.reason === "RuntimeUnavailable", HANG_MS);
    expect(told.status).toMatchObject({ state: "Pending", message: expect.stringContaining("does not answer") });
    expect(test().get(created)?.status).toEqual(running.status);
    expect(test().get(starting.container)?.status?.reason).not.toBe("RuntimeError");
    process.kill(containerdPid, "SIGCONT");
    await test().untilCondition(fresh, "Ready");
    // What was under way has its answer after all.
    const { status } = await test().untilCondition(starting.container, "Ready");
    expect(status).not.toHaveProperty("startAttempts");
    const restarted = await untilRestarted(test(), created, 1);
    expect(restarted.status).toMatchObject({ exitCode: 7 });
    expect(runsOf(created)).toBe(2);
    await node.agentReady();
  } finally {
    process.kill(containerdPid, "SIGCONT");
  }
}, 120_000);

/** A container that is being started: containerd has not heard yet that its task is to be made. */
async function startHeldUp(): Promise<{ container: Container; creation: Gate }> {
  const creation = proxy.hold("Tasks/Create");
  const container = await test().create();
  await creation.called;
  return { container, creation };
}

/** How a container's runs went, as its record has it. */
async function recordedState({ metadata }: Container): Promise<unknown> {
  const info = JSON.parse(await test().node.ctr("containers", "info", `${metadata.uid}-1`)) as {
    Extensions: Record<string, { value: string }>;
  };
  return JSON.parse(Buffer.from(info.Extensions["berth.dev/state"]?.value ?? "", "base64").toString()) as unknown;
}
