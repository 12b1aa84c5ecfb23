import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "@jest/globals";
import { status } from "@grpc/grpc-js";
import { ContainerdError } from "../../containerd/index.ts";
import { criuWords, errorsIn } from "./criu.ts";

const DUMP = `(00.051524) Error (criu/util.c:1533): rlimit: Can't setup RLIMIT_NOFILE for self: Operation not permitted
(00.071568) 19010 fdinfo 4: pos:                0 flags:                2/0
(00.071578) Error (criu/sk-inet.c:191): inet: Connected TCP socket, consider using --tcp-established option.
(00.071593) Error (criu/cr-dump.c:1681): Dump files (pid: 19010) failed with -1
(00.136885) Error (criu/cr-dump.c:2111): Dumping FAILED.
`;

const failed = (details: string) => new ContainerdError("Tasks.Checkpoint", status.UNKNOWN, details);

let folder = "";
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "berth-criu-"));
});
afterEach(() => rm(folder, { recursive: true }));

describe("errorsIn", () => {
  it("gives the causes, in the words of the fields", () => {
    expect(errorsIn(DUMP)).toEqual([
      "inet: Connected TCP socket, consider using spec.tcpEstablished of the ContainerCheckpoint.",
    ]);
  });

  it("gives each once, and what a restored process says", () => {
    const line = "(00.100000)      1: Error (criu/files-reg.c:2240): Can't open file etc/x on restore: No such file\n";
    expect(errorsIn(line + line)).toEqual(["Can't open file etc/x on restore: No such file"]);
  });
});

describe("criuWords", () => {
  it("are the log's", async () => {
    await writeFile(join(folder, "dump.log"), DUMP);
    expect(await criuWords(failed("criu failed: type NOTIFY errno 0"), folder, "dump.log")).toMatch(/^CRIU: inet: /);
  });

  it.each(['exec: "criu": executable file not found in $PATH', "exec: criu: executable file not found in $PATH"])(
    "say what to install: %s",
    async (details) => {
      expect(await criuWords(failed(details), folder, "restore.log")).toContain("install the package criu");
    },
  );

  it("are the error's own where there is no log, or nothing in it", async () => {
    expect(await criuWords(failed("no such task"), folder, "dump.log")).toBe("no such task");
    await writeFile(join(folder, "dump.log"), "(00.000001) Version: 4.2\n");
    expect(await criuWords(new Error("too slow"), folder, "dump.log")).toBe("too slow");
  });
});
