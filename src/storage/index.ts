// A container's storage: its root filesystem, its volumes and the files written for it.
export { VolumeError } from "./errors.ts";
export { writeInPlace } from "./files.ts";
export { RootFilesystem } from "./rootfs.ts";
export type { RootFilesystemOptions } from "./rootfs.ts";
export type { SnapshotMount } from "./snapshot-mounts.ts";
export type { BindMount } from "./volume.ts";
export { Volumes } from "./volumes.ts";
export type { VolumesOptions, VolumeWish } from "./volumes.ts";
