// A terminal's output is kept whoever dies, and input is a pipe that stays open.
import { appendFileSync, existsSync, statSync, writeFileSync } from "node:fs";
import { describe, expect, it } from "@jest/globals";
import type { Container } from "../../src/api/index.ts";
import { stdinFifo } from "../../src/lifecycle/stdio.ts";
import { COMMAND_NOT_FOUND, expectFailedStart } from "../support/failed-start.ts";
import { loggersOf } from "../support/loggers.ts";
import { probe, untilOutput } from "../support/probe.ts";
import { untilRestarted } from "../support/restart.ts";
import { useNode } from "../support/test-node.ts";

const test = useNode();

const idOf = ({ status }: Container): string => status?.containerID?.replace("containerd://", "") ?? "";

const numbers = (count: number): string => Array.from({ length: count }, (_, i) => `line ${String(i)}\r\n`).join("");
const count = (n: number): string => `i=0; while [ $i -lt ${n} ]; do echo line $i; i=$((i+1)); done`;

describe("tty", () => {
  it("is a terminal, whose output is whole and in one file over restarts", async () => {
    const script = `tty; echo $TERM; ${count(3000)}; exit 3`;
    const { container } = await probe(test(), script, { tty: true });
    expect(container.status?.exitCode).toBe(3);
    const run = `/dev/pts/0\r\nxterm\r\n${numbers(3000)}`;
    await untilOutput(test(), container, run);
    await test().patch(container, { metadata: { annotations: { "berth.dev/restartedAt": "once" } } });
    await test().until(container, "restarted", ({ status }) => status?.state === "Exited" && status.restartCount === 1);
    await untilOutput(test(), container, run + run);
    expect(test().output(container)).toBe(run + run);
    expect(loggersOf(container)).toEqual([]);
    await test().delete(container);
  });

  it("writes on while the agent is dead and containerd is started anew, and loses nothing at its end", async () => {
    const created = await test().create({
      tty: true,
      stdin: true,
      restartPolicy: "Never",
      command: ["sh", "-c", `echo ready; read go; ${count(2000)}; exit 4`],
    });
    await untilOutput(test(), created, "ready");
    const running = await test().untilState(created, "Running");
    expect(loggersOf(running)).not.toEqual([]);
    const { node } = test();
    await node.stopAgent("kill");
    await node.stopContainerd("kill");
    appendFileSync(stdinFifo(node.stateDir, idOf(running)), "go\n");
    await untilOutput(test(), running, numbers(2000));
    await node.startContainerd();
    node.startAgent();
    const ended = await test().untilState(running, "Exited");
    expect(ended.status?.exitCode).toBe(4);
    expect(test().output(ended)).toBe(`ready\r\ngo\r\n${numbers(2000)}`);
    expect(loggersOf(running)).toEqual([]);
    await node.agentReady();
    await test().delete(ended);
  });

  it("leaves nothing of a start that failed", async () => {
    const spec = { tty: true, stdin: true, command: ["nosuch"] };
    const failed = await expectFailedStart(test(), spec, { ...COMMAND_NOT_FOUND, says: ["nosuch"] });
    await test().delete(failed);
  });
});

describe("stdin", () => {
  it("is a pipe that waits for whoever writes, one after the other, anew after a restart", async () => {
    const created = await test().create({
      stdin: true,
      terminationGracePeriodSeconds: 0,
      command: [
        "sh",
        "-c",
        "echo begun; while read word; do echo got $word; test $word = end && exit 0; done; echo eof",
      ],
    });
    await untilOutput(test(), created, "begun");
    const running = await test().untilState(created, "Running");
    const fifo = stdinFifo(test().node.stateDir, idOf(running));
    expect(statSync(fifo).mode & 0o777).toBe(0o600);
    writeFileSync(fifo, "one\n");
    await untilOutput(test(), running, "got one");
    writeFileSync(fifo, "two\nend\nthree\n");
    await untilRestarted(test(), running, 1);
    await untilOutput(test(), running, "got end\nbegun\n");
    writeFileSync(fifo, "four\n");
    await untilOutput(test(), running, "got four");
    expect(test().output(running)).toBe("begun\ngot one\ngot two\ngot end\nbegun\ngot four\n");
    await test().delete(running);
    expect(existsSync(fifo)).toBe(false);
  });
});
