// What a container writes, on either stream, is in its log file, to the last line.
import { statSync } from "node:fs";
import { describe, expect, it } from "@jest/globals";
import { logFile } from "../../src/lifecycle/task.ts";
import { probe } from "../support/probe.ts";
import { useNode } from "../support/test-node.ts";

const node = useNode();

describe("the output of a container", () => {
  it("is whole when one stream ends before the other, as they do in a process that dies", async () => {
    const script = "echo begun; exec >&-; i=0; while [ $i -lt 3000 ]; do echo line $i >&2; i=$((i+1)); done; exit 3";
    const { container, output } = await probe(node(), script);
    expect(container.status?.exitCode).toBe(3);
    // The order between the two streams is not kept.
    const lines = Array.from({ length: 3000 }, (_, i) => `line ${String(i)}`);
    expect(output.split("\n").filter((line) => line !== "begun")).toEqual([...lines, ""]);
    expect(output).toContain("begun\n");
  });

  it("of all runs is in one file, in their order, which only root may read", async () => {
    const { container } = await probe(node(), "echo run; echo words >&2");
    await node().patch(container, { metadata: { annotations: { "berth.dev/restartedAt": "once" } } });
    await node().until(container, "restarted", ({ status }) => status?.state === "Exited" && status.restartCount === 1);
    expect(
      node()
        .output(container)
        .match(/run|words/g),
    ).toHaveLength(4);
    expect(statSync(logFile(node().node.logDir, container.metadata)).mode & 0o777).toBe(0o640);
  });
});
