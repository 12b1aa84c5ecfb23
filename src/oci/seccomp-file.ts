/**
 * A seccomp profile of the node's own, in Docker's format: the runtime spec's, and beside it `archMap` and the conditions
 * `includes` and `excludes`, which are decided here.
 */
import { type Static, Type } from "typebox";
import { asNode, check } from "../api/index.ts";
import type { SeccompFacts } from "./seccomp.ts";
import type { OciSeccomp, OciSyscall } from "./types.ts";

// Words of the runtime spec (config-linux.md, "Seccomp"). SCMP_ACT_NOTIFY is left out: nobody would answer.
const word = (prefix: string, words: string) => {
  const values = words.split(" ").map((name) => `${prefix}${name}`);
  return Type.Unsafe<string>({ type: "string", enum: values });
};
const ACTION = word("SCMP_ACT_", "KILL KILL_PROCESS KILL_THREAD TRAP ERRNO TRACE ALLOW LOG");
const OPERATOR = word("SCMP_CMP_", "NE LT LE EQ GE GT MASKED_EQ");
const FLAG = word("SECCOMP_FILTER_FLAG_", "TSYNC LOG SPEC_ALLOW WAIT_KILLABLE_RECV");
const ARCHITECTURE = word(
  "SCMP_ARCH_",
  "X86 X86_64 X32 ARM AARCH64 MIPS MIPS64 MIPS64N32 MIPSEL MIPSEL64 MIPSEL64N32 PPC PPC64 PPC64LE S390 S390X PARISC PARISC64 RISCV64 LOONGARCH64 M68K SH SHEB",
);

/** The seccomp name of each architecture, by its name in OCI images. */
const NATIVE: Readonly<Record<string, string>> = {
  "386": "X86",
  amd64: "X86_64",
  arm: "ARM",
  arm64: "AARCH64",
  loong64: "LOONGARCH64",
  mips64le: "MIPSEL64",
  ppc64le: "PPC64LE",
  riscv64: "RISCV64",
  s390x: "S390X",
};

const NUMBER = Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER });
const CONDITION = Type.Object({
  caps: Type.Optional(Type.Array(Type.String())),
  arches: Type.Optional(Type.Array(Type.String())),
  minKernel: Type.Optional(Type.String({ pattern: "^\\d+\\.\\d+$" })),
});
const RULE = Type.Object({
  name: Type.Optional(Type.String()),
  names: Type.Optional(Type.Array(Type.String())),
  action: ACTION,
  errnoRet: Type.Optional(NUMBER),
  args: Type.Optional(
    Type.Array(Type.Object({ index: NUMBER, value: NUMBER, valueTwo: Type.Optional(NUMBER), op: OPERATOR })),
  ),
  comment: Type.Optional(Type.String()),
  includes: Type.Optional(CONDITION),
  excludes: Type.Optional(CONDITION),
});
const PROFILE = Type.Object({
  defaultAction: ACTION,
  defaultErrnoRet: Type.Optional(NUMBER),
  architectures: Type.Optional(Type.Array(ARCHITECTURE)),
  archMap: Type.Optional(
    Type.Array(Type.Object({ architecture: ARCHITECTURE, subArchitectures: Type.Optional(Type.Array(ARCHITECTURE)) })),
  ),
  flags: Type.Optional(Type.Array(FLAG)),
  syscalls: Type.Optional(Type.Array(RULE)),
});
type Profile = Static<typeof PROFILE>;
type Rule = Static<typeof RULE>;
type Condition = Static<typeof CONDITION>;

/**
 * Reads a profile and keeps the rules that hold for a container.
 *
 * @throws Error saying what of the text is wrong
 */
export function readSeccomp(text: string, facts: SeccompFacts): OciSeccomp {
  const profile = parse(text);
  return {
    defaultAction: profile.defaultAction,
    ...(profile.defaultErrnoRet === undefined ? {} : { defaultErrnoRet: profile.defaultErrnoRet }),
    architectures: architectures(profile, facts),
    ...(profile.flags === undefined ? {} : { flags: profile.flags }),
    syscalls: (profile.syscalls ?? []).filter((rule) => holds(rule, facts)).map(syscall),
  };
}

function parse(text: string): Profile {
  // An empty list is often written as null.
  const content: unknown = JSON.parse(text, (_, value: unknown) => value ?? undefined);
  const [error] = check(asNode(PROFILE), content ?? null, "");
  if (error !== undefined) throw new Error(`${error.field === "" ? "" : `${error.field}: `}${error.message}`);
  const profile = content as Profile;
  if (profile.architectures !== undefined && profile.archMap !== undefined) {
    throw new Error("architectures and archMap exclude each other: leave one of them out");
  }
  const rule = profile.syscalls?.findIndex(({ name, names }) => (name === undefined) === (names === undefined)) ?? -1;
  if (rule >= 0) throw new Error(`syscalls[${rule}]: needs either a name or names`);
  return profile;
}

function architectures({ architectures: plain, archMap = [] }: Profile, { architecture }: SeccompFacts): string[] {
  if (plain !== undefined) return plain;
  const own = archMap.find((entry) => entry.architecture === `SCMP_ARCH_${NATIVE[architecture] ?? ""}`);
  return own === undefined ? [] : [own.architecture, ...(own.subArchitectures ?? [])];
}

// Docker's rules: of excludes, one that matches is enough; of includes, each must (of the architectures, one).
function holds({ includes = {}, excludes = {} }: Rule, facts: SeccompFacts): boolean {
  const { capabilities, architecture } = facts;
  const excluded =
    excludes.arches?.includes(architecture) === true ||
    excludes.caps?.some((name) => capabilities.includes(name)) === true ||
    (excludes.minKernel !== undefined && isAtLeast(excludes, facts));
  if (excluded) return false;
  const { arches = [], caps = [] } = includes;
  const here = arches.length === 0 || arches.includes(architecture);
  return here && caps.every((name) => capabilities.includes(name)) && isAtLeast(includes, facts);
}

function isAtLeast({ minKernel = "0.0" }: Condition, { kernel }: SeccompFacts): boolean {
  const [major = 0, minor = 0] = minKernel.split(".").map(Number);
  return kernel.major > major || (kernel.major === major && kernel.minor >= minor);
}

function syscall({ name, names, action, errnoRet, args = [] }: Rule): OciSyscall {
  return {
    names: names ?? (name === undefined ? [] : [name]),
    action,
    ...(errnoRet === undefined ? {} : { errnoRet }),
    ...(args.length === 0 ? {} : { args }),
  };
}
