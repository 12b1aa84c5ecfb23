import { afterEach, beforeEach, describe, expect, it } from "@jest/globals";
import { closeSync, openSync, writeSync } from "node:fs";
import {
  appendFile,
  mkdir,
  mkdtemp,
  open,
  readFile,
  readdir,
  rm,
  rmdir,
  stat,
  symlink,
  writeFile,
} from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pino } from "pino";
import { rotate } from "./log-file.ts";
import { LogRotation } from "./log-rotation.ts";

describe("log rotation", () => {
  let folder: string;
  let log: string;

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "berth-"));
    log = join(folder, "output.log");
  });
  afterEach(() => rm(folder, { recursive: true }));

  async function contents(): Promise<Record<string, string>> {
    const found: Record<string, string> = {};
    for (const name of (await readdir(folder)).sort()) found[name] = await readFile(join(folder, name), "utf8");
    return found;
  }

  async function until(condition: () => Promise<boolean>): Promise<void> {
    while (!(await condition())) await new Promise((resolve) => setTimeout(resolve, 5));
  }

  it("keeps so many files, the writer's inode among them, and removes what is too many after a lowering", async () => {
    for (const text of ["1", "2", "3", "4"]) {
      await appendFile(log, text);
      await rotate(log, { maxSize: 100, maxFiles: 4 });
    }
    expect(await contents()).toEqual({
      "output.log": "",
      "output.log.1": "4",
      "output.log.2": "3",
      "output.log.3": "2",
    });
    const { ino } = await stat(log);
    await appendFile(log, "5");
    await rotate(log, { maxSize: 100, maxFiles: 2 });
    expect(await contents()).toEqual({ "output.log": "", "output.log.1": "5" });
    await appendFile(log, "6");
    await rotate(log, { maxSize: 100, maxFiles: 1 });
    expect((await contents())["output.log"]).toBe("");
    expect((await stat(log)).ino).toBe(ino);
  });

  it("loses nothing that is written while it copies", async () => {
    const writer = openSync(log, "a");
    let written = 0;
    const write = () => {
      for (let i = 0; i < 500; i++) writeSync(writer, `line ${written++} ${"x".repeat(100)}\n`);
    };
    write();
    const rotations = 20;
    for (let done = 0; done < rotations; done++) {
      const writing = setInterval(write, 0);
      await rotate(log, { maxSize: 100, maxFiles: 1000 });
      clearInterval(writing);
      write();
    }
    closeSync(writer);
    const all = await contents();
    const rotated = Array.from({ length: rotations }, (_, i) => all[`output.log.${rotations - i}`]);
    const numbers = [...rotated, all["output.log"]].join("").matchAll(/^line (\d+) x{100}$/gm);
    expect([...numbers].map(([, number]) => Number(number))).toEqual(Array.from({ length: written }, (_, i) => i));
    expect(written).toBeGreaterThan(500 * (rotations + 1));
  });

  it("lets the oldest files go when there is no room for a copy", async () => {
    await writeFile(log, "x".repeat(5000));
    for (const number of [1, 2]) await writeFile(`${log}.${number}`, String(number));
    await symlink("/dev/full", `${log}.new`);
    // With the first failure the link goes, and there is room.
    expect(await rotate(log, { maxSize: 100, maxFiles: 4 })).toBe("full");
    expect(await contents()).toEqual({ "output.log": "", "output.log.1": "x".repeat(5000), "output.log.2": "1" });
  });

  it("keeps the newest output, and truncates, when there is no room at all", async () => {
    await writeFile(log, "x".repeat(5000));
    await symlink("/dev/full", `${log}.new`);
    expect(await rotate(log, { maxSize: 100, maxFiles: 3 })).toBe("full");
    expect(await contents()).toEqual({ "output.log": "", "output.log.1": "x".repeat(5000) });
  });

  it("keeps no more than the newest part of a flood", async () => {
    await writeFile(log, "old".padEnd(20 * 2 ** 20, "x"));
    await appendFile(log, "new");
    expect(await rotate(log, { maxSize: 100, maxFiles: 3 })).toBe("flood");
    const { "output.log.1": kept = "", ...rest } = await contents();
    expect(rest).toEqual({ "output.log": "" });
    expect(kept).toHaveLength(16 * 2 ** 20);
    expect(kept.endsWith("new")).toBe(true);
  });

  describe("LogRotation", () => {
    let rotation: LogRotation;
    beforeEach(() => {
      rotation = new LogRotation({ logger: pino({ level: "silent" }), intervalMs: 20, retryMs: 50 });
    });
    afterEach(() => {
      rotation.close();
    });

    it("rotates what is too large when it starts, and after each burst", async () => {
      await writeFile(log, "x".repeat(200));
      rotation.watch("id", log, { maxSize: 100, maxFiles: 2 });
      for (const text of ["a", "b", "c"]) {
        await until(async () => (await stat(log)).size === 0);
        await new Promise((resolve) => setTimeout(resolve, 60));
        await appendFile(log, text.repeat(200));
      }
      await until(async () => (await readFile(`${log}.1`, "utf8").catch(() => "")) === "c".repeat(200));
    });

    it("waits for a file, and its folder, that come into being later", async () => {
      const later = join(folder, "sub", "output.log");
      rotation.watch("id", later, { maxSize: 100, maxFiles: 2 });
      await until(() =>
        stat(join(folder, "sub")).then(
          () => true,
          () => false,
        ),
      );
      await new Promise((resolve) => setTimeout(resolve, 30));
      const file = await open(later, "a");
      await file.write("x".repeat(50));
      await new Promise((resolve) => setTimeout(resolve, 60));
      await file.write("y".repeat(100));
      await file.close();
      await until(async () => (await readdir(join(folder, "sub"))).includes("output.log.1"));
    });

    it("takes new limits at once, and leaves an unwatched file alone", async () => {
      await writeFile(log, "x".repeat(200));
      rotation.watch("id", log, { maxSize: 1000, maxFiles: 2 });
      await new Promise((resolve) => setTimeout(resolve, 60));
      expect((await stat(log)).size).toBe(200);
      rotation.watch("id", log, { maxSize: 100, maxFiles: 2 });
      await until(async () => (await stat(log)).size === 0);
      rotation.unwatch("id");
      await appendFile(log, "x".repeat(500));
      await new Promise((resolve) => setTimeout(resolve, 80));
      expect((await stat(log)).size).toBe(500);
    });

    it("tries again after a failure", async () => {
      await writeFile(log, "x".repeat(200));
      await mkdir(`${log}.new`);
      rotation.watch("id", log, { maxSize: 100, maxFiles: 2 });
      await new Promise((resolve) => setTimeout(resolve, 30));
      await rmdir(`${log}.new`);
      await until(async () => (await stat(log)).size === 0);
      expect(await contents()).toEqual({ "output.log": "", "output.log.1": "x".repeat(200) });
    });

    it("tells in words what a full disk costs", async () => {
      const told: string[] = [];
      await writeFile(log, "x".repeat(200));
      await symlink("/dev/full", `${log}.new`);
      rotation.watch("id", log, { maxSize: 100, maxFiles: 2 }, (words) => told.push(words));
      await until(() => Promise.resolve(told.length > 0));
      expect(told).toEqual([expect.stringContaining("The disk of the logs is full")]);
    });
  });
});
