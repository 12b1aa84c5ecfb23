/** `resources` and `pidsLimit` as cgroup settings: Docker's numbers, and core/v1's where Docker has none. */
import { type ContainerSpec, parseQuantity } from "../api/index.ts";
import { SpecError } from "./errors.ts";
import type { OciLinuxResources } from "./types.ts";

/** The length of a CPU accounting period, and the least quota the kernel takes of it, in microseconds. */
const CPU_PERIOD_US = 100_000;
const MIN_CPU_QUOTA_US = 1000;
/** core/v1's conversion of a CPU request, and the kernel's bounds of cpu.shares. */
const SHARES_PER_CPU = 1024;
const MIN_SHARES = 2;
const MAX_SHARES = 262_144;
/** Docker refuses less: the runtime's own start needs it. */
const MIN_MEMORY_BYTES = 6 * 1024 * 1024;
const UNLIMITED = -1;

/** What of the node decides how resources are written. */
export interface ResourceFacts {
  readonly cgroupVersion: 1 | 2;
  /** The kernel accounts for swap, so that memory and swap together can be limited. */
  readonly swapLimit?: boolean;
}

type ResourceSpec = Pick<ContainerSpec, "resources" | "pidsLimit">;

/** CPUs and bytes. */
interface Amounts {
  readonly cpuLimit: number | undefined;
  readonly cpuRequest: number | undefined;
  readonly memoryLimit: number | undefined;
  readonly memoryRequest: number | undefined;
}

/**
 * The resources of a container to be made. A limit of memory M comes with one of 2 × M for memory and swap together, which
 * is Docker's default (core/v1 has no word for swap); a request of memory is the soft limit, and one of CPU the share,
 * where a limit alone is the request too (core/v1's rule; not for memory, which would then never be reclaimed on cgroup
 * v2). What is not wished is left out.
 *
 * @throws SpecError when a limit is below its request, or memory below 6 MiB (Docker's minimum)
 */
export function linuxResources(spec: ResourceSpec, facts: ResourceFacts): OciLinuxResources {
  const { cpuLimit, cpuRequest = cpuLimit, memoryLimit, memoryRequest } = amounts(spec);
  const cpu = {
    ...(cpuRequest === undefined ? {} : { shares: shares(cpuRequest) }),
    ...(cpuLimit === undefined ? {} : { quota: quota(cpuLimit), period: CPU_PERIOD_US }),
  };
  const memory = {
    ...(memoryLimit === undefined ? {} : { limit: memoryLimit }),
    ...(memoryRequest === undefined ? {} : { reservation: memoryRequest }),
    ...(memoryLimit === undefined || facts.swapLimit !== true ? {} : { swap: 2 * memoryLimit }),
  };
  const pids = pidsLimit(spec);
  return {
    ...(Object.keys(memory).length > 0 ? { memory } : {}),
    ...(Object.keys(cpu).length > 0 ? { cpu } : {}),
    ...(pids === undefined ? {} : { pids: { limit: pids } }),
  };
}

/**
 * The resources to update a running container with. What is not wished is set to "no limit", or an earlier wish would
 * stay. Memory and swap always go together: the kernel refuses a memory limit above the limit of both, and the runtime
 * picks the right order when it has both.
 *
 * @throws SpecError as {@link linuxResources}
 */
export function updatedResources(spec: ResourceSpec, facts: ResourceFacts): OciLinuxResources {
  const { memory = {}, cpu = {}, pids } = linuxResources(spec, facts);
  const unified = facts.cgroupVersion === 2 ? unifiedDefaults(memory, cpu) : {};
  return {
    memory: {
      limit: memory.limit ?? UNLIMITED,
      ...(memory.limit !== undefined && memory.swap === undefined ? {} : { swap: memory.swap ?? UNLIMITED }),
      ...(memory.reservation === undefined && facts.cgroupVersion === 2
        ? {}
        : { reservation: memory.reservation ?? UNLIMITED }),
    },
    cpu: {
      ...(cpu.shares === undefined && facts.cgroupVersion === 2 ? {} : { shares: cpu.shares ?? SHARES_PER_CPU }),
      quota: cpu.quota ?? UNLIMITED,
      period: cpu.period ?? CPU_PERIOD_US,
    },
    pids: { limit: pids?.limit ?? UNLIMITED },
    ...(Object.keys(unified).length > 0 ? { unified } : {}),
  };
}

// On v2 the runtime turns "no reservation" into an endless one, and the default shares into less than the default weight:
// the files themselves have to be named.
function unifiedDefaults(
  memory: NonNullable<OciLinuxResources["memory"]>,
  cpu: NonNullable<OciLinuxResources["cpu"]>,
): Record<string, string> {
  return {
    ...(memory.reservation === undefined ? { "memory.low": "0" } : {}),
    ...(cpu.shares === undefined ? { "cpu.weight": "100" } : {}),
  };
}

/** What a container asks for, in whole units. */
export interface Requests {
  /** Thousandths of a CPU. */
  readonly milliCPU: number;
  readonly memoryBytes: number;
}

/**
 * What a container asks for of its node's room. A limit alone is the request, too (core/v1's rule, for memory also); what is
 * not wished counts 0. CPUs are counted in thousandths, rounded up, as the scheduler does.
 *
 * @throws SpecError as {@link linuxResources}
 */
export function requestsOf(spec: ResourceSpec): Requests {
  const { cpuLimit, cpuRequest = cpuLimit ?? 0, memoryLimit, memoryRequest = memoryLimit ?? 0 } = amounts(spec);
  return { milliCPU: Math.ceil(nanoCPUs(cpuRequest) / 1e6), memoryBytes: memoryRequest };
}

function amounts({ resources }: ResourceSpec): Amounts {
  const found: Amounts = {
    cpuLimit: quantity(resources?.limits?.cpu, "spec.resources.limits.cpu"),
    cpuRequest: quantity(resources?.requests?.cpu, "spec.resources.requests.cpu"),
    memoryLimit: wholeBytes(quantity(resources?.limits?.memory, "spec.resources.limits.memory")),
    memoryRequest: wholeBytes(quantity(resources?.requests?.memory, "spec.resources.requests.memory")),
  };
  checkOrder(resources, "cpu", found.cpuRequest, found.cpuLimit);
  checkOrder(resources, "memory", found.memoryRequest, found.memoryLimit);
  checkMemory("spec.resources.limits.memory", found.memoryLimit);
  checkMemory("spec.resources.requests.memory", found.memoryRequest);
  return found;
}

/** A quantity's value; 0 counts as not set, as in Docker. */
function quantity(value: string | number | undefined, field: string): number | undefined {
  if (value === undefined) return undefined;
  let amount: number;
  try {
    amount = parseQuantity(value);
  } catch (error) {
    throw new SpecError(field, error instanceof Error ? error.message : String(error), { cause: error });
  }
  if (amount < 0) throw new SpecError(field, `${value} is negative`);
  return amount === 0 ? undefined : amount;
}

function wholeBytes(amount: number | undefined): number | undefined {
  return amount === undefined ? undefined : Math.ceil(amount);
}

function checkOrder(
  written: ContainerSpec["resources"],
  resource: "cpu" | "memory",
  request = 0,
  limit = Number.POSITIVE_INFINITY,
): void {
  if (request <= limit) return;
  throw new SpecError(
    `spec.resources.requests.${resource}`,
    `${written?.requests?.[resource] ?? request} is more than spec.resources.limits.${resource} ` +
      `(${written?.limits?.[resource] ?? limit}): lower the one or raise the other`,
  );
}

function checkMemory(field: string, bytes: number | undefined): void {
  if (bytes === undefined || bytes >= MIN_MEMORY_BYTES) return;
  throw new SpecError(field, `${bytes} bytes are too few: give at least 6Mi`);
}

function shares(cpus: number): number {
  return Math.min(Math.max(Math.floor((nanoCPUs(cpus) * SHARES_PER_CPU) / 1e9), MIN_SHARES), MAX_SHARES);
}

function quota(cpus: number): number {
  return Math.max(Math.floor((nanoCPUs(cpus) * CPU_PERIOD_US) / 1e9), MIN_CPU_QUOTA_US);
}

// Whole numbers, as Docker counts: 0.29 × 100 000 is less than 29 000 in floating point.
function nanoCPUs(cpus: number): number {
  return Math.round(cpus * 1e9);
}

/** Docker takes 0 and less for "no limit". */
function pidsLimit({ pidsLimit: limit }: ResourceSpec): number | undefined {
  if (limit === undefined) return undefined;
  return limit > 0 ? limit : UNLIMITED;
}
