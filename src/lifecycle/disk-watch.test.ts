import { describe, expect, it } from "@jest/globals";
import { pino } from "pino";
import { DiskWatch, type DiskRole } from "./disk-watch.ts";

const MIB = 2 ** 20;

function watchOf(roles: readonly [DiskRole, number][]) {
  const state = { available: 100 * MIB, files: 100, told: [] as string[] };
  const made = new DiskWatch({
    measure: () =>
      Promise.resolve(
        roles.map(([role, device]) => {
          const { available, files } = device === 1 ? state : { available: 100 * MIB, files: 100 };
          return { role, device, path: `/${role}`, total: 1000 * MIB, percent: 0, available, files };
        }),
      ),
    onChange: ({ words, roles: concerned }, isFull) => state.told.push(`${isFull} ${[...concerned].join()} ${words}`),
    onPeriod: () => undefined,
    logger: pino({ level: "silent" }),
  });
  const at = async (available: number, files = 100): Promise<void> => {
    Object.assign(state, { available, files });
    await made.look();
  };
  return { made, state, at };
}

describe("DiskWatch", () => {
  it("tells once that a disk is full, for all that lies on it, and once that it has room", async () => {
    const { made, state, at } = watchOf([
      ["state", 2],
      ["data", 1],
      ["log", 1],
    ]);
    await at(2 * MIB);
    expect(state.told).toEqual([]);
    await at(MIB / 2);
    await at(0);
    // Not again before there is some room.
    await at(2 * MIB);
    const words = "the disk of /data, /log has 512 KiB of 1000 MiB left";
    expect(state.told).toEqual([`true data,log ${words}`]);
    expect(made.full.map((disk) => disk.words)).toEqual([words]);
    await at(5 * MIB);
    expect(state.told.slice(1)).toEqual(["false data,log the disk of /data, /log has 5 MiB of 1000 MiB left"]);
    expect(made.full).toEqual([]);
    made.close();
  });

  it("counts files, too", async () => {
    const { made, state, at } = watchOf([["state", 1]]);
    await at(100 * MIB, 0);
    expect(state.told[0]).toContain("and no file can be made");
    made.close();
  });
});
