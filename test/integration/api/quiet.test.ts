// Following an API server through quiet times and dead connections, with the watch's times shortened.
import { join } from "node:path";
import { afterEach, beforeEach, expect, it, jest } from "@jest/globals";
import { pino } from "pino";
import { Cluster } from "../../../hack/cluster/cluster.ts";
import type { Container } from "../../../src/api/index.ts";
import { containerPath, KubeApi, ListWatch, type ListWatchTiming } from "../../../src/kube/index.ts";
import { Proxy } from "../../support/proxy.ts";
import { nodeIndex, sharedDir } from "../../support/test-node.ts";

const QUIET_MS = 7000;
const nodeName = `quiet-${nodeIndex()}`;
const through = join(sharedDir(), `${nodeName}.kubeconfig`);
const cluster = new Cluster({ dir: sharedDir() });

let proxy: Proxy;
let direct: KubeApi;
let api: KubeApi;
let containers: ListWatch<Container> | undefined;
/** Every change that was reported, in order, and who waits for the next one. */
let changes: string[];
let wake: (() => void) | undefined;

beforeEach(async () => {
  changes = [];
  proxy = await Proxy.inFrontOf(cluster.kubeconfig, through);
  direct = KubeApi.load({ kubeconfig: cluster.kubeconfig });
  api = KubeApi.load({ kubeconfig: through });
});

afterEach(async () => {
  for (const name of new Set(changes.map((change) => change.replace(/^[+-]/, "")))) {
    await direct.delete(containerPath("default", name)).catch(() => undefined);
  }
  await containers?.stop();
  containers = undefined;
  direct.close();
  api.close();
  await proxy.close();
});

/** Follows the Containers of a node that has no agent, and returns when the first list is complete. */
async function follow(timers: Partial<ListWatchTiming>): Promise<ListWatch<Container>> {
  const synced = Promise.withResolvers<undefined>();
  containers = new ListWatch<Container>({
    api,
    path: containerPath(),
    include: ({ spec }) => spec.nodeName === nodeName,
    onChange: (key, object) => {
      changes.push(`${object === undefined ? "-" : "+"}${key.replace("default/", "")}`);
      wake?.();
    },
    onSync: () => {
      synced.resolve(undefined);
    },
    logger: pino({ level: "silent" }),
    timers,
  });
  containers.start();
  await synced.promise;
  return containers;
}

const create = async (name: string): Promise<Container> =>
  direct.create<Container>(containerPath("default"), {
    apiVersion: "berth.dev/v1alpha1",
    kind: "Container",
    metadata: { name, namespace: "default" },
    spec: { nodeName, image: "example.com/hello:1" },
  });

async function untilReported(change: string): Promise<void> {
  while (!changes.includes(change)) {
    const { promise, resolve } = Promise.withResolvers<undefined>();
    wake = () => {
      resolve(undefined);
    };
    await promise;
  }
}

it("a quiet time costs a renewal of the watch each time it ends, and what comes after it is seen at once", async () => {
  await follow({ minSeconds: 1, maxSeconds: 1 });
  const [list, version] = [jest.spyOn(api, "list"), jest.spyOn(api, "version")];
  const asked = { list, version, get: jest.spyOn(api, "get"), watch: jest.spyOn(api, "watch") };
  await new Promise((resolve) => setTimeout(resolve, QUIET_MS));
  expect(asked.list).not.toHaveBeenCalled();
  expect(asked.version).not.toHaveBeenCalled();
  expect(asked.get).not.toHaveBeenCalled();
  expect(asked.watch.mock.calls.length).toBeGreaterThanOrEqual(3);
  expect(asked.watch.mock.calls.length).toBeLessThanOrEqual(QUIET_MS / 1000 + 1);

  const created = performance.now();
  await create(`${nodeName}-a`);
  await untilReported(`+${nodeName}-a`);
  expect(performance.now() - created).toBeLessThan(1000);
  expect(asked.list).not.toHaveBeenCalled();
});

it("a connection that is cut is made anew, and nothing is missed", async () => {
  await follow({ backoff: { baseMs: 50, maxMs: 200 } });
  const lists = jest.spyOn(api, "list");
  await create(`${nodeName}-b`);
  await untilReported(`+${nodeName}-b`);
  proxy.cut();
  await create(`${nodeName}-c`);
  await direct.delete(containerPath("default", `${nodeName}-b`));
  proxy.resume();
  await untilReported(`-${nodeName}-b`);
  expect(changes).toEqual([`+${nodeName}-b`, `+${nodeName}-c`, `-${nodeName}-b`]);
  // It went on from where it was.
  expect(lists).not.toHaveBeenCalled();
});

it("a connection that died in silence is given up, and nothing is missed", async () => {
  await follow({ minSeconds: 1, maxSeconds: 1, marginMs: 500, backoff: { baseMs: 50, maxMs: 200 } });
  await create(`${nodeName}-d`);
  await untilReported(`+${nodeName}-d`);
  proxy.freeze();
  await create(`${nodeName}-e`);
  await untilReported(`+${nodeName}-e`);
  expect(changes).toEqual([`+${nodeName}-d`, `+${nodeName}-e`]);
});

it("a server that does not answer at all is asked again until it does", async () => {
  proxy.cut();
  const following = follow({ backoff: { baseMs: 50, maxMs: 200 } });
  await create(`${nodeName}-f`);
  proxy.resume();
  const { connected, synced } = await following;
  expect({ connected, synced, changes }).toEqual({ connected: true, synced: true, changes: [`+${nodeName}-f`] });
});
