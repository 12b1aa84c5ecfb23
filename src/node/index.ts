// The host's side: commands, mounts, cgroups, safe paths and what there is to know of the node.
export { loadAppArmorProfile } from "./apparmor.ts";
export { BeneathError, openBeneath, pathOf } from "./beneath.ts";
export { claimDirectories } from "./claim.ts";
export type { ClaimOptions } from "./claim.ts";
export { limitCgroup } from "./cgroup-limits.ts";
export type { CgroupLimits, WrittenLimits } from "./cgroup-limits.ts";
export {
  cgroupDirectories,
  detectCgroups,
  findCgroups,
  oomKillCount,
  processesIn,
  removeCgroup,
  removeEmptyCgroups,
} from "./cgroups.ts";
export type { Cgroups } from "./cgroups.ts";
export { describeDisk, diskUse, formatBytes, hasTooManyFiles, isDiskFull } from "./disk.ts";
export type { DiskUse } from "./disk.ts";
export { errorCode, orMissing } from "./errno.ts";
export { deviceAt, deviceNumbers, devicesAt, hostDevices, kernelAtLeast, nodeFacts } from "./facts.ts";
export type { HostDevice, NodeFacts } from "./facts.ts";
export { makeFifos, openFifoReader, openFifoWriter } from "./fifo.ts";
export { podRoot, programLine } from "./image.ts";
export { isMounted, listMounts, mount, mountOf, mountsBelow, unmount, unmountBelow } from "./mounts.ts";
export type { Mount, MountRequest } from "./mounts.ts";
export { components, makeDirectories, resolveBelow } from "./paths.ts";
export { killProcess, processes, programOf } from "./processes.ts";
export { cgroupPathOf, isSlice, scopeName, sliceBelow, slicePath } from "./slices.ts";
export { CommandError, isCommandMissing, run } from "./run.ts";
export type { Output, RunOptions } from "./run.ts";
