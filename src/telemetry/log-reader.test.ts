import { afterEach, beforeEach, describe, expect, it } from "@jest/globals";
import {
  appendFileSync,
  copyFileSync,
  mkdtempSync,
  renameSync,
  rmSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { rotate } from "./log-file.ts";
import { beginOf, readLog, type ReadLogOptions } from "./log-reader.ts";

let dir: string;
let path: string;

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "berth-log-"));
  path = join(dir, "output.log");
});

afterEach(() => {
  rmSync(dir, { recursive: true, force: true });
});

async function read(options: ReadLogOptions = {}): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of readLog(path, options)) chunks.push(chunk);
  return Buffer.concat(chunks).toString();
}

/** A reader that follows, and what it has got. */
function follow(options: ReadLogOptions = {}): { until: (text: string) => Promise<void>; ended: Promise<string> } {
  let got = "";
  let look = (): void => undefined;
  const run = async (): Promise<string> => {
    for await (const chunk of readLog(path, { ...options, follow: true })) {
      got += chunk.toString();
      look();
    }
    return got;
  };
  const until = (text: string): Promise<void> =>
    new Promise((resolve) => {
      look = () => {
        if (got.includes(text)) resolve();
      };
      look();
    });
  return { until, ended: run() };
}

describe("readLog", () => {
  it("reads all files, the oldest first", async () => {
    writeFileSync(`${path}.2`, "one\n");
    writeFileSync(`${path}.1`, "two\n");
    writeFileSync(path, "three\n");
    expect(await read()).toBe("one\ntwo\nthree\n");
  });

  it("says when there is no log", async () => {
    await expect(read()).rejects.toThrow("ENOENT");
  });

  it.each([
    [0, ""],
    [1, "six\n"],
    [2, "five\nsix\n"],
    [3, "four\nfive\nsix\n"],
    [4, "three\nfour\nfive\nsix\n"],
    [6, "one\ntwo\nthree\nfour\nfive\nsix\n"],
    [99, "one\ntwo\nthree\nfour\nfive\nsix\n"],
  ])("reads the last %d lines, from whatever files they are in", async (tail, text) => {
    writeFileSync(`${path}.2`, "one\ntwo\n");
    // A rotation cuts where it is, also within a line.
    writeFileSync(`${path}.1`, "three\nfour\nfi");
    writeFileSync(path, "ve\nsix\n");
    expect(await read({ tail })).toBe(text);
  });

  it("finds the last lines in a large file, and a last line without an end", async () => {
    writeFileSync(path, `${"x".repeat(200_000)}\n${"y".repeat(200_000)}\nend`);
    expect(await read({ tail: 1 })).toBe("end");
    expect(await read({ tail: 2 })).toBe(`${"y".repeat(200_000)}\nend`);
    writeFileSync(path, "");
    expect(await read({ tail: 5 })).toBe("");
  });

  it("leaves out files that are older than a time, and tells from when on it shows all", async () => {
    for (const [name, text, hour] of [
      [`${path}.2`, "one\n", 1],
      [`${path}.1`, "two\n", 2],
      [path, "three\n", 3],
    ] as const) {
      writeFileSync(name, text);
      utimesSync(name, hour * 3600, hour * 3600);
    }
    const at = (minute: number) => new Date(minute * 60_000);
    expect(await read({ since: at(90) })).toBe("two\nthree\n");
    expect(await beginOf(path, at(90))).toEqual(at(60));
    expect(await read({ since: at(30) })).toBe("one\ntwo\nthree\n");
    expect(await beginOf(path, at(30))).toBeUndefined();
    expect(await read({ since: at(200) })).toBe("");
    expect(await read({ since: at(90), tail: 1 })).toBe("three\n");
  });

  it("follows what is written, until the log is removed", async () => {
    writeFileSync(path, "one\ntwo\n");
    const { until, ended } = follow({ tail: 1 });
    await until("two\n");
    appendFileSync(path, "three\n");
    await until("three\n");
    rmSync(dir, { recursive: true });
    expect(await ended).toBe("two\nthree\n");
  });

  it.each([2, 3, 10])("loses nothing to rotations and repeats nothing, with %d files", async (maxFiles) => {
    writeFileSync(path, "");
    const { until, ended } = follow();
    let written = "";
    for (let i = 0; i < 30; i++) {
      const lines = `${`line ${String(i)} of many\n`.repeat(50)}mark ${String(i)}.\n`;
      written += lines;
      appendFileSync(path, lines);
      // Read before, at, or after the rotation.
      if (i % 3 === 0) await until(`mark ${String(i)}.`);
      await rotate(path, { maxSize: 100, maxFiles: maxFiles });
      if (i % 3 === 1) {
        // A word that is in the file that is current now.
        appendFileSync(path, `after ${String(i)}.\n`);
        written += `after ${String(i)}.\n`;
      }
      await until(`mark ${String(i)}.`);
    }
    rmSync(dir, { recursive: true });
    expect(await ended).toBe(written);
  });

  it("repeats nothing while a rotation is under way, nor after one that was cut off", async () => {
    writeFileSync(`${path}.1`, "one\n");
    writeFileSync(path, "two\n");
    const { until, ended } = follow();
    await until("two\n");
    // What a rotation does first; the follower sees it so, for it reads what comes then.
    renameSync(`${path}.1`, `${path}.2`);
    appendFileSync(path, "three\n");
    await until("three\n");
    copyFileSync(path, `${path}.1`);
    truncateSync(path);
    appendFileSync(path, "four\n");
    await until("four\n");
    rmSync(dir, { recursive: true });
    expect(await ended).toBe("one\ntwo\nthree\nfour\n");
  });

  it("begins anew in a file that was truncated, also when it has grown since", async () => {
    writeFileSync(path, "one\n");
    const { until, ended } = follow();
    await until("one\n");
    await rotate(path, { maxSize: 100, maxFiles: 1 });
    appendFileSync(path, "two and a half\n");
    await until("half\n");
    rmSync(dir, { recursive: true });
    expect(await ended).toBe("one\ntwo and a half\n");
  });

  it("catches up with several rotations at once", async () => {
    writeFileSync(path, "");
    await rotate(path, { maxSize: 100, maxFiles: 10 });
    const { until, ended } = follow();
    appendFileSync(path, "begun\n");
    await until("begun\n");
    for (let i = 0; i < 5; i++) {
      appendFileSync(path, `line ${String(i)}\n`);
      await rotate(path, { maxSize: 100, maxFiles: 10 });
    }
    appendFileSync(path, "end\n");
    await until("end\n");
    rmSync(dir, { recursive: true });
    expect(await ended).toBe("begun\nline 0\nline 1\nline 2\nline 3\nline 4\nend\n");
  });
});
