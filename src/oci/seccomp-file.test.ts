import { describe, expect, it } from "@jest/globals";
import { readSeccomp } from "./seccomp-file.ts";
import type { SeccompFacts } from "./seccomp.ts";

const FACTS: SeccompFacts = { capabilities: ["CAP_SYS_CHROOT"], architecture: "amd64", kernel: { major: 6, minor: 1 } };
const ALLOW = "SCMP_ACT_ALLOW";

const read = (profile: unknown, facts: Partial<SeccompFacts> = {}) =>
  readSeccomp(JSON.stringify(profile), { ...FACTS, ...facts });
const rule = (more: object) => ({ defaultAction: "SCMP_ACT_ERRNO", syscalls: [{ action: ALLOW, ...more }] });

describe("readSeccomp", () => {
  it("takes the runtime spec's form as it is", () => {
    const profile = {
      defaultAction: "SCMP_ACT_ERRNO",
      defaultErrnoRet: 38,
      architectures: ["SCMP_ARCH_X86_64"],
      flags: ["SECCOMP_FILTER_FLAG_LOG"],
      syscalls: [
        {
          names: ["personality"],
          action: "SCMP_ACT_ERRNO",
          errnoRet: 1,
          args: [{ index: 0, value: 8, op: "SCMP_CMP_EQ" }],
        },
      ],
    };
    expect(read(profile)).toEqual(profile);
  });

  it("takes Docker's: one architecture of archMap, names by the piece, nulls for nothing", () => {
    const archMap = [
      { architecture: "SCMP_ARCH_AARCH64", subArchitectures: ["SCMP_ARCH_ARM"] },
      { architecture: "SCMP_ARCH_X86_64", subArchitectures: ["SCMP_ARCH_X86", "SCMP_ARCH_X32"] },
    ];
    const profile = { ...rule({ name: "read", args: null, comment: "", includes: {}, excludes: {} }), archMap };
    expect(read(profile)).toEqual({
      defaultAction: "SCMP_ACT_ERRNO",
      architectures: ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"],
      syscalls: [{ names: ["read"], action: ALLOW }],
    });
    expect(read(profile, { architecture: "s390x" }).architectures).toEqual([]);
  });

  it.each<[boolean, object]>([
    [true, { includes: { caps: ["CAP_SYS_CHROOT"] } }],
    [false, { includes: { caps: ["CAP_SYS_CHROOT", "CAP_SYS_ADMIN"] } }],
    [true, { includes: { arches: ["amd64", "x32"], minKernel: "6.1" } }],
    [false, { includes: { arches: ["arm64"] } }],
    [false, { includes: { minKernel: "6.2" } }],
    [true, { excludes: { caps: ["CAP_SYS_ADMIN"], arches: ["arm"], minKernel: "7.0" } }],
    [false, { excludes: { caps: ["CAP_SYS_ADMIN", "CAP_SYS_CHROOT"] } }],
    [false, { excludes: { arches: ["amd64"] } }],
    [false, { excludes: { minKernel: "4.8" } }],
  ])("keeps a rule (%s) by its conditions %j", (kept, conditions) => {
    expect(read(rule({ names: ["chroot"], ...conditions })).syscalls).toHaveLength(kept ? 1 : 0);
  });

  it.each<[unknown, string]>([
    [null, "must be an object"],
    [{}, "defaultAction: Required value"],
    [{ defaultAction: "ALLOW" }, 'defaultAction: Unsupported value: "ALLOW": supported values: "SCMP_ACT_KILL"'],
    [rule({ names: "read" }), 'syscalls[0].names: Invalid value: "read": must be a list'],
    [rule({}), "syscalls[0]: needs either a name or names"],
    [rule({ names: ["read"], args: [{ index: 0, value: 1, op: "EQ" }] }), "syscalls[0].args[0].op: Unsupported value"],
    [
      { defaultAction: ALLOW, architectures: [], archMap: [] },
      "architectures and archMap exclude each other: leave one of them out",
    ],
    [{ defaultAction: ALLOW, listenerPath: "/run/x" }, "listenerPath: unknown field"],
  ])("refuses %j", (profile, message) => {
    expect(() => read(profile)).toThrow(message);
  });

  it("refuses what is no JSON", () => {
    expect(() => readSeccomp("{", FACTS)).toThrow(SyntaxError);
  });
});
