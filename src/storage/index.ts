// A container's storage: its root filesystem, its volumes and the files written for it.
export { VolumeError } from "./errors.ts";
export { fileSources, filesOf } from "./file-set.ts";
export type { FileObject, FileSet, FileSource } from "./file-set.ts";
export { writeInPlace } from "./files.ts";
export { NamedVolumeError, NamedVolumes } from "./named.ts";
export type { NamedVolume, VolumeUser } from "./named.ts";
export { RootFilesystem } from "./rootfs.ts";
export type { RootFilesystemOptions } from "./rootfs.ts";
export type { SnapshotMount } from "./snapshot-mounts.ts";
export type { BindMount } from "./volume.ts";
export { Volumes } from "./volumes.ts";
export type { Preparation, VolumesOptions, VolumeWish } from "./volumes.ts";
