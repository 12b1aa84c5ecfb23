// What every kind of volume has in common: a source in the spec, and a directory or file on the node that is bound into
// the container.
import { join } from "node:path";
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

/** Docker's options of a bind mount: with all that is mounted below the source, and separate from then on. */
export function bindMount(source: string, destination: string, readOnly: boolean): BindMount {
  return { destination, type: "bind", source, options: ["rbind", readOnly ? "ro" : "rw", "rprivate"] };
}
