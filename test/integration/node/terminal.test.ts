// What takes a terminal's output: that it copes with rotation, and goes with the shim.
import { mkdirSync, readdirSync, readFileSync, statSync, truncateSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { describe, expect, it } from "@jest/globals";
import type { Container } from "../../../src/api/index.ts";
import { logFile } from "../../../src/lifecycle/task.ts";
import { run } from "../../../src/node/index.ts";
import { readLog } from "../../../src/telemetry/index.ts";
import { pidOf } from "../../support/away.ts";
import { loggersOf } from "../../support/loggers.ts";
import { untilOutput } from "../../support/probe.ts";
import { untilRestarted } from "../../support/restart.ts";
import { useNode } from "../../support/test-node.ts";

const test = useNode();

/** All that a container's log files hold, the oldest first, whatever rotation does meanwhile. */
async function wholeOutput({ metadata }: Container): Promise<string> {
  const chunks = await Array.fromAsync(readLog(logFile(test().node.logDir, metadata)));
  return Buffer.concat(chunks).toString();
}

describe("a terminal's output", () => {
  it("is rotated, and keeps its order; what comes in the very moment of a truncation may be lost", async () => {
    // Each line a second write, so that rotations come between them.
    const script =
      "i=0; while [ $i -lt 4000 ]; do echo line $i; i=$((i+1)); [ $((i % 1000)) = 0 ] && sleep 1; done; echo end";
    const created = await test().create({
      tty: true,
      command: ["sh", "-c", script],
      restartPolicy: "Never",
      logging: { maxSize: "5Ki", maxFiles: 10 },
    });
    await untilOutput(test(), created, "end\r\n");
    const output = await wholeOutput(created);
    const numbers = [...output.matchAll(/^line (\d+)\r$/gm)].map(([, number]) => Number(number));
    expect(numbers).toEqual([...new Set(numbers)].sort((a, b) => a - b));
    expect(numbers.length).toBeGreaterThan(3950);
    expect(output.endsWith("end\r\n")).toBe(true);
    const { metadata } = created;
    expect(readdirSync(join(test().node.logDir, metadata.namespace, metadata.name)).length).toBeGreaterThan(2);
    await test().delete(created);
  });

  it("is lost while the disk is full, but the container is not held up", async () => {
    const { node } = test();
    const name = `full-${node.index}`;
    const folder = join(node.logDir, "default", name);
    mkdirSync(folder, { recursive: true });
    await run("mount", ["-t", "tmpfs", "-o", "size=32k", "berth-test", folder]);
    try {
      const script = "seq 1 30000; while :; do echo again; sleep 0.1; done";
      const spec = { tty: true, command: ["sh", "-c", script], terminationGracePeriodSeconds: 0 };
      const created = await test().create(spec, { name });
      await untilOutput(test(), created, "\r\n1000\r\n");
      const running = await test().untilState(created, "Running");
      // The rest of the numbers is more than fits; what the container writes after them is seen once there is room.
      const log = join(folder, "output.log");
      while (!readFileSync(log, "utf8").includes("again")) {
        if (statSync(log).size > 16_384) truncateSync(log);
        await delay(20);
      }
      await run("umount", ["-l", folder]);
      await test().delete(running);
      expect(loggersOf(running)).toEqual([]);
    } finally {
      await run("umount", ["-l", folder]).catch(() => undefined);
    }
  });

  it("goes on after the shim was killed and the container started again", async () => {
    const created = await test().create({
      tty: true,
      command: ["sh", "-c", "echo begun; exec sleep 3600"],
      terminationGracePeriodSeconds: 0,
    });
    await untilOutput(test(), created, "begun");
    const running = await test().untilState(created, "Running");
    const stat = readFileSync(`/proc/${pidOf(running)}/stat`, "utf8");
    const shim = Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1]);
    process.kill(shim, "SIGKILL");
    await untilRestarted(test(), running, 1);
    await untilOutput(test(), running, "begun\r\nbegun\r\n");
    expect(loggersOf(running).length).toBeLessThanOrEqual(2);
    await test().delete(running);
    expect(loggersOf(running)).toEqual([]);
  });
});
