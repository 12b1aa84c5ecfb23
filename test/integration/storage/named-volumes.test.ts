// Named volumes, shared and kept, and the image's VOLUMEs: what is in them at first, and how long it stays.
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "@jest/globals";
import type { Container, ContainerSpec } from "../../../src/api/index.ts";
import { mount, run, unmount } from "../../../src/node/index.ts";
import { NamedVolumes } from "../../../src/storage/index.ts";
import { expectFailedStart, VOLUME_SETUP_FAILED } from "../../support/failed-start.ts";
import { untilContent } from "../../support/inside.ts";
import { probe, untilOutput, valuesOf } from "../../support/probe.ts";
import { askRestart, untilRestarted } from "../../support/restart.ts";
import { useNode } from "../../support/test-node.ts";

const test = useNode();

const pathOf = (name: string): string => join(test().node.dataDir, "volumes/default", name);

/** A Container of the image that has /data/seed, owned by 1000, with a named volume there. */
const withVolume = (name: string, mountPath = "/data"): Partial<ContainerSpec> => ({
  image: test().image("files"),
  volumes: [{ name: "v", volume: { name } }],
  volumeMounts: [{ name: "v", mountPath }],
});

const STAT = "stat -c 'dir=%a %u %g' /data; stat -c 'seed=%u %g' /data/seed; echo content=$(cat /data/seed)";
const SEEDED = { dir: "755 1000 1000", seed: "1000 1000", content: "from the image" };

describe("a named volume", () => {
  it("begins with the image's content, is shared, and stays when the containers go", async () => {
    const first = await probe(test(), `${STAT}; echo first > /data/kept; rm /data/seed`, withVolume("shared"));
    expect(valuesOf(first.output)).toEqual(SEEDED);
    await test().delete(first.container);
    expect(readdirSync(pathOf("shared"))).toEqual(["kept"]);
    const other = await test().create(withVolume("shared"));
    const running = await test().untilState(other, "Running");
    const second = await probe(test(), "ls /data; echo second > /data/kept", withVolume("shared"));
    expect(second.output).toBe("kept\n");
    await untilContent(running, "/data/kept", "second\n");
    const recreated = await test().patch(other, { spec: { hostname: "another" } });
    await untilContent(await test().untilCondition(recreated, "Ready"), "/data/kept", "second\n");
    await Promise.all([test().delete(other), test().delete(second.container)]);
    expect(readFileSync(join(pathOf("shared"), "kept"), "utf8")).toBe("second\n");
  });

  it("is filled once by containers that start at once", async () => {
    const script = (index: number) => `cat /data/seed >> /data/of-${String(index)}; sleep 3600 & wait`;
    const containers = await Promise.all(
      [1, 2, 3].map((index) =>
        test().create({
          ...withVolume("rush"),
          command: ["sh", "-c", script(index)],
          terminationGracePeriodSeconds: 0,
        }),
      ),
    );
    const running = await Promise.all(containers.map((container) => test().untilState(container, "Running")));
    const [any] = running;
    if (any === undefined) throw new Error("none");
    for (const index of [1, 2, 3]) await untilContent(any, `/data/of-${String(index)}`, "from the image\n");
    expect(readdirSync(join(pathOf("rush"), "..")).filter((name) => name.includes("rush"))).toEqual(["rush"]);
    await Promise.all(containers.map((container) => test().delete(container)));
  });

  it("that is empty still gets it from the next container that is made, also under one that runs", async () => {
    const plain = await test().create({ ...withVolume("late", "/none"), image: test().image() });
    const running = await test().untilState(plain, "Running");
    const made = await probe(test(), STAT, withVolume("late"));
    expect(valuesOf(made.output)).toEqual(SEEDED);
    await untilContent(running, "/none/seed", "from the image\n");
    await Promise.all([test().delete(plain), test().delete(made.container)]);
  });

  it("that a container has emptied stays so over its restart, and without content in the image it is root's", async () => {
    const created = await test().create({
      ...withVolume("emptied"),
      command: ["sh", "-c", "ls -A /data; rm -f /data/*; echo end; trap 'exit 0' TERM; sleep 3600 & wait"],
    });
    await untilOutput(test(), created, "end\n");
    await askRestart(test(), created, "now");
    await untilRestarted(test(), created, 1);
    await untilOutput(test(), created, "seed\nend\nend\n");
    await test().delete(created);

    const plain = await probe(test(), "stat -c 'dir=%a %u %g' /none; ls -A /none", withVolume("plain", "/none"));
    expect(plain.output).toBe("dir=755 0 0\n");
    await test().delete(plain.container);
  });

  it("that the disk has no room for fails the start, leaves nothing, and is made once there is room", async () => {
    const volumes = join(test().node.dataDir, "volumes");
    await mkdir(volumes, { recursive: true });
    await mount({ type: "tmpfs", source: "tmpfs", target: volumes, options: ["size=256k"] });
    try {
      // The shell alone is larger than that.
      const failed = await expectFailedStart(test(), withVolume("full", "/bin"), {
        ...VOLUME_SETUP_FAILED,
        says: ["volume v", "volumes/default/full", "No space left on device"],
      });
      expect(readdirSync(join(volumes, "default"))).toEqual([]);
      await run("mount", ["-o", "remount,size=64m", volumes]);
      await test().untilState(failed, "Running");
      await test().delete(failed);
    } finally {
      await unmount(volumes);
    }
  });
});

describe("the node's volumes", () => {
  it("are listed with who uses them, and removed when nobody does", async () => {
    const volumes = new NamedVolumes({ dataDir: test().node.dataDir });
    const { container } = await probe(test(), "true", withVolume("used"));
    const { namespace, name } = container.metadata;
    const users = () => Promise.resolve([{ namespace, name, spec: container.spec }]);
    const listed = await volumes.list(await users());
    expect(listed).toContainEqual({ namespace: "default", name: "used", path: pathOf("used"), usedBy: [name] });
    await expect(volumes.remove("default", "used", users)).rejects.toThrow(`is used by ${name}`);
    await test().delete(container);
    for (const volume of listed) await volumes.remove(volume.namespace, volume.name, () => Promise.resolve([]));
    expect(readdirSync(join(test().node.dataDir, "volumes"))).toEqual([]);
  });
});

describe("a VOLUME of the image", () => {
  // The image's user is 1000, its VOLUME /data.
  const image = (): Partial<ContainerSpec> => ({ image: test().image("config") });
  const anonymous = ({ metadata }: Container, generation: number): string =>
    join(test().node.dataDir, "containers", `${metadata.uid}-${String(generation)}`, "anonymous");

  it("is a volume of the container's own: the image's content, owner and mode, written by its user", async () => {
    const { container, output } = await probe(test(), "", {
      ...image(),
      command: ["sh", "-c", `${STAT}; echo mine > /data/mine && echo written=yes; grep -c ' /data ' /proc/mounts`],
    });
    expect(valuesOf(output)).toMatchObject({ ...SEEDED, written: "yes" });
    expect(output).toMatch(/^1$/m);
    expect(readdirSync(anonymous(container, 1))).toHaveLength(1);
    await test().delete(container);
    expect(existsSync(anonymous(container, 1))).toBe(false);
  });

  it("gives way to a volumeMount at its path, by whatever spelling", async () => {
    const { container, output } = await probe(test(), "ls -A /data | wc -l", {
      ...image(),
      command: ["sh", "-c", "ls -A /data | wc -l"],
      volumes: [{ name: "v", emptyDir: {} }],
      volumeMounts: [{ name: "v", mountPath: "//data/./" }],
    });
    expect(output).toBe("0\n");
    expect(existsSync(anonymous(container, 1))).toBe(false);
    await test().delete(container);
  });
});
