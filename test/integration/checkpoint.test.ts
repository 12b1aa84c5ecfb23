// Checkpoint and restore, with CRIU: a process goes on where it was, in another container, with the files it had written.
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "@jest/globals";
import type { Container, ContainerSpec } from "../../src/api/index.ts";
import { among, checkpointsDir, deleteCheckpoint, takeCheckpoint } from "../support/checkpoint.ts";
import { untilEvent } from "../support/events.ts";
import { untilOutput } from "../support/probe.ts";
import { askRestart, untilRestarted } from "../support/restart.ts";
import { useNode } from "../support/test-node.ts";

const test = useNode();

/** Changes its files in every way once, then serves its count, which is in its memory alone, on port 80 and in its output. */
const COUNTER = `
  trap 'exit 0' TERM
  if [ ! -e /written ]; then
    echo kept > /written; chown 1000:1000 /written; chmod 640 /written; ln -s written /link; mkfifo /fifo
    rm /etc/group; rm -r /www; mkdir /www /page
  fi
  httpd -h /page
  echo begin
  i=0; while true; do i=$((i + 1)); echo $i; echo $i > /count; mv /count /page/count; sleep 0.1; done`;

const SPEC: Partial<ContainerSpec> = {
  command: ["sh", "-c", COUNTER],
  network: { mode: "Bridge" },
  terminationGracePeriodSeconds: 1,
};

/** The numbers that a container has counted. */
function counted(container: Container): number[] {
  return test()
    .output(container)
    .split("\n")
    .filter((line) => /^\d+$/.test(line))
    .map(Number);
}

/** What a container answers on its port: a new connection to its address. */
async function served({ status }: Container): Promise<number> {
  const answer = await fetch(`http://${String(status?.network?.ipAddresses?.[0])}/count`, {
    signal: AbortSignal.timeout(10_000),
  });
  return Number(await answer.text());
}

describe("a checkpoint", () => {
  it("holds memory and files; a new Container goes on from them, and starts afresh when it is restarted", async () => {
    const created = await test().create(SPEC);
    await untilOutput(test(), created, "\n20\n");
    const original = await test().untilState(created, "Running");
    const checkpoint = await takeCheckpoint(test(), original);
    expect(checkpoint.status).toMatchObject({
      state: "Completed",
      nodeName: test().node.name,
      size: expect.stringMatching(/^[1-9]\d*[KM]i$/),
    });
    const createdAt = Date.parse(checkpoint.status?.createdAt ?? "");
    expect(createdAt).toBeGreaterThan(Date.parse(original.status?.startedAt ?? ""));
    expect(createdAt).toBeLessThan(Date.now());
    const event = await untilEvent(test(), original, "Checkpointed");
    expect(event).toMatchObject({ type: "Normal", count: 1 });
    expect(event.message).toContain(checkpoint.metadata.name);

    // It goes on as it was.
    const last = counted(original).length;
    await untilOutput(test(), original, `\n${last + 5}\n`);
    expect(test().get(original)?.status).toMatchObject({ pid: original.status?.pid, restartCount: 0 });
    await test().delete(original);

    const restored = await test().create({ ...SPEC, restoreFrom: checkpoint.metadata.name });
    const running = await test().untilState(restored, "Running");
    expect(running.status).toMatchObject({ restoredFrom: checkpoint.metadata.name, restartCount: 0 });
    await untilEvent(test(), restored, "Restored");
    await untilOutput(test(), restored, "\n");
    const [first = 0] = counted(restored);
    expect(first).toBeGreaterThan(20);
    expect(first).toBeLessThanOrEqual(last + 5);
    await untilOutput(test(), restored, `\n${first + 5}\n`);
    expect(test().output(restored)).not.toContain("begin");
    expect(counted(restored).slice(0, 5)).toEqual([first, first + 1, first + 2, first + 3, first + 4]);
    expect(await served(running)).toBeGreaterThanOrEqual(first);

    const look =
      "stat -c '%a %u:%g' /written; cat /written /link; ls -A /www | wc -l; test -p /fifo && test ! -e /etc/group && echo gone";
    expect(await among(running, look)).toBe("640 1000:1000\nkept\nkept\n0\ngone\n");

    await askRestart(test(), running, "1");
    const again = await untilRestarted(test(), restored, 1);
    await untilOutput(test(), restored, "begin\n1\n");
    expect(again.status).toMatchObject({ restoredFrom: checkpoint.metadata.name });
    expect(await among(again, look)).toBe("640 1000:1000\nkept\nkept\n0\ngone\n");
    await test().delete(restored);

    expect(existsSync(join(checkpointsDir(test()), checkpoint.metadata.uid))).toBe(true);
    await deleteCheckpoint(test(), checkpoint);
    expect(readdirSync(checkpointsDir(test()))).toEqual([]);
  });

  it("ends its container when that is asked for: for good, whatever the restart policy", async () => {
    const created = await test().create({ ...SPEC, restartPolicy: "Always" });
    await untilOutput(test(), created, "\n5\n");
    const original = await test().untilState(created, "Running");
    const checkpoint = await takeCheckpoint(test(), original, { leaveRunning: false });
    expect(checkpoint.status).toMatchObject({ state: "Completed" });
    const ended = await test().untilState(original, "Exited");
    expect(ended.status).toMatchObject({ exitCode: 137, reason: "Checkpointed", restartCount: 0 });
    expect(ended.status?.message).toContain(checkpoint.metadata.name);

    // The same Container, from the checkpoint: no number is missing, none comes twice.
    const patched = await test().patch(ended, { spec: { restoreFrom: checkpoint.metadata.name } });
    await test().untilState(patched, "Running");
    const last = counted(patched).at(-1) ?? 0;
    await untilOutput(test(), patched, `\n${last + 3}\n`);
    const numbers = counted(patched);
    expect(numbers).toEqual(numbers.map((_, index) => index + 1));
    await test().delete(patched);
    await deleteCheckpoint(test(), checkpoint);
  });
});
