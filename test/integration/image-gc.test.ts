// Unused images go when containerd's disk fills up: the least recently used first, none in use, none of another tool.
import { rmSync, statfsSync, writeFileSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import { sizedImage, writeArchive } from "../../hack/cluster/images.ts";
import { findTools } from "../../hack/cluster/tools.ts";
import type { Container } from "../../src/api/index.ts";
import { mount, unmount } from "../../src/node/index.ts";
import { endBy, pidOf, readiness } from "../support/away.ts";
import { untilEvents } from "../support/events.ts";
import { useNode } from "../support/test-node.ts";

const MIB = 2 ** 20;
/** An image takes twice this on containerd's disk: its content, and the snapshot. */
const IMAGE_BYTES = 4 * MIB;

const test = useNode({ startAgent: false, flags: { "image-gc-high": "80", "image-gc-low": "65" } });

const disk = (): string => join(test().node.dir, "containerd");
const ballast = (): string => join(disk(), "ballast");
const ref = (tag: string): string => `${test().cluster.registry.host}/berth/sized:${tag}`;
const images = async (): Promise<string[]> => (await test().node.ctr("images", "list", "--quiet")).trim().split("\n");
/** Stands for the node where a Container is asked for its Events. */
const nodeObject = (): Container =>
  ({ metadata: { namespace: "default", name: test().node.name, uid: test().node.name } }) as Container;

/** Lets so many bytes be left on containerd's disk. */
function leave(bytes: number): void {
  rmSync(ballast(), { force: true });
  const { bavail, bsize } = statfsSync(disk());
  writeFileSync(ballast(), Buffer.alloc(Math.max(0, bavail * bsize - bytes)));
}

/** Lets containerd collect what was deleted before, now, and not when it comes to it. */
async function collectGarbage(): Promise<void> {
  await test().node.ctr("leases", "create", "--id", "collect");
  await test().node.ctr("leases", "delete", "--sync", "collect");
}

async function runOnce(tag: string): Promise<void> {
  const created = await test().create({ image: ref(tag), command: ["true"], restartPolicy: "Never" });
  await test().untilCondition(created, "Complete");
  await test().delete(created);
}

describe("a disk of containerd's that fills up", () => {
  let running: Container;
  beforeAll(async () => {
    const { node, cluster } = test();
    await node.stopContainerd();
    await mkdir(disk(), { recursive: true });
    await mount({ type: "tmpfs", source: "tmpfs", target: disk(), options: ["size=64m"] });
    await node.startContainerd();
    for (const tag of ["a", "b", "c", "d", "e"]) {
      await cluster.registry.push(await sizedImage(findTools(), tag, IMAGE_BYTES));
    }
    node.startAgent();
    await node.agentReady();
    running = await test().untilCondition(await test().create({ image: ref("a") }), "Ready");
  }, 180_000);
  afterAll(async () => {
    await test().deleteAll();
    await test().node.stopContainerd();
    await unmount(disk());
    await test().node.startContainerd();
  }, 60_000);

  it("loses unused images from the high threshold to the low one, the least recently used first", async () => {
    const archive = join(test().node.dir, "other.tar");
    await writeArchive(await sizedImage(findTools(), "other", IMAGE_BYTES), "example.com", archive);
    await test().node.ctr("images", "import", "--no-unpack", archive);
    rmSync(archive);
    // b was pulled first, and used last.
    await test()
      .create({ image: ref("b"), desiredState: "Stopped" })
      .then((stopped) => test().delete(stopped));
    for (const tag of ["b", "c", "d", "b"]) await runOnce(tag);
    expect(await images()).toEqual(expect.arrayContaining(["a", "b", "c", "d"].map(ref)));
    // 81 %: two images are worth 25 %.
    leave(12.5 * MIB);
    const before = await test().create({ restartPolicy: "Never", desiredState: "Stopped", image: ref("a") });
    await test().delete(before);
    await runOnce("a");
    await untilEvents(test(), nodeObject(), (events) => events.some(({ reason }) => reason === "ImagesCollected"));
    expect((await images()).sort()).toEqual(["example.com/berth/sized:other", ref("a"), ref("b")].sort());
    rmSync(ballast());
  });

  it("makes room for a pull that finds none, and goes on at once", async () => {
    await runOnce("c");
    // Below the high threshold, and too little for an image.
    leave(6.6 * MIB);
    const { bavail, blocks } = statfsSync(disk());
    expect(bavail / blocks).toBeGreaterThan(0.1);
    const created = await test().create({ image: ref("e") });
    await test().untilCondition(created, "Ready");
    expect(await images()).toContain(ref("a"));
    rmSync(ballast());
    await test().delete(created);
  });

  it("that is full fails a start, says which disk and what to do, and leaves all that runs alone", async () => {
    const script = "trap 'exit 7' USR1; sleep 3600 & wait";
    const ending = await test().untilCondition(
      await test().create({ image: ref("a"), command: ["sh", "-c", script], restartPolicy: "Never" }),
      "Ready",
    );
    await collectGarbage();
    leave(0);
    await endBy("SIGUSR1", pidOf(ending));
    const created = await test().create({ image: ref("d") });
    // A try may have given back what it had filled the disk with, before that is looked at.
    const says = /the disk of .*containerd.* has .* of 64 MiB left.*Make room there/;
    const failed = await test().until(created, "judged", ({ status }) => says.test(status?.message ?? ""));
    expect(failed.status).toMatchObject({ state: "Pending", exitCode: 128 });
    expect((await readiness(test().node)).ready).toBe(true);
    expect((await readiness(test().node)).lines.join()).toContain("disk: full: the disk of ");
    expect(test().get(running)?.status).toMatchObject({ state: "Running", restartCount: 0 });
    rmSync(ballast());
    await test().untilCondition(created, "Ready");
    expect((await test().untilState(ending, "Exited")).status?.exitCode).toBe(7);
    await untilEvents(test(), nodeObject(), (events) => events.some(({ reason }) => reason === "DiskHasRoom"));
    // The node may have more than one Event of that kind.
    const deadline = Date.now() + 20_000;
    const saysFull = async (): Promise<boolean> => (await readiness(test().node)).lines.join().includes("disk:");
    while ((await saysFull()) && Date.now() < deadline) await delay(50);
    expect(await saysFull()).toBe(false);
    await test().delete(created);
  });
});
