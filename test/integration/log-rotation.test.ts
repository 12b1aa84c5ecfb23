// The output's files stay within their limits, those that a change of the spec brings too.
import { readdirSync, readFileSync, watch } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "@jest/globals";
import type { Container } from "../../src/api/index.ts";
import { pidOf } from "../support/away.ts";
import { untilOutput } from "../support/probe.ts";
import { untilRestarted } from "../support/restart.ts";
import { useNode } from "../support/test-node.ts";

const test = useNode();

const TIMEOUT_MS = 30_000;

const folderOf = ({ metadata }: Container): string => join(test().node.logDir, metadata.namespace, metadata.name);

/** The names of a container's log files, in order. */
const filesOf = (container: Container): string[] => readdirSync(folderOf(container)).sort();

/** All that the files hold, the oldest first. */
const wholeOutput = (container: Container): string =>
  filesOf(container)
    .reverse()
    .map((file) => readFileSync(join(folderOf(container), file), "utf8"))
    .join("");

/** Waits until a container's log files are as wanted. */
async function untilFiles(container: Container, wanted: (files: readonly string[]) => boolean): Promise<string[]> {
  const done = Promise.withResolvers<string[]>();
  const look = (): void => {
    try {
      const files = filesOf(container);
      if (wanted(files)) done.resolve(files);
    } catch {
      // A rotation has renamed a file between the listing and the reading, which is another change to look after.
    }
  };
  const watcher = watch(folderOf(container), look);
  const timer = setTimeout(() => {
    done.reject(new Error(`the log files are ${filesOf(container).join(", ")}`));
  }, TIMEOUT_MS);
  try {
    look();
    return await done.promise;
  } finally {
    watcher.close();
    clearTimeout(timer);
  }
}

/** Writes 1000 numbered lines of 20 bytes each time it gets SIGUSR1. */
const WRITER = `n=0; trap 'i=0; while [ $i -lt 1000 ]; do printf "%019d\\n" $((n * 1000 + i)); i=$((i + 1)); done; n=$((n + 1))' USR1
echo ready; while :; do sleep 3600 & wait; done`;

describe("rotation", () => {
  it("keeps maxFiles files, the newest output in the first, and loses nothing but the oldest", async () => {
    const created = await test().create({
      command: ["sh", "-c", WRITER],
      terminationGracePeriodSeconds: 0,
      logging: { maxSize: "10Ki", maxFiles: 3 },
    });
    await untilOutput(test(), created, "ready");
    const running = await test().untilCondition(created, "Ready");
    for (const last of ["0999", "1999", "2999"]) {
      process.kill(pidOf(running), "SIGUSR1");
      await untilFiles(
        created,
        () => wholeOutput(created).includes(last) && test().output(created).length <= 10 * 1024,
      );
    }
    expect(filesOf(created)).toEqual(["output.log", "output.log.1", "output.log.2"]);
    const lines = wholeOutput(created).trimEnd().split("\n").map(Number);
    expect(lines.length).toBeGreaterThan(1000);
    expect(lines.length).toBeLessThan(3000);
    expect(lines).toEqual(lines.map((_, i) => 3000 - lines.length + i));
    await test().delete(created);
  });

  it("obeys limits that change under a running container, which goes on writing", async () => {
    const created = await test().create({ command: ["sh", "-c", WRITER], terminationGracePeriodSeconds: 0 });
    await untilOutput(test(), created, "ready");
    const running = await test().untilCondition(created, "Ready");
    process.kill(pidOf(running), "SIGUSR1");
    await untilOutput(test(), created, "999\n");
    expect(filesOf(created)).toEqual(["output.log"]);

    const changed = await test().patch(created, { spec: { logging: { maxSize: "10Ki", maxFiles: 2 } } });
    const after = await test().untilCondition(changed, "Ready");
    expect(after.status?.pid).toBe(running.status?.pid);
    await untilFiles(created, (files) => files.includes("output.log.1"));
    process.kill(pidOf(running), "SIGUSR1");
    await untilFiles(
      created,
      () => wholeOutput(created).includes("1999") && test().output(created).length <= 10 * 1024,
    );
    expect(filesOf(created)).toEqual(["output.log", "output.log.1"]);
    await test().delete(created);
  });

  it("goes on over restarts", async () => {
    const created = await test().create({
      command: [
        "sh",
        "-c",
        "i=0; while [ $i -lt 1000 ]; do echo $i; i=$((i + 1)); done; test -e /ran && exec sleep 3600; touch /ran",
      ],
      terminationGracePeriodSeconds: 0,
      logging: { maxSize: "5Ki", maxFiles: 2 },
    });
    await untilRestarted(test(), created, 1);
    await untilFiles(created, () => wholeOutput(created).endsWith("999\n") && test().output(created) === "");
    expect(filesOf(created)).toEqual(["output.log", "output.log.1"]);
    await test().delete(created);
    expect(() => filesOf(created)).toThrow("ENOENT");
  });
});
