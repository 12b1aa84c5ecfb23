// A full disk of the logs: it is told, costs output and nothing else, and all goes on by itself when there is room.
import { mkdirSync, readdirSync, readFileSync, rmSync, statSync, watch, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import type { Condition, Container } from "../../../src/api/index.ts";
import { mount, unmount } from "../../../src/node/index.ts";
import { pidOf, readiness } from "../../support/away.ts";
import { countOf, untilEvent, untilEvents } from "../../support/events.ts";
import { untilOutput } from "../../support/probe.ts";
import { useNode } from "../../support/test-node.ts";

const MIB = 2 ** 20;
const POLL_MS = 20;
const test = useNode({ startAgent: false });
const logs = (): string => test().node.logDir;
const ballast = (): string => join(logs(), "ballast");
const logOf = ({ metadata }: Container): string => join(logs(), metadata.namespace, metadata.name, "output.log");

/** Takes all the room there is, as far as it goes. */
function fill(): void {
  try {
    writeFileSync(ballast(), Buffer.alloc(4 * MIB));
  } catch {
    // It has got what there was.
  }
}

function pressureOf({ status }: Container): Condition | undefined {
  return status?.conditions?.find(({ type }) => type === "DiskPressure");
}

/** The processes of the shells that have taken over an output. */
function rescuers(container: Container): string[] {
  return readdirSync("/proc").filter((pid) => textOf(pid, "cmdline").includes(`berth-output\0${logOf(container)}\0`));
}

function textOf(pid: string, name: string): string {
  try {
    return /^\d+$/.test(pid) ? readFileSync(`/proc/${pid}/${name}`, "utf8") : "";
  } catch {
    return "";
  }
}

/** Waits for something that nothing tells of. */
async function until(what: string, holds: () => boolean): Promise<void> {
  const deadline = Date.now() + 30_000;
  while (!holds()) {
    if (Date.now() > deadline) throw new Error(`${what} did not come about\n${test().agentLog()}`);
    await delay(POLL_MS);
  }
}

describe("a full disk of the logs", () => {
  beforeAll(async () => {
    const { node } = test();
    mkdirSync(logs(), { recursive: true });
    await mount({ type: "tmpfs", source: "tmpfs", target: logs(), options: ["size=4m"] });
    node.startAgent();
    await node.agentReady();
  }, 30_000);
  afterAll(async () => {
    await test().deleteAll();
    await test().node.stopAgent();
    await unmount(logs());
  });

  it("is told once, holds up nobody, and is over when there is room", async () => {
    const script = "i=0; while :; do i=$((i + 1)); printf '%0500d line %d\\n' 0 $i; usleep 20000; done";
    const writer = await test().create({ command: ["sh", "-c", script], terminationGracePeriodSeconds: 0 });
    const silent = await test().create();
    await untilOutput(test(), writer, "line 10\n");
    const running = await test().untilCondition(writer, "Ready");
    const quiet = await test().untilCondition(silent, "Ready");
    fill();

    const told = await test().until(writer, "told", (now) => pressureOf(now) !== undefined);
    expect(pressureOf(told)).toMatchObject({ status: "True", reason: "LogDiskFull" });
    expect(pressureOf(told)?.message).toMatch(/the disk of .*logs has .* of 4 MiB left.*Make room there/);
    expect((await untilEvent(test(), writer, "LogDiskFull")).message).toBe(pressureOf(told)?.message);
    const { ready, lines } = await readiness(test().node);
    expect(ready).toBe(true);
    expect(lines.join()).toContain(`disk: full: the disk of ${logs()} has `);
    // One write for a change: what the shim has given up is taken over without another.
    await until("a rescue", () => rescuers(writer).length > 0);
    const { resourceVersion } = test().get(writer)?.metadata ?? {};
    expect(resourceVersion).toBe(told.metadata.resourceVersion);

    const size = statSync(logOf(writer)).size;
    rmSync(ballast());
    await test().until(writer, "relieved", (now) => pressureOf(now) === undefined);
    await until("more output", () => statSync(logOf(writer)).size > size + 10_000);
    const after = await test().until(silent, "relieved", (now) => pressureOf(now) === undefined);
    expect(after.status).toMatchObject({ state: "Running", pid: pidOf(quiet), restartCount: 0 });
    expect(test().get(writer)?.status).toMatchObject({ state: "Running", pid: pidOf(running), restartCount: 0 });
    const events = await untilEvents(test(), writer, (all) => countOf(all, "OutputLost") > 0);
    expect(countOf(events, "LogDiskFull")).toBe(1);

    // Another agent finds it taken over.
    await test().node.stopAgent("kill");
    const before = rescuers(writer);
    // In no cgroup with which the agent's Pod or service would end them: in none but the roots.
    for (const pid of before) expect(textOf(pid, "cgroup")).toMatch(/^(\d+:[^:]*:\/\n)+$/);
    test().node.startAgent();
    await test().node.agentReady();
    await until("output under the next agent", () => statSync(logOf(writer)).size > size + 20_000);
    expect(rescuers(writer)).toEqual(before);
    await test().delete(writer);
    await until("the rescuer's end", () => rescuers(writer).length === 0);
    await test().delete(silent);
  });

  it("is not made by a container that writes without end: its newest output is kept, others are untouched", async () => {
    const other = await test().untilCondition(await test().create(), "Ready");
    const flood = await test().create({
      command: ["sh", "-c", "i=0; while :; do i=$((i + 1)); echo $i; done | cat -; true"],
      terminationGracePeriodSeconds: 0,
      logging: { maxSize: "256Ki", maxFiles: 3 },
    });
    await test().untilCondition(flood, "Ready");
    await until("a rotation", () => readdirSync(join(logs(), "default", flood.metadata.name)).length === 3);
    const all = (): number[] =>
      ["output.log.1", "output.log"].flatMap((name) => {
        const lines = readFileSync(join(logs(), "default", flood.metadata.name, name), "utf8").split("\n");
        return lines.slice(1, -1).map(Number);
      });
    let seen = 0;
    const watcher = watch(join(logs(), "default", flood.metadata.name), () => (seen += 1));
    await until("more rotations", () => seen > 200);
    watcher.close();
    expect(all().at(-1)).toBeGreaterThan(1000);
    expect(test().get(other)?.status).toMatchObject({ state: "Running", restartCount: 0 });
    await test().delete(flood);
    await test().delete(other);
  });

  it("lets the rotation keep the newest output when there is no room for a copy", async () => {
    const created = await test().create({
      command: ["sh", "-c", "head -c 1500000 /dev/zero | tr '\\0' x; echo the end; exec sleep 3600"],
      terminationGracePeriodSeconds: 0,
      logging: { maxSize: "2Mi", maxFiles: 3 },
    });
    await untilOutput(test(), created, "the end");
    const running = await test().untilCondition(created, "Ready");
    fill();
    await test().patch(running, { spec: { logging: { maxSize: "1Mi", maxFiles: 3 } } });
    await until("a truncation", () => statSync(logOf(created)).size === 0);
    await until("a copy", () => readFileSync(`${logOf(created)}.1`, "utf8").endsWith("the end\n"));
    const events = await untilEvents(test(), created, (all) => countOf(all, "OutputLost") > 0);
    expect(events.find(({ reason }) => reason === "OutputLost")?.message).toContain("disk of the logs is full");
    rmSync(ballast());
    await test().until(created, "relieved", (now) => pressureOf(now) === undefined);
    await test().delete(created);
  });
});
