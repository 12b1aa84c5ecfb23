// What lives how long: API.md's table, for a restart, a reboot, a recreation and a deletion.
import { existsSync, mkdirSync, readdirSync, readFileSync } from "node:fs";
import { basename, join } from "node:path";
import { describe, expect, it } from "@jest/globals";
import type { Container, ContainerSpec } from "../../src/api/index.ts";
import { endBy, pidOf } from "../support/away.ts";
import { untilOutput, valuesOf } from "../support/probe.ts";
import { askRestart, untilRestarted } from "../support/restart.ts";
import { useNode } from "../support/test-node.ts";

const test = useNode();

const PLACES = { layer: "/root", anonymous: "/data", disk: "/disk", memory: "/memory", host: "/host" } as const;

/** Tells in each place which runs have been here before, adds its own number, and tells of its network namespace. */
const SCRIPT = `n=$(($(cat /host/runs 2>/dev/null || echo 0) + 1)); echo $n > /host/runs
for place in ${Object.entries(PLACES)
  .map(([name, path]) => `${name}:${path}`)
  .join(" ")}; do
  echo "$n.\${place%%:*}=$(cat \${place#*:}/seen 2>/dev/null)"; printf $n >> \${place#*:}/seen
done
echo "$n.netns=$(readlink /proc/self/ns/net)"; echo "$n.done=yes"
trap 'exit 0' USR1; sleep 3600 & wait`;

/** An image with a VOLUME at /data (and SIGUSR1 as its stop signal), every kind of volume, and an address. */
function everything(host: string): Partial<ContainerSpec> {
  return {
    image: test().image("config"),
    user: "root",
    command: ["/bin/sh", "-c", SCRIPT],
    network: { mode: "Bridge" },
    volumes: [
      { name: "disk", emptyDir: {} },
      { name: "memory", emptyDir: { medium: "Memory" } },
      { name: "host", hostPath: { path: host } },
    ],
    volumeMounts: ["disk", "memory", "host"].map((name) => ({ name, mountPath: `/${name}` })),
  };
}

/** What the run of a number has found. */
async function found(container: Container, number: number): Promise<Record<string, string | undefined>> {
  await untilOutput(test(), container, `${number}.done=yes`);
  const prefix = `${number}.`;
  const values = Object.entries(valuesOf(test().output(container))).filter(([name]) => name.startsWith(prefix));
  return Object.fromEntries(values.map(([name, value]) => [name.slice(prefix.length), value]));
}

const hostDirectory = (name: string): string => {
  const path = join(test().node.dir, name);
  mkdirSync(path);
  return path;
};

const EMPTY = { layer: "", anonymous: "", disk: "", memory: "" };
const KEPT = { layer: "1", anonymous: "1", disk: "1", memory: "1", host: "1" };

describe("a restart", () => {
  it.each<[string, (container: Container) => Promise<unknown>]>([
    ["by the policy", (container) => endBy("SIGKILL", pidOf(container))],
    ["on request", (container) => askRestart(test(), container, "now")],
  ])("%s keeps every file, the network namespace and the address", async (how, restart) => {
    const created = await test().create(everything(hostDirectory(`restart-${how.replaceAll(" ", "-")}`)));
    const first = await test().untilCondition(created, "Ready");
    const before = await found(created, 1);
    expect(before).toMatchObject({ ...EMPTY, host: "" });
    await restart(first);
    const again = await untilRestarted(test(), created, 1);
    expect(await found(created, 2)).toEqual({ ...KEPT, netns: before["netns"], done: "yes" });
    expect(again.status?.network).toEqual(first.status?.network);
    await test().delete(created);
  });
});

describe("Stopped and Running again", () => {
  it("keeps every file", async () => {
    const created = await test().create(everything(hostDirectory("stopped")));
    await found(created, 1);
    await test().untilCondition(await test().patch(created, { spec: { desiredState: "Stopped" } }), "Ready");
    await test().untilCondition(await test().patch(created, { spec: { desiredState: "Running" } }), "Ready");
    expect(await found(created, 2)).toMatchObject(KEPT);
    await test().delete(created);
  });
});

describe("a reboot of the node", () => {
  it("keeps what is on disk; files in memory and the network are new", async () => {
    const created = await test().create(everything(hostDirectory("rebooted")));
    await found(created, 1);
    await test().node.reboot();
    test().node.startAgent();
    const again = await untilRestarted(test(), created, 1);
    expect(again.status).toMatchObject({ exitCode: 255 });
    expect(await found(created, 2)).toMatchObject({ ...KEPT, memory: "" });
    await test().delete(created);
  });
});

describe("a recreation", () => {
  it("keeps what is on a hostPath; everything else is new, and nothing of the old is left", async () => {
    const before = await test().audit();
    const created = await test().create(everything(hostDirectory("recreated")));
    const first = await test().untilCondition(created, "Ready");
    await found(created, 1);
    const changed = await test().patch(created, { spec: { hostname: "another" } });
    const second = await test().untilCondition(changed, "Ready");
    expect(await found(created, 2)).toMatchObject({ ...EMPTY, host: "1" });
    // The kernel may give the number of a namespace that is gone to the next one; its name here is the container's id.
    const namespaces = (await test().audit())["network namespace"].map((path) => basename(path));
    expect(namespaces).toEqual([`${created.metadata.uid}-2`]);
    expect(second.status?.network?.macAddress).not.toBe(first.status?.network?.macAddress);

    await test().delete(created);
    expect(await test().leaks(before)).toEqual([]);
  });
});

describe("a deletion", () => {
  it("leaves only what is on a hostPath", async () => {
    const before = await test().audit();
    const host = hostDirectory("deleted");
    const created = await test().create(everything(host));
    await found(created, 1);
    const logs = join(test().node.logDir, "default", created.metadata.name);
    expect(existsSync(logs)).toBe(true);
    await test().delete(created);
    expect(await test().leaks(before)).toEqual([]);
    expect(existsSync(logs)).toBe(false);
    for (const dir of [test().node.dataDir, test().node.stateDir]) {
      expect(readdirSync(join(dir, "containers"))).toEqual([]);
    }
    expect(readFileSync(join(host, "seen"), "utf8")).toBe("1");
  });
});
