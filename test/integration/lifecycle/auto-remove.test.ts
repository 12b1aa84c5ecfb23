// autoRemove: the last status and an Event, then the object and all that was its own; whatever comes between them.
import { existsSync } from "node:fs";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "@jest/globals";
import { pino } from "pino";
import type { Container, ContainerSpec } from "../../../src/api/index.ts";
import { containerPath, ListWatch } from "../../../src/kube/index.ts";
import { endBy, pidOf } from "../../support/away.ts";
import { countOf, untilEvents } from "../../support/events.ts";
import { Proxy } from "../../support/proxy.ts";
import { OWN_VOLUMES } from "../../support/failed-start.ts";
import { conditionsOf } from "../../support/restart.ts";
import { useNode } from "../../support/test-node.ts";

const test = useNode({ startAgent: false });

let proxy: Proxy;
let flags: Record<string, string>;

beforeAll(async () => {
  const { node } = test();
  const kubeconfig = join(node.dir, "proxy.kubeconfig");
  proxy = await Proxy.inFrontOf(node.agentFlags()["kubeconfig"] ?? "", kubeconfig);
  flags = { kubeconfig };
  node.startAgent(flags);
  await node.agentReady();
});
afterAll(() => proxy.close());

afterEach(async () => {
  proxy.resume();
  test().node.startAgent(flags);
  await test().node.agentReady(60_000);
}, 70_000);

const ENDS_WITH_3 = ["sh", "-c", "trap 'exit 3' USR1; trap 'exit 0' TERM; sleep 3600 & wait"];
const once = (spec: Partial<ContainerSpec> = {}): Promise<Container> =>
  test().create({ autoRemove: true, restartPolicy: "Never", ...spec });

/** Everything a watch tells of a Container until it is gone. */
async function told({ metadata }: Container, timeoutMs = 30_000): Promise<Container[]> {
  const seen: Container[] = [];
  const gone = Promise.withResolvers<undefined>();
  const watch = new ListWatch<Container>({
    api: test().api,
    path: containerPath(metadata.namespace),
    fieldSelector: `metadata.name=${metadata.name}`,
    onChange: (_, object) => {
      if (object === undefined) gone.resolve(undefined);
      else seen.push(object);
    },
    onSync: () => {
      if (watch.list().length === 0) gone.resolve(undefined);
    },
    logger: pino({ level: "silent" }),
  });
  const timer = setTimeout(() => {
    gone.reject(
      new Error(`${metadata.name} is still there: ${JSON.stringify(seen.at(-1)?.status)}\n${test().agentLog()}`),
    );
  }, timeoutMs);
  watch.start();
  try {
    await gone.promise;
    return seen;
  } finally {
    clearTimeout(timer);
    await watch.stop();
  }
}

/** The last that was told before the deletion began. */
const lastWord = (seen: readonly Container[]): Container | undefined =>
  seen.filter(({ metadata }) => metadata.deletionTimestamp === undefined).at(-1);

describe("autoRemove", () => {
  it.each<[string, Partial<ContainerSpec>, object, string]>([
    ["has ended well", { command: ["sleep", "1"] }, { state: "Exited", exitCode: 0 }, "Complete"],
    ["has failed", { command: ["sh", "-c", "sleep 1; exit 3"] }, { state: "Exited", exitCode: 3 }, "Failed"],
    ["can't be started", { command: ["no-such-command"] }, { reason: "CommandNotFound", exitCode: 127 }, "Failed"],
    ["asks for what can't be", { user: "ghost" }, { reason: "InvalidSpec", exitCode: 128 }, "Failed"],
  ])("removes what %s, with all that was its own, after its last word", async (_, spec, status, condition) => {
    const before = await test().audit();
    const created = await once({
      image: test().image("config"),
      user: "root",
      args: [],
      network: { mode: "Bridge" },
      ...OWN_VOLUMES,
      ...spec,
    });
    const last = lastWord(await told(created));
    expect(last?.status).toMatchObject(status);
    expect(last === undefined ? [] : conditionsOf(last)).toContain(condition);
    expect(await test().leaks(before)).toEqual([]);
    expect(existsSync(join(test().node.logDir, "default", created.metadata.name))).toBe(false);
    const events = await untilEvents(test(), created, (all) => countOf(all, "Removed") === 2);
    expect(events.map(({ message }) => message).join("\n")).toContain("spec.autoRemove");
  });

  it("removes what was stopped, as Docker does, but not what is restarted or made anew", async () => {
    const before = await test().audit();
    const created = await once();
    await test().untilCondition(created, "Ready");
    const seen = told(created);
    await test().patch(created, { metadata: { annotations: { "berth.dev/restartedAt": "now" } } });
    await test().until(created, "restarted", ({ status }) => status?.restartCount === 1 && status.state === "Running");
    const changed = await test().patch(created, { spec: { hostname: "another" } });
    const again = await test().untilCondition(changed, "Ready");
    expect(again.status?.containerID).toBe(`containerd://${created.metadata.uid}-${changed.metadata.generation}`);
    await test().patch(created, { spec: { desiredState: "Stopped" } });
    expect(lastWord(await seen)?.status).toMatchObject({ state: "Exited", exitCode: 0 });
    expect(await test().leaks(before)).toEqual([]);
  });

  it("leaves what is tried again, and what was never asked to run", async () => {
    const created = await once({ desiredState: "Stopped" });
    const waits = await once({ volumes: [{ name: "v", hostPath: { path: "/no/such/path", type: "Directory" } }] });
    await test().untilCondition(created, "Ready");
    await test().until(waits, "tried twice", ({ status }) => (status?.startAttempts ?? 0) >= 2);
    await Promise.all([test().delete(created), test().delete(waits)]);
  });

  it("is done by the next agent when one dies before it", async () => {
    const before = await test().audit();
    const created = await once({ command: ENDS_WITH_3, network: { mode: "Bridge" } });
    const running = await test().untilCondition(created, "Ready");
    await test().node.stopAgent("kill");
    await endBy("SIGUSR1", pidOf(running));
    const seen = told(created);
    test().node.startAgent(flags);
    expect(lastWord(await seen)?.status).toMatchObject({ state: "Exited", exitCode: 3 });
    expect(await test().leaks(before)).toEqual([]);
  });

  it("is done by the next agent when one dies between the last status and the deletion", async () => {
    const before = await test().audit();
    // An API server that refuses the deletion holds the agent up there.
    const role = "/apis/rbac.authorization.k8s.io/v1/clusterroles/berth-agent";
    const { rules } = await test().api.get<{ rules: { verbs: string[] }[] }>(role);
    const without = rules.map((rule) => ({ ...rule, verbs: rule.verbs.filter((verb) => verb !== "delete") }));
    await test().api.mergePatch(role, { rules: without });
    try {
      const created = await once({ command: ENDS_WITH_3, network: { mode: "Bridge" } });
      await endBy("SIGUSR1", pidOf(await test().untilCondition(created, "Ready")));
      await test().untilCondition(created, "Failed");
      await untilEvents(test(), created, (all) => countOf(all, "Removed") > 0);
      await test().node.stopAgent("kill");
      expect(test().get(created)?.metadata.deletionTimestamp).toBeUndefined();
      await test().api.mergePatch(role, { rules });
      test().node.startAgent(flags);
      expect(lastWord(await told(created))?.status).toMatchObject({ state: "Exited", exitCode: 3 });
    } finally {
      await test().api.mergePatch(role, { rules });
    }
    expect(await test().leaks(before)).toEqual([]);
  });

  it("waits for an API server that is away: the last status is told first, then it goes", async () => {
    const before = await test().audit();
    const created = await once({ command: ENDS_WITH_3, network: { mode: "Bridge" } });
    const running = await test().untilCondition(created, "Ready");
    const seen = told(created, 60_000);
    proxy.cut();
    await endBy("SIGUSR1", pidOf(running));
    // Its end is recorded, of which nobody could be told.
    const deadline = Date.now() + 20_000;
    while ((await test().audit()).task.length > 0) {
      if (Date.now() > deadline) throw new Error("the end was not recorded");
    }
    expect(test().get(created)?.status?.state).toBe("Running");
    proxy.resume();
    expect(lastWord(await seen)?.status).toMatchObject({ state: "Exited", exitCode: 3 });
    expect(await test().leaks(before)).toEqual([]);
  }, 90_000);
});
