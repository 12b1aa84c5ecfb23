// Containers of one namespace know each other by name, as on a Docker network: a block in their hosts files.
import { statSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "@jest/globals";
import type { Container } from "../../../src/api/index.ts";
import { addressOf, appendIn, fileIn, inside } from "../../support/look.ts";
import { endBy, pidOf } from "../../support/away.ts";
import { untilRestarted } from "../../support/restart.ts";
import { useNode } from "../../support/test-node.ts";

const test = useNode();

const BRIDGED = { network: { mode: "Bridge" } } as const;
const HOSTS = "/etc/hosts";

const create = async (name: string, spec: Partial<Container["spec"]> = {}): Promise<Container> =>
  test().create({ ...BRIDGED, ...spec }, { name: `${name}-${String(test().node.index)}` });
const started = async (name: string, spec: Partial<Container["spec"]> = {}): Promise<Container> =>
  test().untilState(await create(name, spec), "Running");

/** The names that a container's hosts file has for others: what follows the line of its own. */
function neighboursOf(container: Container): string[] {
  const text = fileIn(container, HOSTS);
  const block = /^# Kept up to date by Berth.*\n([^#]*)^# End.*\n/m.exec(text)?.[1] ?? "";
  return block.split("\n").filter(Boolean);
}

const line = (container: Container, ...more: string[]): string =>
  `${addressOf(container)}\t${[container.metadata.name, ...more].join(" ")}`;

describe("the names of other containers", () => {
  it("come and go with them, in every hosts file of the namespace, and lead to them", async () => {
    const first = await started("first");
    expect(neighboursOf(first)).toEqual([]);
    const second = await started("second", { hostname: "the-second" });
    // By the time a status says Running, the others know.
    expect(neighboursOf(first)).toEqual([line(second, "the-second")]);
    expect(neighboursOf(second)).toEqual([line(first), line(second, "the-second")]);
    await inside(first, `ping -c 1 -W 5 ${second.metadata.name} && ping -c 1 -W 5 the-second`);
    await inside(second, `ping -c 1 -W 5 ${first.metadata.name} && ping -c 1 -W 5 ${second.metadata.name}`);

    const stopped = await test().patch(second, { spec: { desiredState: "Stopped" } });
    await test().untilState(stopped, "Exited");
    expect(neighboursOf(first)).toEqual([]);
    const other = await started("other");
    const again = await test().untilState(await test().patch(second, { spec: { desiredState: "Running" } }), "Running");
    // The address it had before went to the other one.
    expect(neighboursOf(first)).toEqual([line(other), line(again, "the-second")]);
    await test().delete(again);
    expect(neighboursOf(first)).toEqual([line(other)]);
    await test().deleteAll();
  });

  it("are those of the namespace and of those in a network of their own alone", async () => {
    const path = "/api/v1/namespaces";
    const namespace = `names-${String(test().node.index)}`;
    await test().api.create(path, { apiVersion: "v1", kind: "Namespace", metadata: { name: namespace } });
    const first = await started("first");
    const elsewhere = await test().untilState(
      await test().create(BRIDGED, { name: "elsewhere", namespace }),
      "Running",
    );
    const host = await started("host", { network: { mode: "Host" } });
    const none = await started("none", { network: { mode: "None" } });
    for (const container of [first, elsewhere, host, none]) expect(neighboursOf(container)).toEqual([]);
    await test().deleteAll();
    await test().api.delete(`${path}/${namespace}`);
  });

  it("are written in place, and what the container wrote itself stays", async () => {
    const first = await started("first");
    const inode = statSync(join(test().node.dataDir, "containers", containerID(first), "hosts")).ino;
    appendIn(first, HOSTS, "192.0.2.1\town\n");
    const second = await started("second");
    appendIn(first, HOSTS, "192.0.2.2\tafter\n");
    expect(neighboursOf(first)).toEqual([line(second)]);
    await test().delete(second);
    expect(neighboursOf(first)).toEqual([]);
    expect(fileIn(first, HOSTS)).toMatch(/\n192\.0\.2\.1\town\n192\.0\.2\.2\tafter\n$/);
    expect(statSync(`/proc/${String(pidOf(first))}/root${HOSTS}`).ino).toBe(inode);
    await test().deleteAll();
  });

  it("of a container that ends and is started again stay, as its address does", async () => {
    const first = await started("first");
    const second = await started("second");
    await endBy("SIGKILL", pidOf(second));
    const again = await untilRestarted(test(), second, 1);
    expect(neighboursOf(first)).toEqual([line(second)]);
    expect(neighboursOf(again)).toEqual([line(first)]);
    await test().deleteAll();
  });

  it("are made right by the next agent, whatever happened while there was none", async () => {
    const first = await started("first");
    const second = await started("second", { restartPolicy: "Never" });
    const third = await started("third");
    await test().node.stopAgent("kill");
    await endBy("SIGKILL", pidOf(second));
    // As if the last agent had died before it came to this file.
    appendIn(third, HOSTS, "# End of what Berth keeps up to date\n");
    test().node.startAgent();
    await test().node.agentReady();
    await test().untilState(second, "Exited");
    expect(neighboursOf(first)).toEqual([line(third)]);
    expect(neighboursOf(third)).toEqual([line(first)]);
    await test().deleteAll();
  });

  it("are all there after many have come at once", async () => {
    const names = Array.from({ length: 8 }, (_, index) => `many-${String(index)}`);
    const all = await Promise.all(names.map((name) => started(name)));
    for (const container of all) {
      expect(neighboursOf(container)).toEqual(all.filter((other) => other !== container).map((other) => line(other)));
    }
    await test().deleteAll();
  });
});

function containerID({ status }: Container): string {
  return status?.containerID?.replace("containerd://", "") ?? "";
}
