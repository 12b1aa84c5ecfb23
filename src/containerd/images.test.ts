import { create } from "@bufbuild/protobuf";
import { status } from "@grpc/grpc-js";
import { describe, expect, it } from "@jest/globals";
import { createHash } from "node:crypto";
import { ContainerdError } from "./errors.ts";
import { ImageReader } from "./images.ts";
import { ReadContentResponseSchema } from "./proto/content_pb.ts";
import { GetImageResponseSchema } from "./proto/images_pb.ts";
import { StatSnapshotResponseSchema } from "./proto/snapshots_pb.ts";

/** containerd's stores, as far as an image needs them. */
class FakeStores {
  readonly blobs = new Map<string, string>();
  readonly records = new Map<string, string>();
  readonly unpacked = new Set<string>();
  reads = 0;

  put(value: object): string {
    const text = JSON.stringify(value);
    const digest = `sha256:${createHash("sha256").update(text).digest("hex")}`;
    this.blobs.set(digest, text);
    return digest;
  }

  manifest(architecture: string, diffIDs: string[], os = "linux"): string {
    const config = this.put({ os, architecture, rootfs: { diff_ids: diffIDs }, config: { Cmd: [architecture] } });
    return this.put({ config: { digest: config }, layers: [] });
  }

  reader(): ImageReader {
    const missing = (method: string) => new ContainerdError(method, status.NOT_FOUND, "not found");
    return new ImageReader({
      images: {
        get: ({ name = "" }) => {
          const digest = this.records.get(name);
          if (digest === undefined) return Promise.reject(missing("Images.Get"));
          return Promise.resolve(create(GetImageResponseSchema, { image: { name, target: { digest } } }));
        },
      },
      content: {
        read: ({ digest = "" }) => this.#read(digest, missing("Content.Read")),
      },
      snapshots: {
        stat: ({ key = "" }) =>
          this.unpacked.has(key)
            ? Promise.resolve(create(StatSnapshotResponseSchema))
            : Promise.reject(missing("Snapshots.Stat")),
      },
      snapshotter: "overlayfs",
      platform: { os: "linux", architecture: "amd64" },
    });
  }

  async *#read(digest: string, missing: Error) {
    this.reads += 1;
    await Promise.resolve();
    const text = this.blobs.get(digest);
    if (text === undefined) throw missing;
    // In two pieces, as a large blob comes.
    const half = Math.floor(text.length / 2);
    yield create(ReadContentResponseSchema, { data: Buffer.from(text.slice(0, half)) });
    yield create(ReadContentResponseSchema, { data: Buffer.from(text.slice(half)) });
  }
}

const NAME = "docker.io/library/app:latest";

describe("ImageReader", () => {
  it("reads a manifest's configuration", async () => {
    const stores = new FakeStores();
    const digest = stores.manifest("amd64", ["sha256:l1"]);
    stores.records.set(NAME, digest);
    stores.unpacked.add("sha256:l1");
    expect(await stores.reader().read("app")).toEqual({
      name: NAME,
      digest,
      chainID: "sha256:l1",
      config: { Cmd: ["amd64"] },
    });
  });

  it("takes this platform's manifest of an index, the plain variant first", async () => {
    const stores = new FakeStores();
    const entry = (digest: string, architecture: string, variant?: string) => ({
      digest,
      platform: { os: "linux", architecture, ...(variant === undefined ? {} : { variant }) },
    });
    const plain = stores.manifest("amd64", ["sha256:plain"]);
    const index = stores.put({
      manifests: [
        { digest: "sha256:attestation", platform: { os: "unknown", architecture: "unknown" } },
        entry("sha256:not-fetched", "arm64", "v8"),
        entry("sha256:not-fetched-either", "amd64", "v3"),
        entry(plain, "amd64"),
      ],
    });
    stores.records.set(NAME, index);
    stores.unpacked.add("sha256:plain");
    expect(await stores.reader().read("app")).toMatchObject({ digest: index, chainID: "sha256:plain" });
  });

  it("looks into what an index does not say the platform of", async () => {
    const stores = new FakeStores();
    const inner = stores.put({ manifests: [{ digest: stores.manifest("amd64", ["sha256:l1"]) }] });
    const index = stores.put({ manifests: [{ digest: stores.manifest("arm64", ["sha256:arm"]) }, { digest: inner }] });
    stores.records.set(NAME, index);
    stores.unpacked.add("sha256:l1");
    expect(await stores.reader().read("app")).toMatchObject({ chainID: "sha256:l1" });
  });

  it("finds nothing where the record, the content, the platform or the snapshot is missing", async () => {
    const stores = new FakeStores();
    const reader = stores.reader();
    expect(await reader.read("app")).toBeUndefined();

    stores.records.set(NAME, "sha256:collected");
    expect(await reader.read("app")).toBeUndefined();

    stores.records.set(NAME, stores.manifest("arm64", ["sha256:l1"]));
    stores.unpacked.add("sha256:l1");
    expect(await reader.read("app")).toBeUndefined();

    stores.records.set(NAME, stores.manifest("amd64", ["sha256:l2"]));
    expect(await reader.read("app")).toBeUndefined();
    stores.unpacked.add("sha256:l2");
    expect(await reader.read("app")).toMatchObject({ chainID: "sha256:l2" });
  });

  it("reads content once, but looks for the snapshot each time", async () => {
    const stores = new FakeStores();
    stores.records.set(NAME, stores.manifest("amd64", ["sha256:l1"]));
    stores.unpacked.add("sha256:l1");
    const reader = stores.reader();
    await reader.read("app");
    const { reads } = stores;
    await reader.read("app");
    expect(stores.reads).toBe(reads);
    stores.unpacked.clear();
    expect(await reader.read("app")).toBeUndefined();
  });

  it("asks for no snapshot of an image without layers", async () => {
    const stores = new FakeStores();
    stores.records.set(NAME, stores.manifest("amd64", []));
    expect(await stores.reader().read("app")).toMatchObject({ chainID: "" });
  });

  it("passes on that containerd is away", async () => {
    const stores = new FakeStores();
    const away = new ContainerdError("Content.Read", status.UNAVAILABLE, "Connection dropped");
    stores.records.set(NAME, "sha256:x");
    stores.blobs.get = () => {
      throw away;
    };
    await expect(stores.reader().read("app")).rejects.toBe(away);
  });
});
