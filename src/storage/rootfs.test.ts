import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "@jest/globals";
import { RootFilesystem, type RootFilesystemOptions } from "./rootfs.ts";

describe("an image's files", () => {
  let dir: string;
  let rootfs: RootFilesystem;

  beforeEach(() => {
    dir = mkdtempSync(join(tmpdir(), "berth-rootfs-"));
    // containerd is not asked: what is read are the directories of the mounts.
    const containerd = {} as RootFilesystemOptions["containerd"];
    rootfs = new RootFilesystem({ containerd, stateDir: dir });
  });
  afterEach(() => {
    rmSync(dir, { recursive: true });
  });

  /** A snapshot of a single layer with this /etc/passwd. */
  function snapshot(name: string, passwd: string) {
    mkdirSync(join(dir, name, "etc"), { recursive: true });
    writeFileSync(join(dir, name, "etc/passwd"), passwd);
    return [{ type: "bind", source: join(dir, name), options: ["rbind"] }];
  }
  const read = (chainID: string, mounts: ReturnType<typeof snapshot>) =>
    rootfs.readImageFiles(chainID, mounts, ["/etc/passwd", "/etc/group"]);

  it("are read once for all snapshots of it, and for each image its own", async () => {
    expect(await read("one", snapshot("a", "first"))).toEqual(["first", undefined]);
    expect(await read("one", snapshot("b", "second"))).toEqual(["first", undefined]);
    expect(await read("two", snapshot("b", "second"))).toEqual(["second", undefined]);
  });

  it("are read each time when they are large", async () => {
    const large = "x".repeat(100_000);
    expect(await read("one", snapshot("a", large))).toEqual([large, undefined]);
    expect(await read("one", snapshot("b", "second"))).toEqual(["second", undefined]);
  });
});
