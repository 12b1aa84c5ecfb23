// Processes beside a container's first one: their streams, their ends, and that nothing of them is left.
import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { isDeepStrictEqual } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import { pino } from "pino";
import type { Container } from "../../src/api/index.ts";
import { Containerd, packProcess } from "../../src/containerd/index.ts";
import { capture, clearExec, Exec, execDirectory, type ExecOptions } from "../../src/lifecycle/exec.ts";
import { Records } from "../../src/lifecycle/records.ts";
import { makeFifos } from "../../src/node/index.ts";
import { execProcess, type OciProcess } from "../../src/oci/index.ts";
import { pidOf } from "../support/away.ts";
import { processesOf, untilNoneOf } from "../support/health.ts";
import { useNode } from "../support/test-node.ts";

const test = useNode();
let containerd: Containerd;
let container: Container;
let containerID: string;
let process_: OciProcess;
/** What the shim has open when there has been no exec yet. */
let idleStreams: string[];

function connect(): Containerd {
  const { containerdAddress: address, containerdNamespace: namespace } = test().node;
  return new Containerd({ address, namespace, snapshotter: "overlayfs", logger: pino({ level: "silent" }) });
}

beforeAll(async () => {
  containerd = connect();
  const created = await test().create({ env: [{ name: "OF", value: "container" }], user: "app" });
  container = await test().untilState(created, "Running");
  containerID = container.status?.containerID?.replace("containerd://", "") ?? "";
  idleStreams = shimStreams();
  ({ process: process_ } = await new Records(containerd).spec(containerID));
});

afterAll(() => {
  containerd.close();
});

const options = (script: string, tty = false): ExecOptions => ({
  containerID,
  process: execProcess(process_, { args: ["sh", "-c", script], tty }),
  directory: execDirectory(test().node.stateDir, containerID),
});

const run = (script: string, more: { maxBytes?: number; timeoutMs?: number; signal?: AbortSignal } = {}) =>
  capture(containerd.tasks, { ...options(script), maxBytes: 4096, timeoutMs: 20_000, ...more });

/** Runs a process with its input and answers exit code and output. */
async function attached(
  script: string,
  use: (exec: Exec) => Promise<void> | void,
  { tty = false } = {},
): Promise<[number, string]> {
  await using exec = await Exec.start(containerd.tasks, { ...options(script, tty), stdin: true });
  let output = "";
  for (const stream of [exec.stdout, exec.stderr]) stream?.on("data", (chunk: Buffer) => (output += chunk.toString()));
  await use(exec);
  return [await exec.wait(), output];
}

/** Pipes, FIFOs and terminals that the container's shim, the parent of its process, has open. */
function shimStreams(): string[] {
  const stat = readFileSync(`/proc/${pidOf(container)}/stat`, "utf8");
  const parent = stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1] ?? "";
  const files = readdirSync(`/proc/${parent}/fd`).map((fd) => readlinkSync(`/proc/${parent}/fd/${fd}`));
  return files.filter((file) => /^pipe:|\/exec-|ptmx/.test(file)).sort();
}

describe("exec", () => {
  it("captures both streams and the exit code, and is what the container is", async () => {
    const { exitCode, output } = await run("echo out; echo err >&2; id -u; id -G; echo $OF; exit 3");
    expect(exitCode).toBe(3);
    expect(output.trim().split("\n").sort()).toEqual(["1000", "1000 2000", "container", "err", "out"]);
    expect(await run("kill -TERM $$")).toMatchObject({ exitCode: 143 });
  });

  it("keeps no more output than asked for, and lets the process end", async () => {
    const { exitCode, output } = await run("yes | head -c 5000000", { maxBytes: 10 });
    expect([exitCode, output]).toEqual([0, "y\ny\ny\ny\ny\n"]);
  });

  it("ends a process when the time is over or nobody wants it any more", async () => {
    expect(await run("echo begun; exec sleep 3604", { timeoutMs: 2000 })).toEqual({ output: "begun\n" });
    const abort = new AbortController();
    const stopped = expect(run("exec sleep 3601", { signal: abort.signal })).rejects.toThrow("not wanted");
    abort.abort(new Error("not wanted"));
    await stopped;
    // A child holds the streams.
    expect(await run("echo begun; sleep 3602; true", { timeoutMs: 2000 })).toEqual({ output: "begun\n" });
    expect(await run("sleep 3603 & echo begun")).toEqual({ exitCode: 0, output: "begun\n" });
    // Whoever was killed has taken its children along; one that ended by itself has left its child behind.
    const { output } = await run("ps -o args");
    expect(output.match(/^sleep 36\d\d/gm)?.sort()).toEqual(["sleep 3600", "sleep 3603"]);
  });

  it("says in the runtime's words what can't be started", async () => {
    const missing = { ...options(""), process: execProcess(process_, { args: ["nosuch"] }) };
    await expect(capture(containerd.tasks, { ...missing, maxBytes: 1, timeoutMs: 20_000 })).rejects.toThrow(
      /"nosuch": executable file not found/,
    );
  });

  it("passes input on to its end", async () => {
    const bytes = Buffer.alloc(1_000_000, "x");
    const [code, output] = await attached("wc -c; exit 4", (exec) => void exec.stdin?.end(bytes));
    expect([code, output.trim()]).toEqual([4, "1000000"]);
    // One that does not read it.
    expect(await attached("exit 5", (exec) => void exec.stdin?.write(bytes))).toEqual([5, ""]);
  });

  it("has a terminal of the size it is told", async () => {
    const [code, output] = await attached(
      "read go; stty size; tty; exit 6",
      async (exec) => {
        await exec.resize({ width: 99, height: 33 });
        exec.stdin?.write("go\n");
      },
      { tty: true },
    );
    expect(code).toBe(6);
    expect(output).toMatch(/^go\r\n33 99\r\n\/dev\/pts\/0\r\n$/);
  });

  it("goes on while containerd is restarted", async () => {
    const result = await attached("read word; echo $word; exit 7", async (exec) => {
      const { node } = test();
      await node.stopContainerd("kill");
      await node.startContainerd();
      exec.stdin?.write("hello\n");
    });
    expect(result).toEqual([7, "hello\n"]);
    await containerd.ready();
  });

  it("leaves no FIFO, and nothing open in the shim", async () => {
    for (let i = 0; i < 5; i++) await run("echo hello");
    await run("exec yes", { timeoutMs: 300 });
    await expect(run("exit", { signal: AbortSignal.abort(new Error("before it began")) })).rejects.toThrow("began");
    // The shim closes them a moment after the exec is deleted, and nothing tells of that: hence the looking again.
    const deadline = Date.now() + 10_000;
    while (!isDeepStrictEqual(shimStreams(), idleStreams) && Date.now() < deadline) await delay(20);
    expect(shimStreams()).toEqual(idleStreams);
    const left = readdirSync(execDirectory(test().node.stateDir, containerID));
    expect(left).toEqual([]);
  });

  // Of such a process the shim tells nothing, not even that it is there.
  it("is cleared when whoever started it died before the shim had opened its FIFOs", async () => {
    const { process, directory } = options("exec yes");
    const [name, left] = [{ containerId: containerID, execId: "left" }, join(directory, "left")];
    await makeFifos(left, ["stdout", "stderr"]);
    const streams = { terminal: false, stdin: "", stdout: join(left, "stdout"), stderr: join(left, "stderr") };
    const dying = connect();
    await dying.tasks.exec({ ...name, ...streams, spec: packProcess(process) });
    const started = dying.tasks.start(name);
    while (!processesOf(container).includes("sh -c exec yes")) await Promise.race([delay(10), started]);
    dying.close();
    await expect(started).rejects.toThrow();
    await clearExec(containerd.tasks, { containerID, id: "left", directory });
    await expect(containerd.tasks.get(name)).rejects.toThrow(/not found/);
    await untilNoneOf(container, "yes");
    expect(readdirSync(directory)).toEqual([]);
  });

  it("ends with its container", async () => {
    const [code] = await attached("exec sleep 3600", () => test().delete(container));
    expect(code).toBe(137);
  });
});
