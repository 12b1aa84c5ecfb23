// What every kind of volume has in common: a source in the spec, and a directory or file on the node that is bound into
// the container.
import { join } from "node:path";
import type { VolumeMount } from "../api/index.ts";
import type { SnapshotMount } from "./snapshot-mounts.ts";

/** A bind mount of the runtime spec. */
export type BindMount = { destination: string; type: "bind"; source: string; options: string[] };

/** What a source needs to know to prepare one volume of one container. */
export type VolumeContext = {
  id: string;
  stateDir: string;
  dataDir: string;
  rootfs: readonly SnapshotMount[];
};

/** A container's directory for what survives a reboot. */
export function dataDirectory({ dataDir, id }: Pick<VolumeContext, "dataDir" | "id">): string {
  return join(dataDir, "containers", id);
}

/** A container's directory for what a reboot clears. */
export function stateDirectory({ stateDir, id }: Pick<VolumeContext, "stateDir" | "id">): string {
  return join(stateDir, "containers", id);
}

/** How a source is mounted; Docker's defaults for what is absent. */
export type BindOptions = {
  readOnly?: boolean;
  /** The runtime and the kernel can make what is mounted below the source read-only, too. */
  recursiveReadOnly?: boolean;
  propagation?: VolumeMount["mountPropagation"];
};

const PROPAGATION = { None: "rprivate", HostToContainer: "rslave", Bidirectional: "rshared" } as const;

/** Docker's options of a bind mount: with all that is mounted below the source, and separate from then on. */
export function bindMount(source: string, destination: string, options: BindOptions = {}): BindMount {
  const { readOnly = false, recursiveReadOnly = false, propagation = "None" } = options;
  // A runtime that does not know "rro" still makes the mount itself read-only.
  const access = readOnly ? ["ro", ...(recursiveReadOnly ? ["rro"] : [])] : ["rw"];
  return { destination, type: "bind", source, options: ["rbind", ...access, PROPAGATION[propagation]] };
}
