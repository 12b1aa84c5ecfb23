// A container's writable layer, copied out of one snapshot and into another, on real overlays and filesystems; needs root.
import {
  chmod,
  chown,
  lstat,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  rm,
  symlink,
  truncate,
  writeFile,
} from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "@jest/globals";
import type { Containerd } from "../../src/containerd/index.ts";
import { mount, mountsBelow, run, unmount } from "../../src/node/index.ts";
import { RootFilesystem, type SnapshotMount } from "../../src/storage/index.ts";

let root = "";
let rootfs: RootFilesystem;
const at = (...names: string[]): string => join(root, ...names);

beforeEach(async () => {
  root = await mkdtemp("/var/tmp/berth-layer-");
  const containerd = {} as Pick<Containerd, "snapshots" | "snapshotter">;
  rootfs = new RootFilesystem({ containerd, stateDir: at("state") });
});
afterEach(async () => {
  expect(await mountsBelow(root)).toEqual([]);
  await rm(root, { recursive: true });
});

/** What the image has. */
async function fill(directory: string): Promise<void> {
  await mkdir(join(directory, "replaced"), { recursive: true });
  for (const name of ["changed", "deleted", "replaced/below"]) await writeFile(join(directory, name), "image");
}

/** What a container does with it, in every kind of change. */
async function change(directory: string): Promise<void> {
  const path = (name: string): string => join(directory, name);
  await writeFile(path("changed"), "container");
  await rm(path("deleted"));
  await rm(path("replaced"), { recursive: true });
  await mkdir(path("replaced"));
  await writeFile(path("owned"), "own");
  await chown(path("owned"), 1000, 2000);
  await chmod(path("owned"), 0o4750);
  await symlink("/owned", path("link"));
  await run("mkfifo", [path("fifo")]);
  await run("mknod", [path("device"), "c", "1", "3"]);
  await truncate(path("changed"), 10 * 1024 * 1024);
}

async function expectChanged(directory: string): Promise<void> {
  expect((await readdir(directory)).filter((name) => name !== "lost+found").sort()).toEqual(
    ["changed", "device", "fifo", "link", "owned", "replaced"].sort(),
  );
  expect(await readdir(join(directory, "replaced"))).toEqual([]);
  expect((await readFile(join(directory, "changed"), "utf8")).slice(0, 9)).toBe("container");
  const owned = await lstat(join(directory, "owned"));
  expect([owned.uid, owned.gid, owned.mode & 0o7777]).toEqual([1000, 2000, 0o4750]);
  expect((await lstat(join(directory, "link"))).isSymbolicLink()).toBe(true);
  expect((await lstat(join(directory, "fifo"))).isFIFO()).toBe(true);
  expect((await lstat(join(directory, "device"))).rdev).toBe(0x103);
  // Holes stay holes.
  expect((await lstat(join(directory, "changed"))).blocks).toBeLessThan(100);
}

async function overlay(name: string): Promise<SnapshotMount> {
  const [upper, work] = [at(`${name}-upper`), at(`${name}-work`)];
  await mkdir(upper);
  await mkdir(work);
  const options = [`lowerdir=${at("image")}`, `upperdir=${upper}`, `workdir=${work}`, "index=off"];
  return { type: "overlay", source: "overlay", options };
}

async function whileMounted(snapshot: SnapshotMount, action: (directory: string) => Promise<void>): Promise<void> {
  const target = at("merged");
  await mkdir(target, { recursive: true });
  await mount({ ...snapshot, target });
  try {
    await action(target);
  } finally {
    await unmount(target);
  }
}

describe("a writable layer", () => {
  it("of an overlay keeps changes, deletions and replaced directories, copied while it is mounted", async () => {
    await fill(at("image"));
    const [from, to] = [await overlay("from"), await overlay("to")];
    await whileMounted(from, async (directory) => {
      await change(directory);
      await rootfs.saveLayer([from], at("saved"));
    });
    await rootfs.restoreLayer(at("saved"), [to]);
    await whileMounted(to, expectChanged);
  });

  it("of a plain directory is all of it", async () => {
    await fill(at("from"));
    await fill(at("to"));
    const bind = (name: string): SnapshotMount => ({ type: "bind", source: at(name), options: ["rbind", "rw"] });
    await change(at("from"));
    await rootfs.saveLayer([bind("from")], at("saved"));
    await rootfs.restoreLayer(at("saved"), [bind("to")]);
    await expectChanged(at("to"));
  });

  it("of a filesystem of its own is all of it", async () => {
    const snapshots: SnapshotMount[] = [];
    for (const name of ["from.img", "to.img"]) {
      await writeFile(at(name), "");
      await truncate(at(name), 16 * 1024 * 1024);
      await run("mkfs.ext4", ["-q", at(name)]);
      snapshots.push({ type: "ext4", source: at(name), options: ["loop", "rw"] });
      await whileMounted({ type: "ext4", source: at(name), options: ["loop", "rw"] }, fill);
    }
    const [from, to] = snapshots as [SnapshotMount, SnapshotMount];
    await whileMounted(from, change);
    await rootfs.saveLayer([from], at("saved"));
    await rootfs.restoreLayer(at("saved"), [to]);
    await whileMounted(to, expectChanged);
  });

  it("that can't be copied is an error in cp's words", async () => {
    await fill(at("image"));
    await expect(rootfs.saveLayer([await overlay("from")], at("no/such/folder"))).rejects.toThrow(/cp: .*folder/);
  });
});
