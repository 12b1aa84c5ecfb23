import { describe, expect, it } from "@jest/globals";
import { UnsupportedContainerd } from "./errors.ts";
import { checkVersion } from "./version.ts";

describe("checkVersion", () => {
  it.each([
    ["1.7.24~ds1", false],
    ["v1.7.0", false],
    ["1.10.0", false],
    ["2.1.9+unknown", true],
    ["v2.0.0-rc.1", true],
  ])("accepts %s", (version, hasHostsDir) => {
    expect(checkVersion(version)).toEqual({ version, hasHostsDir });
  });

  it.each(["1.6.20~ds1", "0.9.0", "", "unknown"])("refuses %j, naming it and what is needed", (version) => {
    expect(() => checkVersion(version)).toThrow(UnsupportedContainerd);
    expect(() => checkVersion(version)).toThrow(`containerd ${version} is not supported: Berth needs 1.7.0 or later`);
  });
});
