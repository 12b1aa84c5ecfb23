import { describe, expect, it } from "@jest/globals";
import { capabilitySet } from "./capabilities.ts";

const NODE = { capLastCap: 40 };

/** The bits as /proc/<pid>/status shows them, from the numbers of linux/capability.h. */
const NUMBERS: Record<string, number> = {
  CAP_CHOWN: 0,
  CAP_DAC_OVERRIDE: 1,
  CAP_FOWNER: 3,
  CAP_FSETID: 4,
  CAP_KILL: 5,
  CAP_SETGID: 6,
  CAP_SETUID: 7,
  CAP_SETPCAP: 8,
  CAP_NET_BIND_SERVICE: 10,
  CAP_NET_RAW: 13,
  CAP_SYS_CHROOT: 18,
  CAP_MKNOD: 27,
  CAP_AUDIT_WRITE: 29,
  CAP_SETFCAP: 31,
};

describe("capabilitySet", () => {
  it("is Docker's 00000000a80425fb by default", () => {
    const bits = capabilitySet({}, NODE).reduce((sum, name) => sum + 2 ** (NUMBERS[name] ?? NaN), 0);
    expect(bits.toString(16)).toBe("a80425fb");
  });

  it("adds and drops, with and without CAP_, in any case", () => {
    const set = capabilitySet({ add: ["net_admin", "CAP_KILL"], drop: ["CAP_CHOWN", "MKNOD"] }, NODE);
    expect(set).toContain("CAP_NET_ADMIN");
    expect(set).not.toContain("CAP_CHOWN");
    expect(set).not.toContain("CAP_MKNOD");
    expect(set.filter((name) => name === "CAP_KILL")).toHaveLength(1);
    expect(set).toHaveLength(13);
  });

  it("knows ALL: dropped, only what is added is left; added, all but what is dropped; both, all", () => {
    expect(capabilitySet({ drop: ["ALL"] }, NODE)).toEqual([]);
    expect(capabilitySet({ drop: ["all"], add: ["NET_ADMIN"] }, NODE)).toEqual(["CAP_NET_ADMIN"]);
    const added = capabilitySet({ add: ["ALL"], drop: ["SYS_ADMIN"] }, NODE);
    expect(added).toHaveLength(40);
    expect(added).not.toContain("CAP_SYS_ADMIN");
    expect(capabilitySet({ add: ["ALL"], drop: ["ALL"] }, NODE)).toHaveLength(41);
  });

  it("gives a privileged container what kernel and node have, whatever is dropped", () => {
    expect(capabilitySet({ privileged: true, drop: ["ALL"] }, NODE)).toHaveLength(41);
    expect(capabilitySet({ privileged: true }, { capLastCap: 37 })).not.toContain("CAP_PERFMON");
    const withoutResource = { capLastCap: 40, capabilities: "000001fffeffffff" };
    expect(capabilitySet({ privileged: true }, withoutResource)).not.toContain("CAP_SYS_RESOURCE");
  });

  it("refuses what is no capability and what the node has not, naming the field", () => {
    expect(() => capabilitySet({ drop: ["KILL", "NOPE"] }, NODE)).toThrow(
      'spec.securityContext.capabilities.drop[1]: unknown capability "NOPE": give ALL or a name of capabilities(7)',
    );
    expect(() => capabilitySet({ add: ["BPF"] }, { capLastCap: 37 })).toThrow(
      'spec.securityContext.capabilities.add[0]: capability "BPF" is not available on this node',
    );
    expect(capabilitySet({ drop: ["BPF"] }, { capLastCap: 37 })).toHaveLength(14);
  });
});
