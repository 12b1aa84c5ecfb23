import { describe, expect, it } from "@jest/globals";
import { describeDisk, diskUse, formatBytes, isDiskFull } from "./disk.ts";

describe("a disk", () => {
  it("is measured as the kubelet does, and told of in words", async () => {
    const use = await diskUse("/");
    expect(use.total).toBeGreaterThan(use.available);
    expect(use.percent).toBeGreaterThanOrEqual(100 - Math.ceil((use.available * 100) / use.total));
    expect(use.percent).toBeLessThanOrEqual(100);
    const full = { path: "/x", available: 0, total: 2 ** 30, files: 0, percent: 100 };
    expect(describeDisk(full)).toBe("the disk of /x has 0 B of 1 GiB left, and no file can be made");
    expect(describeDisk({ ...full, available: 5 * 2 ** 20, files: Infinity })).toBe(
      "the disk of /x has 5 MiB of 1 GiB left",
    );
  });

  it.each([
    [0, "0 B"],
    [1023, "1023 B"],
    [1536, "1.5 KiB"],
    [150 * 2 ** 20, "150 MiB"],
    [2 ** 52, "4096 TiB"],
  ])("of %d bytes has %s", (bytes, words) => {
    expect(formatBytes(bytes)).toBe(words);
  });

  it("that is full is told by code and by words, also from below", () => {
    expect(isDiskFull(Object.assign(new Error("x"), { code: "ENOSPC" }))).toBe(true);
    expect(isDiskFull(new Error("x", { cause: Object.assign(new Error("y"), { code: "EDQUOT" }) }))).toBe(true);
    expect(isDiskFull(new Error("mkdir /var/lib/x: no space left on device: unknown"))).toBe(true);
    expect(isDiskFull(Object.assign(new Error("x"), { code: "EMFILE" }))).toBe(false);
    expect(isDiskFull(undefined)).toBe(false);
  });
});
