// Starts that fail by their command, on real containerd and runc: 127, 126, and what only looks like them.
import { describe, expect, it } from "@jest/globals";
import type { ContainerSpec } from "../../src/api/index.ts";
import { COMMAND_NOT_EXECUTABLE, COMMAND_NOT_FOUND, expectFailedStart, INVALID_SPEC } from "../support/failed-start.ts";
import { useNode } from "../support/test-node.ts";

const test = useNode();

/** A Container of the image with everything that can't be started. */
const files = (command: string[], more: Partial<ContainerSpec> = {}): Partial<ContainerSpec> => ({
  image: test().image("files"),
  command,
  ...more,
});

describe("a command that is not in the image", () => {
  it.each([
    ["a name that is in no folder of PATH", "no-such-command"],
    ["an absolute path", "/no/such/command"],
    ["a path below a file, which Docker takes for a mount", "/file/command"],
    ["a name that reads like another error", "permission denied: is a directory"],
    ["a path that reads like another part of the runtime's work", "/sys/fs/cgroup/netns/mount"],
  ])("ends with 127: %s", async (_, command) => {
    const expected = { ...COMMAND_NOT_FOUND, says: [command, "check spec.command"] };
    await test().delete(await expectFailedStart(test(), files([command]), expected));
  });

  it("ends with 127 also where PATH is the spec's own", async () => {
    const spec = files(["echo"], { env: [{ name: "PATH", value: "/nowhere" }] });
    await test().delete(await expectFailedStart(test(), spec, { ...COMMAND_NOT_FOUND, says: ["echo"] }));
  });
});

describe("a command that can't be invoked", () => {
  it.each([
    ["a file without execute permission", "/noexec"],
    ["a directory", "/directory"],
  ])("ends with 126: %s", async (_, command) => {
    const expected = { ...COMMAND_NOT_EXECUTABLE, says: [command, "must be a file", "may execute"] };
    await test().delete(await expectFailedStart(test(), files([command]), expected));
  });
});

it("ends with 128 when image and spec name no command", async () => {
  const spec: Partial<ContainerSpec> = { image: test().image("empty"), command: [] };
  const failed = await expectFailedStart(test(), spec, { ...INVALID_SPEC, says: ["spec.command"] });
  await test().delete(failed);
});

describe("a script whose interpreter is missing", () => {
  it("is started, and ends by itself with the runtime's code", async () => {
    const container = await test().create(files(["/no-interpreter"], { restartPolicy: "Never" }));
    const { status } = await test().untilCondition(container, "Failed");
    expect(status).toMatchObject({ state: "Exited", exitCode: 1, reason: "Error" });
    expect(status).not.toHaveProperty("startAttempts");
    expect(Date.parse(status?.startedAt ?? "")).not.toBeNaN();
    expect(test().output(container)).toContain("no such file or directory");
    await test().delete(container);
  });
});

describe("a working directory", () => {
  it("ends with 128 when it is a file", async () => {
    const spec = files(["true"], { workingDir: "/file" });
    const expected = { ...INVALID_SPEC, says: ["/file", "spec.workingDir"] };
    await test().delete(await expectFailedStart(test(), spec, expected));
  });

  it("is made when it is missing, so that it is not taken for a missing command", async () => {
    const spec = files(["sh", "-c", 'test "$PWD" = /made/for/it'], {
      workingDir: "/made/for/it",
      restartPolicy: "Never",
    });
    const container = await test().create(spec);
    const { status } = await test().untilCondition(container, "Complete");
    expect(status?.exitCode).toBe(0);
    await test().delete(container);
  });
});
