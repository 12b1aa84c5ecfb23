import { describe, expect, it } from "@jest/globals";
import { CommandError, isCommandMissing, run } from "./run.ts";

const failure = async (promise: Promise<unknown>): Promise<CommandError> => {
  const error = await promise.then(
    () => new Error("it succeeded"),
    (reason: unknown) => reason,
  );
  if (!(error instanceof CommandError)) throw error;
  return error;
};

describe("run", () => {
  it("passes input, environment and directory on and answers both streams", async () => {
    const output = await run("/bin/sh", ["-c", 'cat; echo "$WORD $(pwd)" >&2'], {
      input: "hello",
      env: { WORD: "w" },
      cwd: "/",
    });
    expect(output).toEqual({ stdout: "hello", stderr: "w /\n" });
  });

  it("fails with the command's own words and code", async () => {
    const error = await failure(run("sh", ["-c", "echo out; echo no such thing >&2; exit 3"]));
    expect(error).toMatchObject({ exitCode: 3, signal: undefined, stdout: "out\n", timedOut: false });
    expect(error.message).toBe("sh: exit code 3: no such thing");
  });

  it("names the signal that killed the command", async () => {
    const error = await failure(run("sh", ["-c", "kill -TERM $$"]));
    expect(error).toMatchObject({ exitCode: undefined, signal: "SIGTERM" });
  });

  it("kills what the command started too, or its pipes would keep the caller waiting", async () => {
    const before = Date.now();
    const error = await failure(run("sh", ["-c", "sleep 30 & sleep 30"], { timeoutMs: 100 }));
    expect(error.timedOut).toBe(true);
    expect(Date.now() - before).toBeLessThan(10_000);
  });

  it("does not take a command to task that leaves its input unread", async () => {
    await expect(run("true", [], { input: "x".repeat(1_000_000) })).resolves.toEqual({ stdout: "", stderr: "" });
  });

  it("keeps no more output than asked for, and reads the rest so that the command can end", async () => {
    const { stdout } = await run("sh", ["-c", "head -c 500000 /dev/zero | tr '\\0' x"], { maxOutputBytes: 10 });
    expect(stdout).toBe("xxxxxxxxxx");
  });

  it("tells a missing command from one that failed", async () => {
    const missing = await failure(run("/nonexistent/tool", []));
    expect(isCommandMissing(missing)).toBe(true);
    expect(missing.message).toBe("/nonexistent/tool: command not found on this node");
    expect(isCommandMissing(await failure(run("false", [])))).toBe(false);
  });
});
