import { describe, expect, it } from "@jest/globals";
import { parseMountinfo } from "./mounts.ts";

describe("parseMountinfo", () => {
  it("reads a bind mount with propagation fields, and options of mount and filesystem apart", () => {
    const line = "36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 shared:7 - ext3 /dev/root rw,errors=continue\n";
    expect(parseMountinfo(line)).toEqual([
      {
        mountPoint: "/mnt2",
        root: "/mnt1",
        device: "98:0",
        fsType: "ext3",
        source: "/dev/root",
        propagation: ["shared", "slave"],
        options: ["rw", "noatime"],
        superOptions: ["rw", "errors=continue"],
      },
    ]);
  });

  it("undoes the kernel's escapes, beside letters of more than one byte", () => {
    const [mount] = parseMountinfo("1 2 0:5 / /a\\040b\\134c/\\303\\274ö rw - tmpfs none rw\n");
    expect(mount?.mountPoint).toBe("/a b\\c/üö");
  });

  it("skips what is no mount", () => {
    expect(parseMountinfo("\nnonsense\n1 2 3\n")).toEqual([]);
  });
});
