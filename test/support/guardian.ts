/**
 * Stays behind a test run that is interrupted or killed, and does what the run can't do any more. It waits for the end of
 * its standard input, which is a pipe that the run holds: no end of the run, however sudden, goes unnoticed.
 */
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { killAll, processIds, readText } from "../../hack/cluster/daemon.ts";
import { Machine } from "../../hack/e2e/machine.ts";
import { CLUSTER_DIR, machineDir } from "./cluster-dir.ts";
import teardown from "./global-teardown.ts";

/** Sets a guardian behind the calling process, for the cluster in `dir`. */
export function setGuardian(dir: string): void {
  const child = spawn(process.execPath, [import.meta.filename, dir], {
    // A Ctrl-C reaches all that is in the terminal's process group.
    detached: true,
    stdio: ["pipe", "inherit", "inherit"],
    env: { PATH: process.env["PATH"], HOME: process.env["HOME"] },
  });
  child.unref();
  // The pipe is held open, but holds nobody up.
  (child.stdin as unknown as { unref(): void }).unref();
}

/** The run's workers, which go on without it until their test is through. */
function workersOf(dir: string): number[] {
  return processIds().filter((pid) =>
    (readText(`/proc/${pid}/environ`) ?? "").split("\0").includes(`${CLUSTER_DIR}=${dir}`),
  );
}

async function guard(dir: string): Promise<void> {
  for await (const _ of process.stdin);
  if (!existsSync(dir)) return;
  process.stderr.write("the tests were cut off: taking down what they had set up\n");
  killAll(workersOf(dir));
  if (existsSync(machineDir(dir))) await new Machine(machineDir(dir)).stop();
  process.env[CLUSTER_DIR] = dir;
  await teardown();
}

const [, script, dir] = process.argv;
// Not awaited: jest loads its setup, and what that imports, in a way that knows no await out here.
if (script === import.meta.filename && dir !== undefined) void guard(dir);
