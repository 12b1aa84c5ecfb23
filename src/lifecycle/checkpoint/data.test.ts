import { mkdir, mkdtemp, readdir, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "@jest/globals";
import { CheckpointData, type Taken } from "./data.ts";

const UID = "11111111-2222-3333-4444-555555555555";
const TAKEN: Omit<Taken, "size"> = {
  createdAt: "2026-01-02T03:04:05.678Z",
  containerID: `${UID}-1`,
  applied: {
    spec: { nodeName: "node-1", image: "busybox" },
    image: { name: "docker.io/library/busybox:latest", digest: "sha256:1", chainID: "sha256:2" },
  },
  snapshotter: "overlayfs",
  tcpEstablished: false,
  fileLocks: false,
};

let root = "";
let data: CheckpointData;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), "berth-checkpoints-"));
  data = new CheckpointData({ dataDir: root, stateDir: join(root, "state") });
});
afterEach(() => rm(root, { recursive: true }));

async function begin(): Promise<void> {
  const { images, layer, work } = await data.begin(UID);
  await mkdir(layer);
  await writeFile(join(images, "pages-1.img"), Buffer.alloc(100_000, 1));
  await writeFile(join(layer, "file"), "kept");
  await writeFile(join(work, "dump.log"), "log");
}

describe("the data of a checkpoint", () => {
  it("is there when it is complete: readable by root alone, without CRIU's log", async () => {
    await begin();
    const { size, ...rest } = await data.complete(UID, TAKEN);
    expect(rest).toEqual(TAKEN);
    expect(size).toBeGreaterThanOrEqual(100_000);
    expect(await data.read(UID)).toEqual({ ...TAKEN, size });
    expect((await readdir(data.path(UID))).sort()).toEqual(["checkpoint.json", "criu", "layer"]);
    expect((await stat(data.path(UID))).mode & 0o777).toBe(0o700);
    expect(await readdir(data.folders(UID).layer)).toEqual(["file"]);
  });

  it("does not count before, and is begun anew", async () => {
    await begin();
    expect(await data.read(UID)).toBeUndefined();
    expect(await data.uids()).toEqual([UID]);
    const { images, layer } = await data.begin(UID);
    expect(await readdir(images)).toEqual([]);
    await expect(stat(layer)).rejects.toThrow("ENOENT");
  });

  it("is made anew in the place of one that was complete, but not through", async () => {
    await begin();
    await data.complete(UID, TAKEN);
    await begin();
    expect(await data.read(UID)).toBeUndefined();
    const { containerID } = await data.complete(UID, { ...TAKEN, containerID: `${UID}-2` });
    expect((await data.read(UID))?.containerID).toBe(containerID);
  });

  it.each(["complete", "unfinished"])("goes whole: %s", async (how) => {
    await begin();
    if (how === "complete") await data.complete(UID, TAKEN);
    await data.remove(UID);
    expect(await data.uids()).toEqual([]);
    await data.remove(UID);
  });

  it("is none before the first", async () => {
    expect(await data.uids()).toEqual([]);
    expect(await data.read(UID)).toBeUndefined();
  });
});
