import { describe, expect, it } from "@jest/globals";
import { cgroupsPath } from "./cgroup.ts";
import { spec } from "./status.test-support.ts";

const ID = "11111111-2222-3333-4444-555555555555-1";

describe("cgroupsPath", () => {
  it("is a path below the agent's root, or a unit in its slice for a runtime that leaves that to systemd", () => {
    const [plain, nested] = [spec(), spec({ cgroupParent: "batch/night" })];
    expect(cgroupsPath({ cgroupRoot: "/berth" }, ID, plain)).toBe(`/berth/${ID}`);
    expect(cgroupsPath({ cgroupRoot: "/berth" }, ID, nested)).toBe(`/berth/batch/night/${ID}`);
    expect(cgroupsPath({ cgroupRoot: "/berth.slice" }, ID, plain, true)).toBe(`berth.slice:berth:${ID}`);
    expect(cgroupsPath({ cgroupRoot: "/berth.slice" }, ID, nested, true)).toBe(`berth-batch-night.slice:berth:${ID}`);
  });

  it.each(["../other", "/other", "a/../..", ID])("refuses to leave the root: %s", (cgroupParent) => {
    for (const bySystemd of [false, true]) {
      const asking = (): string => cgroupsPath({ cgroupRoot: "/berth.slice" }, ID, spec({ cgroupParent }), bySystemd);
      expect(asking).toThrow("spec.cgroupParent");
    }
  });
});
