import { describe, expect, it } from "@jest/globals";
import { defaultSeccomp, type SeccompFacts } from "./seccomp.ts";

const FACTS: SeccompFacts = { capabilities: ["CAP_SYS_CHROOT"], architecture: "amd64", kernel: { major: 6, minor: 1 } };

/** What the filter says of a call: its rules, one line each. */
function verdictsOn(call: string, facts: Partial<SeccompFacts> = {}): string[] {
  return defaultSeccomp({ ...FACTS, ...facts })
    .syscalls.filter(({ names }) => names.includes(call))
    .map(({ action, errnoRet, args = [] }) =>
      [action.replace("SCMP_ACT_", ""), errnoRet, ...args.map(({ index, op, value }) => `${op} ${index} ${value}`)]
        .filter((part) => part !== undefined)
        .join(" "),
    );
}

describe("defaultSeccomp", () => {
  it("refuses with EPERM what it does not list", () => {
    expect(defaultSeccomp(FACTS)).toMatchObject({ defaultAction: "SCMP_ACT_ERRNO", defaultErrnoRet: 1 });
    expect(verdictsOn("kexec_load")).toEqual([]);
    expect(verdictsOn("read")).toEqual(["ALLOW"]);
  });

  it.each([
    ["amd64", ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"]],
    ["arm64", ["SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM"]],
    // The runtime adds its own.
    ["ppc64le", []],
  ])("covers the sub-architectures of %s", (architecture, expected) => {
    expect(defaultSeccomp({ ...FACTS, architecture }).architectures).toEqual(expected);
  });

  it("lets clone make no namespaces, and clone3 not be there, without CAP_SYS_ADMIN", () => {
    expect(verdictsOn("clone")).toEqual(["ALLOW SCMP_CMP_MASKED_EQ 0 2114060288"]);
    expect(verdictsOn("clone3")).toEqual(["ERRNO 38"]);
    expect(verdictsOn("mount")).toEqual([]);
  });

  it("lifts that with CAP_SYS_ADMIN", () => {
    const admin = { capabilities: ["CAP_SYS_ADMIN"] };
    expect(verdictsOn("clone", admin)).toEqual(["ALLOW"]);
    expect(verdictsOn("clone3", admin)).toEqual(["ALLOW"]);
    expect(verdictsOn("mount", admin)).toEqual(["ALLOW"]);
    expect(verdictsOn("chroot", admin)).toEqual([]);
  });

  it("depends on architecture and kernel", () => {
    expect(verdictsOn("arch_prctl")).toEqual(["ALLOW"]);
    expect(verdictsOn("arch_prctl", { architecture: "arm64" })).toEqual([]);
    expect(verdictsOn("clone", { architecture: "s390x" })).toEqual(["ALLOW SCMP_CMP_MASKED_EQ 1 2114060288"]);
    expect(verdictsOn("ptrace", { kernel: { major: 4, minor: 8 } })).toEqual(["ALLOW"]);
    expect(verdictsOn("ptrace", { kernel: { major: 4, minor: 7 } })).toEqual([]);
    expect(verdictsOn("ptrace", { kernel: { major: 5, minor: 0 } })).toEqual(["ALLOW"]);
  });
});
