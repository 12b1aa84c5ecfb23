import type { Any } from "@bufbuild/protobuf/wkt";
import { packMessage } from "./any.ts";
import { CheckpointOptionsSchema, OptionsSchema } from "./proto/runc_pb.ts";

/** Options of the runtime `io.containerd.runc.v2`, under the names they have in containerd's own configuration. */
export interface RuntimeOptions {
  /** The OCI runtime's binary, `runc` when absent. */
  readonly BinaryName?: string;
  /** Folder of the OCI runtime's state. */
  readonly Root?: string;
  readonly SystemdCgroup?: boolean;
  /** Start from the checkpoint in this folder; for `Tasks.Create` only. */
  readonly CriuImagePath?: string;
  /** Folder for CRIU's log of a restore; it must exist. For `Tasks.Create` only. */
  readonly CriuWorkPath?: string;
}

/** What a checkpoint is to hold. */
export interface CheckpointOptions {
  /** Folder for CRIU's images; it must exist. */
  readonly imagePath: string;
  readonly openTcp?: boolean;
  readonly fileLocks?: boolean;
  /** Folder for CRIU's log; it must exist. */
  readonly workPath?: string;
}

/**
 * Runtime options for `runtime.options` of a container's record and `options` of `Tasks.Create`. Options given to Create
 * replace the record's, so those of a restore must repeat the others.
 */
export function packRuntimeOptions(options: RuntimeOptions): Any {
  return packMessage(OptionsSchema, {
    binaryName: options.BinaryName ?? "",
    root: options.Root ?? "",
    systemdCgroup: options.SystemdCgroup ?? false,
    criuImagePath: options.CriuImagePath ?? "",
    criuWorkPath: options.CriuWorkPath ?? "",
  });
}

/** Options of `Tasks.Checkpoint`. */
export function packCheckpointOptions(options: CheckpointOptions): Any {
  return packMessage(CheckpointOptionsSchema, {
    imagePath: options.imagePath,
    workPath: options.workPath ?? "",
    openTcp: options.openTcp ?? false,
    fileLocks: options.fileLocks ?? false,
  });
}
