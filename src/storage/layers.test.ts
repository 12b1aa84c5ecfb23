import { mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "@jest/globals";
import { readFromLayers } from "./layers.ts";

// Whiteouts are device files, which only root can make: test/integration/storage has them, on a real overlay.
describe("readFromLayers", () => {
  let root = "";
  let layers: string[] = [];
  beforeEach(async () => {
    root = await mkdtemp(join(tmpdir(), "layers-"));
    layers = ["upper", "middle", "base"].map((name) => join(root, name));
    await Promise.all(layers.map((layer) => mkdir(layer)));
  });
  afterEach(() => rm(root, { recursive: true }));

  const put = async (layer: number, path: string, content: string) => {
    const file = join(layers[layer] ?? "", path);
    await mkdir(dirname(file), { recursive: true });
    await writeFile(file, content);
  };
  const link = async (layer: number, path: string, target: string) => {
    const file = join(layers[layer] ?? "", path);
    await mkdir(dirname(file), { recursive: true });
    await symlink(target, file);
  };

  it("finds a file whose directory only one layer has", async () => {
    await put(2, "etc/passwd", "base");
    await expect(readFromLayers(layers, "/etc/passwd")).resolves.toEqual({ content: "base" });
  });

  it("takes the uppermost file", async () => {
    await put(2, "etc/passwd", "base");
    await put(1, "etc/passwd", "middle");
    await expect(readFromLayers(layers, "/etc/passwd")).resolves.toEqual({ content: "middle" });
  });

  it("is unsure where a layer above has the directory but not the file: it may hide what is below", async () => {
    await put(2, "etc/passwd", "base");
    await put(1, "etc/group", "middle");
    await expect(readFromLayers(layers, "/etc/passwd")).resolves.toBe("unsure");
    await expect(readFromLayers(layers, "/etc/nothing")).resolves.toBe("unsure");
  });

  it("knows that a file is absent where nothing can hide it", async () => {
    await expect(readFromLayers(layers, "/etc/passwd")).resolves.toBe("absent");
    await put(2, "etc/group", "");
    await expect(readFromLayers(layers, "/etc/passwd")).resolves.toBe("absent");
    await expect(readFromLayers(layers, "/etc")).resolves.toBe("absent");
    await expect(readFromLayers(layers, "/etc/group/x")).resolves.toBe("absent");
  });

  it("follows symlinks within the layers only", async () => {
    await put(2, "usr/etc/passwd", "inside");
    await link(2, "etc", "/usr/etc");
    await expect(readFromLayers(layers, "/etc/passwd")).resolves.toEqual({ content: "inside" });
    await link(1, "var/lib/passwd", "../../../../../usr/etc/../etc/passwd");
    await expect(readFromLayers(layers, "/var/lib/passwd")).resolves.toEqual({ content: "inside" });
    await writeFile(join(root, "secret"), "of the node");
    await link(2, "out", join(root, "secret"));
    await expect(readFromLayers(layers, "/out")).resolves.toBe("absent");
  });

  it("gives up on a loop", async () => {
    await link(2, "a", "/b");
    await link(2, "b", "/a");
    await expect(readFromLayers(layers, "/a")).resolves.toBe("absent");
  });
});
