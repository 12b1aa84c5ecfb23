// What an agent asks of the API server when there is nothing to do, and what becomes of connections that don't say they ended.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { expect, it, jest } from "@jest/globals";
import { pino } from "pino";
import type { ControlPlane } from "../../../hack/cluster/control-plane.ts";
import type { Container } from "../../../src/api/index.ts";
import { containerPath, KubeApi, ListWatch } from "../../../src/kube/index.ts";
import { endBy, pidOf, untilMissed, untilRestarted } from "../../support/away.ts";
import { Proxy } from "../../support/proxy.ts";
import { sharedDir, useNode } from "../../support/test-node.ts";

const test = useNode({ ownControlPlane: true });

const ENDS_WITH_7 = ["sh", "-c", "trap 'exit 7' USR1; trap 'exit 0' TERM; sleep 3600 & wait"];
/** The watches of an API server that has just come up work after a while only. */
const PATIENCE_MS = 60_000;
const IDLE_MS = 5000;

const controlPlane = (): ControlPlane => test().cluster.controlPlane;

it("a connection that dies in silence does not keep containers from being started again", async () => {
  const kubeconfig = join(sharedDir(), `${test().node.name}-proxy.kubeconfig`);
  const proxy = await Proxy.inFrontOf(test().node.agentFlags()["kubeconfig"] ?? "", kubeconfig);
  try {
    await test().node.stopAgent();
    test().node.startAgent({ kubeconfig });
    await test().node.agentReady();
    const created = await test().create({ command: ENDS_WITH_7 });
    const running = await test().untilCondition(created, "Ready");
    proxy.freezeAll();
    await endBy("SIGUSR1", pidOf(running));
    await untilRestarted(test().node, running);
    proxy.cut();
    proxy.resume();
    await test().until(created, "restarted", ({ status }) => status?.restartCount === 1, PATIENCE_MS);
    await test().delete(created, PATIENCE_MS);
  } finally {
    await test().node.stopAgent("kill");
    await proxy.close();
    test().node.startAgent();
    await test().node.agentReady();
  }
});

it("an API server that was killed is followed again, and told of what went on", async () => {
  const created = await test().create({ command: ENDS_WITH_7 });
  const running = await test().untilCondition(created, "Ready");
  await controlPlane().stopApiserver("kill");
  await untilMissed(test().node, "apiserver");
  await endBy("SIGUSR1", pidOf(running));
  await untilRestarted(test().node, running);
  await controlPlane().startApiserver();
  await test().until(created, "restarted", ({ status }) => status?.restartCount === 1, PATIENCE_MS);
  await test().delete(created, PATIENCE_MS);
}, 120_000);

it("an idle agent asks for nothing", async () => {
  const created = await test().create();
  await test().untilCondition(created, "Ready");
  const settled = await untilSettled();
  await delay(IDLE_MS);
  expect(await requests()).toEqual(settled);
  await test().delete(created);
});

it("a watch that is too far behind lists again, and nothing is missed", async () => {
  const kubeconfig = join(sharedDir(), `${test().node.name}-gone.kubeconfig`);
  const proxy = await Proxy.inFrontOf(test().cluster.kubeconfig, kubeconfig);
  const api = KubeApi.load({ kubeconfig });
  const seen: (string | undefined)[] = [];
  const synced = Promise.withResolvers<undefined>();
  const back = Promise.withResolvers<undefined>();
  const kept = await test().create({ desiredState: "Stopped" });
  const gone = await test().create({ desiredState: "Stopped" });
  await Promise.all([test().untilCondition(kept, "Ready"), test().untilCondition(gone, "Ready")]);
  const containers = new ListWatch<Container>({
    api,
    path: containerPath(),
    onChange: (key, object) => {
      seen.push(object === undefined ? `-${key}` : `+${key}`);
      if (object === undefined) back.resolve(undefined);
    },
    onSync: () => {
      synced.resolve(undefined);
    },
    logger: pino({ level: "silent" }),
    timers: { backoff: { baseMs: 50, maxMs: 200 } },
  });
  try {
    containers.start();
    await synced.promise;
    const lists = jest.spyOn(api, "list");
    seen.length = 0;
    proxy.cut();
    await test().delete(gone);
    await test().patch(kept, { metadata: { labels: { changed: "yes" } } });
    await compact();
    // A server that has just come up remembers nothing of before.
    await controlPlane().stopApiserver("kill");
    await controlPlane().startApiserver();
    proxy.resume();
    await back.promise;
    expect(lists).toHaveBeenCalledTimes(1);
    expect(seen.sort()).toEqual([`+default/${kept.metadata.name}`, `-default/${gone.metadata.name}`]);
  } finally {
    await containers.stop();
    api.close();
    await proxy.close();
  }
  await test().delete(kept, PATIENCE_MS);
}, 120_000);

/** Has etcd forget all versions before the newest, as an API server has it do every five minutes. */
async function compact(): Promise<void> {
  const { resourceVersion } = await test().api.list(containerPath());
  const { etcd } = JSON.parse(readFileSync(join(controlPlane().dir, "ports.json"), "utf8")) as { etcd: number };
  const answer = await fetch(`http://127.0.0.1:${etcd}/v3/kv/compaction`, {
    method: "POST",
    body: JSON.stringify({ revision: resourceVersion, physical: true }),
  });
  expect(answer.status).toBe(200);
}

/** How often each kind of request was made, by the API server's own count; the nodes' Leases and watches aside. */
async function requests(): Promise<string[]> {
  const metrics = await controlPlane().kubectl(["get", "--raw", "/metrics"]);
  const counted = /^apiserver_request_total\{.*resource="(containers|events|secrets|configmaps)".*/;
  return metrics.split("\n").filter((line) => counted.test(line) && !line.includes('verb="WATCH"'));
}

/** What was asked for until nothing more was: Events go out a moment after what they tell of. */
async function untilSettled(): Promise<string[]> {
  for (let before = await requests(); ;) {
    await delay(500);
    const now = await requests();
    if (now.join("\n") === before.join("\n")) return now;
    before = now;
  }
}
