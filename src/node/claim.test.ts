import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import { claimDirectories } from "./claim.ts";

let dir: string;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), "berth-claim-"));
});
afterAll(() => rm(dir, { recursive: true, force: true }));

/** Another process that claims directories, and says when it has them. */
function other(holder: string, ...directories: string[]) {
  const script = `
    const { claimDirectories } = await import(${JSON.stringify(join(import.meta.dirname, "claim.ts"))});
    const onWaiting = (directory, holder) => console.log("waiting for", holder);
    const signal = new AbortController().signal;
    await claimDirectories(${JSON.stringify(directories)}, { holder: ${JSON.stringify(holder)}, onWaiting, signal });
    console.log("claimed");
    setInterval(() => undefined, 1 << 30);`;
  const args = ["--disable-warning=ExperimentalWarning", "--input-type=module", "--eval", script];
  const child = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "inherit"] });
  const lines: AsyncIterator<Buffer> = child.stdout[Symbol.asyncIterator]();
  const says = async (): Promise<string> => String((await lines.next()).value).trim();
  const kill = async (): Promise<void> => {
    const ended = once(child, "exit");
    child.kill("SIGKILL");
    await ended;
  };
  return { says, kill };
}

describe("a claim", () => {
  it("waits for another process that has it, says who that is, and is granted when that is killed", async () => {
    const [own, shared] = [join(dir, "own"), join(dir, "shared")];
    const first = other("the first one", join(dir, "its own"), shared);
    expect(await first.says()).toBe("claimed");
    const second = other("the second one", own, shared);
    expect(await second.says()).toBe("waiting for the first one");
    // What it could have, it has.
    expect(await readFile(join(own, "holder"), "utf8")).toBe("the second one\n");
    await first.kill();
    expect(await second.says()).toBe("claimed");
    expect(await readFile(join(shared, "holder"), "utf8")).toBe("the second one\n");
    await second.kill();
  });

  it("can be given up", async () => {
    const first = other("the first one", join(dir, "given-up"));
    expect(await first.says()).toBe("claimed");
    const controller = new AbortController();
    const waiting = claimDirectories([join(dir, "given-up")], {
      holder: "me",
      onWaiting: () => {
        controller.abort(new Error("no more"));
      },
      signal: controller.signal,
    });
    await expect(waiting).rejects.toThrow("no more");
    await first.kill();
  });
});
