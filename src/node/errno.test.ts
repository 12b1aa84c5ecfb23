import { spawn } from "node:child_process";
import { once } from "node:events";
import { open } from "node:fs/promises";
import { expect, it } from "@jest/globals";
import { orMissing } from "./errno.ts";

it("takes the files of a process that has ended while they were read for missing", async () => {
  const child = spawn("sleep", ["60"]);
  await once(child, "spawn");
  await using file = await open(`/proc/${child.pid}/cmdline`);
  child.kill("SIGKILL");
  await once(child, "exit");
  expect(await orMissing(file.readFile("utf8"))).toBeUndefined();
});
