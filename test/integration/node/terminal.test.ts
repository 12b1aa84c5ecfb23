// What takes a terminal's output: that it copes with rotation, and goes with the shim.
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "@jest/globals";
import type { Container } from "../../../src/api/index.ts";
import { pidOf } from "../../support/away.ts";
import { loggersOf } from "../../support/loggers.ts";
import { untilOutput } from "../../support/probe.ts";
import { untilRestarted } from "../../support/restart.ts";
import { useNode } from "../../support/test-node.ts";

const test = useNode();

/** All that a container's log files hold, the oldest first. */
function wholeOutput({ metadata }: Container): string {
  const folder = join(test().node.logDir, metadata.namespace, metadata.name);
  const files = readdirSync(folder).sort().reverse();
  return files.map((file) => readFileSync(join(folder, file), "utf8")).join("");
}

describe("a terminal's output", () => {
  it("is rotated, and nothing of it is lost", async () => {
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
    const lines = Array.from({ length: 4000 }, (_, i) => `line ${String(i)}\r\n`).join("");
    expect(wholeOutput(created)).toBe(`${lines}end\r\n`);
    const { metadata } = created;
    expect(readdirSync(join(test().node.logDir, metadata.namespace, metadata.name)).length).toBeGreaterThan(2);
    await test().delete(created);
  });

  it("goes on after the shim was killed and the container started again", async () => {
    const created = await test().create({ tty: true, command: ["sh", "-c", "echo begun; exec sleep 3600"] });
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
