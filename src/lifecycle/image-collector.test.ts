import { describe, expect, it } from "@jest/globals";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import { pino } from "pino";
import { ContainerdError, type ImageRecord, PULLED_LABEL } from "../containerd/index.ts";
import { ImageCollector } from "./image-collector.ts";

const OWN = { [PULLED_LABEL]: "true" };

/** An image of ten percent of the disk, pulled at a second. */
function image(name: string, second: number, labels: Record<string, string> = OWN, digest = name): ImageRecord {
  const updatedAt = timestampFromDate(new Date(second * 1000));
  return { name, labels, target: { digest, mediaType: "", size: 0n }, updatedAt } as unknown as ImageRecord;
}

/** A collector of a disk that has nothing on it but images, and what it did. */
function collector(
  there: ImageRecord[],
  base: number,
  more: { used?: string[]; digests?: string[]; wanted?: string[] } = {},
) {
  const { used = [], digests = [], wanted = [] } = more;
  const images = new Map(there.map((each) => [each.name, each]));
  const state = { deleted: [] as string[], told: [] as string[], base, failing: undefined as Error | undefined };
  const made = new ImageCollector({
    high: 80,
    low: 60,
    images: {
      list: () => Promise.resolve({ images: [...images.values()] }),
      get: ({ name }) => Promise.resolve({ image: images.get(name) }),
      delete: ({ name }) => {
        if (state.failing !== undefined) return Promise.reject(state.failing);
        images.delete(name);
        state.deleted.push(name);
        return Promise.resolve();
      },
    },
    disks: () => {
      const percent = state.base + 10 * images.size;
      return Promise.resolve([{ path: "/i", device: 1, available: 100 - percent, total: 100, files: 9, percent }]);
    },
    inUse: () => Promise.resolve({ names: new Set(used), digests: new Set(digests) }),
    isWanted: (name) => wanted.includes(name),
    announce: (type, reason) => state.told.push(`${type} ${reason}`),
    now: () => new Date(100_000),
    logger: pino({ level: "silent" }),
  });
  return { made, state };
}

describe("ImageCollector", () => {
  it("deletes the least recently used until the low threshold, and says so", async () => {
    const { made, state } = collector([image("c", 3), image("a", 1), image("b", 2), image("d", 4)], 42);
    expect(await made.look()).toBe(true);
    expect(state.deleted).toEqual(["a", "b", "c"]);
    expect(state.told).toEqual(["Normal ImagesCollected"]);
    expect(await made.look()).toBe(false);
  });

  it("leaves all where the disk's use is below the high threshold, but for a start that found no room", async () => {
    const { made, state } = collector([image("a", 1), image("b", 2)], 30);
    expect(await made.look()).toBe(false);
    expect(await made.look(true)).toBe(true);
    expect(state.deleted).toEqual(["a"]);
  });

  it("leaves what is in use, by name or content, what is wanted now, and what is also another tool's", async () => {
    const { made, state } = collector(
      [
        image("used", 1),
        image("same content", 2, OWN, "used"),
        image("checkpointed", 3, OWN, "sha256:c"),
        image("wanted", 4),
        image("imported", 5, {}),
        image("pinned", 6, { ...OWN, "io.cri-containerd.pinned": "pinned" }),
        image("free", 7),
      ],
      30,
      { used: ["used"], digests: ["sha256:c"], wanted: ["wanted"] },
    );
    expect(await made.look()).toBe(true);
    expect(state.deleted).toEqual(["free"]);
    expect(state.told).toEqual(["Normal ImagesCollected", "Warning FreeDiskSpaceFailed"]);
    // The same once more is no news.
    await made.look();
    expect(state.told).toHaveLength(2);
    state.base = 0;
    await made.look();
    state.base = 30;
    await made.look();
    expect(state.told.at(-1)).toBe("Warning FreeDiskSpaceFailed");
    expect(state.told).toHaveLength(3);
  });

  it("takes a use that has ended for newer than a pull", async () => {
    const { made, state } = collector([image("a", 1), image("b", 2)], 62);
    made.used("a");
    await made.look();
    expect(state.deleted).toEqual(["b", "a"]);
  });

  it("tells of a failure, and gets over it", async () => {
    const { made, state } = collector([image("a", 1)], 75);
    state.failing = new ContainerdError("Images.Delete", 2, "no space left on device");
    expect(await made.look()).toBe(false);
    expect(state.told).toEqual(["Warning ImageGCFailed"]);
    state.failing = undefined;
    expect(await made.look()).toBe(true);
    expect(state.deleted).toEqual(["a"]);
  });
});
