import { describe, expect, it } from "@jest/globals";
import { ProgressSum } from "./progress.ts";

const blob = (kind: string, n: number) => `${kind}-sha256:${String(n).repeat(64)}`;
const message = (event: string, name: string, progress = 0, total = 0) => ({
  event,
  name,
  progress: BigInt(progress),
  total: BigInt(total),
});

describe("ProgressSum", () => {
  it("adds up blobs, counts layers, and takes each message as a blob's newest state", () => {
    const sum = new ProgressSum();
    sum.add(message("waiting", blob("manifest", 1), 0, 10));
    sum.add(message("complete", blob("manifest", 1), 10, 10));
    sum.add(message("waiting", blob("layer", 2), 0, 100));
    sum.add(message("waiting", blob("layer", 3), 0, 1000));
    sum.add(message("downloading", blob("layer", 3), 400, 1000));
    sum.add(message("downloading", blob("layer", 3), 500, 1000));
    sum.add(message("already exists", blob("layer", 2), 100, 100));
    expect(sum.current).toEqual({ bytes: 610, fetched: 510, total: 1110, layers: 2, done: 1 });
  });

  it("keeps a fetched layer's bytes while it is extracted, which counts anew", () => {
    const sum = new ProgressSum();
    sum.add(message("complete", blob("layer", 1), 100, 100));
    sum.add(message("extracting", blob("layer", 1), 0, 0));
    expect(sum.current).toEqual({ bytes: 100, fetched: 100, total: 100, layers: 1, done: 1 });
  });

  it("counts a blob that an annotation gives a name", () => {
    const sum = new ProgressSum();
    expect(sum.add(message("waiting", `manifest-latest@sha256:${"a".repeat(64)}`, 0, 5))).toBe(true);
    expect(sum.current.total).toBe(5);
  });

  it("passes over messages about the whole image", () => {
    const sum = new ProgressSum();
    expect(sum.add(message("Resolving from OCI Registry (example.com/app:v1)", ""))).toBe(false);
    expect(sum.add(message("fetching image content", "example.com/layer-app:v1"))).toBe(false);
    expect(sum.add(message("saved", `example.com/app@sha256:${"a".repeat(64)}`))).toBe(false);
    expect(sum.current).toEqual({ bytes: 0, fetched: 0, total: 0, layers: 0, done: 0 });
  });
});
