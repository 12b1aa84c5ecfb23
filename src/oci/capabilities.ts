/** Linux capabilities of a container: Docker's default set, what the spec adds to it and takes from it. */
import { SpecError } from "./errors.ts";

/** All capabilities by number (capabilities(7), linux/capability.h). */
const NAMES: readonly string[] = `
  CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE NET_BIND_SERVICE
  NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO SYS_CHROOT SYS_PTRACE SYS_PACCT SYS_ADMIN
  SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE AUDIT_CONTROL SETFCAP MAC_OVERRIDE
  MAC_ADMIN SYSLOG WAKE_ALARM BLOCK_SUSPEND AUDIT_READ PERFMON BPF CHECKPOINT_RESTORE
`
  .trim()
  .split(/\s+/)
  .map((name) => `CAP_${name}`);

/** The capabilities a container has in Docker when nothing is said. */
const DEFAULTS: readonly string[] = `
  CHOWN DAC_OVERRIDE FSETID FOWNER MKNOD NET_RAW SETGID SETUID SETFCAP SETPCAP NET_BIND_SERVICE SYS_CHROOT KILL AUDIT_WRITE
`
  .trim()
  .split(/\s+/)
  .map((name) => `CAP_${name}`);

const ALL = "ALL";

export interface CapabilityWish {
  readonly add?: readonly string[] | undefined;
  readonly drop?: readonly string[] | undefined;
  readonly privileged?: boolean | undefined;
}

export interface CapabilityFacts {
  /** Number of the last capability the kernel knows. */
  readonly capLastCap: number;
  /** Capabilities that can be given at all: `CapBnd` of /proc/self/status (hexadecimal); all that the kernel knows when absent. */
  readonly capabilities?: string;
}

/**
 * The capabilities of a container, by Docker's rules: `ALL` added is all but those dropped, `ALL` dropped is just those
 * added, otherwise the default set with both applied. Names are taken with and without `CAP_`, in any case.
 *
 * @throws SpecError for a name that is no capability, or one that this node can't give
 */
export function capabilitySet({ add = [], drop = [], privileged }: CapabilityWish, facts: CapabilityFacts): string[] {
  const available = availableOn(facts);
  if (privileged === true) return available;
  const added = normalize(add, "spec.securityContext.capabilities.add", available);
  const dropped = normalize(drop, "spec.securityContext.capabilities.drop");
  if (added.includes(ALL)) return available.filter((name) => !dropped.includes(name));
  const basis = dropped.includes(ALL) ? [] : DEFAULTS.filter((name) => !dropped.includes(name));
  return [...new Set([...basis, ...added])];
}

function availableOn({ capLastCap, capabilities }: CapabilityFacts): string[] {
  const given = capabilities === undefined ? undefined : BigInt(`0x${capabilities}`);
  return NAMES.filter(
    (_, number) => number <= capLastCap && (given === undefined || (given >> BigInt(number)) % 2n === 1n),
  );
}

function normalize(names: readonly string[], field: string, available?: readonly string[]): string[] {
  return names.map((text, index) => {
    const upper = text.toUpperCase();
    if (upper === ALL) return ALL;
    const name = upper.startsWith("CAP_") ? upper : `CAP_${upper}`;
    if (!NAMES.includes(name)) {
      const valid = `give ALL or a name of capabilities(7), with or without CAP_, such as NET_ADMIN`;
      throw new SpecError(`${field}[${index}]`, `unknown capability "${text}": ${valid}`);
    }
    if (available?.includes(name) === false) {
      throw new SpecError(`${field}[${index}]`, `capability "${text}" is not available on this node`);
    }
    return name;
  });
}
