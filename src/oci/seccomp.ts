/** The seccomp filter a container runs under: Docker's default profile for its capabilities, machine and kernel. */
import type { NodeFacts } from "../node/index.ts";
import { ARCHITECTURES, RULES, type SeccompRule } from "./seccomp-profile.ts";
import type { OciSeccomp, OciSyscall } from "./types.ts";

const EPERM = 1;

/** What decides which rules of the profile hold. */
export interface SeccompFacts {
  /** The container's bounding set, `CAP_…`. */
  readonly capabilities: readonly string[];
  /** As in OCI images, `amd64`. */
  readonly architecture: string;
  readonly kernel: Pick<NodeFacts["kernel"], "major" | "minor">;
}

/**
 * Docker's default profile as the runtime takes it. Names of system calls that a node's libseccomp does not know are in
 * it too: runtimes leave those out.
 */
export function defaultSeccomp(facts: SeccompFacts): OciSeccomp {
  return {
    defaultAction: "SCMP_ACT_ERRNO",
    defaultErrnoRet: EPERM,
    architectures: (ARCHITECTURES[facts.architecture] ?? []).map((name) => `SCMP_ARCH_${name}`),
    syscalls: COMPILED.filter(({ rule }) => holds(rule, facts)).map(({ syscall }) => syscall),
  };
}

function holds(rule: SeccompRule, { capabilities, architecture, kernel }: SeccompFacts): boolean {
  if (rule.capability !== undefined && !capabilities.includes(rule.capability)) return false;
  if (rule.withoutCapability !== undefined && capabilities.includes(rule.withoutCapability)) return false;
  if (rule.architectures !== undefined && !rule.architectures.includes(architecture)) return false;
  if (rule.exceptArchitectures?.includes(architecture) === true) return false;
  if (rule.minKernel === undefined) return true;
  const [major, minor] = rule.minKernel;
  return kernel.major > major || (kernel.major === major && kernel.minor >= minor);
}

function compile({ calls, errno, arg }: SeccompRule): OciSyscall {
  const names = calls.trim().split(/\s+/);
  const action = errno === undefined ? { action: "SCMP_ACT_ALLOW" } : { action: "SCMP_ACT_ERRNO", errnoRet: errno };
  if (arg === undefined) return { names, ...action };
  const [index, op, value, valueTwo] = arg;
  const args = [{ index, value, ...(valueTwo === undefined ? {} : { valueTwo }), op: `SCMP_CMP_${op}` }];
  return { names, ...action, args };
}

/** As the runtime takes them: the same objects for every container. */
const COMPILED = RULES.map((rule) => ({ rule, syscall: compile(rule) }));
