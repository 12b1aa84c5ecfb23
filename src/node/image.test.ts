import { describe, expect, it } from "@jest/globals";
import { programLine } from "./image.ts";

describe("programLine", () => {
  it("is the command itself where there is no image", () => {
    expect(programLine("mount", ["--", "a", "b"])).toEqual(["mount", "--", "a", "b"]);
  });

  it("takes the image's program, by the image's loader", () => {
    const command = programLine("mount", ["--", "a", "b"], "/proc/7/fd/3");
    const loader = ["/proc/7/fd/3/opt/berth/ld.so", "--library-path", "/proc/7/fd/3/opt/berth/lib", "--argv0", "mount"];
    expect(command).toEqual([...loader, "/proc/7/fd/3/usr/bin/mount", "--", "a", "b"]);
  });

  it.each(["iptables", "iptables-save", "apparmor_parser", "/opt/cni/bin/bridge"])(
    "leaves %s to the node",
    (command) => {
      expect(programLine(command, ["x"], "/proc/7/fd/3")).toEqual([command, "x"]);
    },
  );
});
