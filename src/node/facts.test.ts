import { describe, expect, it } from "@jest/globals";
import { mkdtemp, rm, symlink } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { deviceAt, deviceNumbers, devicesAt, parseKernelRelease } from "./facts.ts";

describe("device numbers", () => {
  it("splits small ones and those beyond 8 and 12 bits", () => {
    expect(deviceNumbers(0x103n)).toEqual({ major: 1, minor: 3 });
    // makedev(4095, 1048575) and makedev(4096, 256) of glibc
    expect(deviceNumbers(0xffffffffn)).toEqual({ major: 4095, minor: 1048575 });
    expect(deviceNumbers(0x100000100000n)).toEqual({ major: 4096, minor: 256 });
  });

  it("finds the numbers of a real device", async () => {
    await expect(deviceAt("/dev/null")).resolves.toMatchObject({ type: "c", major: 1, minor: 3, fileMode: 0o666 });
    await expect(deviceAt("/")).resolves.toBeUndefined();
  });
});

describe("devicesAt", () => {
  it("answers one device, also behind a symlink, under the path that was asked for", async () => {
    const directory = await mkdtemp(join(tmpdir(), "devices-"));
    const path = join(directory, "link");
    await symlink("/dev/null", path);
    await expect(devicesAt(path)).resolves.toEqual([expect.objectContaining({ path, major: 1, minor: 3 })]);
    // In a directory, what a symlink leads to is not its own.
    await expect(devicesAt(directory)).resolves.toEqual([]);
    await rm(directory, { recursive: true });
  });

  it("answers all below a directory, none for a file, and says what is missing", async () => {
    const below = await devicesAt("/dev");
    expect(below.map(({ path }) => path)).toEqual(expect.arrayContaining(["/dev/null", "/dev/zero"]));
    await expect(devicesAt("/etc/passwd")).resolves.toEqual([]);
    await expect(devicesAt("/dev/no-such-device")).rejects.toThrow("no such file or directory, stat '/dev/no-such");
  });
});

describe("parseKernelRelease", () => {
  it("reads distributions' suffixes and odd ones", () => {
    expect(parseKernelRelease("6.1.0-18-amd64")).toMatchObject({ major: 6, minor: 1 });
    expect(parseKernelRelease("5.15-rc1")).toMatchObject({ major: 5, minor: 15 });
    expect(parseKernelRelease("custom")).toMatchObject({ major: 0, minor: 0 });
  });
});
