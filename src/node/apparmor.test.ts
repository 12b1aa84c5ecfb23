// The kernels that Berth is tested on have no AppArmor: a script stands for the parser.
import { chmod, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "@jest/globals";
import { loadAppArmorProfile } from "./apparmor.ts";

let dir = "";
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), "apparmor-"));
});
afterEach(() => rm(dir, { recursive: true }));

const where = () => ({ loaded: join(dir, "profiles"), parser: join(dir, "parser") });

async function parser(script: string): Promise<void> {
  await writeFile(where().parser, `#!/bin/sh\n${script}\n`);
  await chmod(where().parser, 0o755);
}

describe("loadAppArmorProfile", () => {
  it("gives the text to the parser", async () => {
    await parser(`echo "$@" > ${dir}/args; cat > ${dir}/text`);
    await expect(loadAppArmorProfile("p", "profile p {}", where())).resolves.toBe(true);
    await expect(readFile(join(dir, "text"), "utf8")).resolves.toBe("profile p {}");
    await expect(readFile(join(dir, "args"), "utf8")).resolves.toBe("--replace --skip-cache\n");
  });

  it("does nothing when the kernel has the profile", async () => {
    await parser("exit 1");
    await writeFile(where().loaded, "other (complain)\np (enforce)\n");
    await expect(loadAppArmorProfile("p", "", where())).resolves.toBe(true);
    await expect(loadAppArmorProfile("other-p", "", where())).rejects.toThrow("exit code 1");
  });

  it("says that it can't, without a parser", async () => {
    await expect(loadAppArmorProfile("p", "", where())).resolves.toBe(false);
  });
});
