// mountPropagation: the kernel passes mounts on only between shared mounts, so the source must lie on one (Docker's rule).
import { realpath } from "node:fs/promises";
import type { VolumeMount } from "../api/index.ts";
import { mountOf } from "../node/index.ts";
import { VolumeError } from "./errors.ts";

/**
 * Checks that mounts below a source can be passed on as a volumeMount wants.
 *
 * @throws VolumeError naming the field, the mount at fault and what makes it right
 */
export async function checkPropagation(
  { name, mountPropagation = "None" }: VolumeMount,
  index: number,
  source: string,
): Promise<void> {
  if (mountPropagation === "None") return;
  const mount = await mountOf(await realpath(source));
  const wanted = mountPropagation === "Bidirectional" ? ["shared"] : ["shared", "slave"];
  if (mount === undefined || mount.propagation.some((each) => wanted.includes(each))) return;
  throw new VolumeError(
    name,
    `spec.volumeMounts[${index}].mountPropagation ${mountPropagation}: ${source} is mounted on ${mount.mountPoint}, ` +
      `but that is not a ${wanted.join(" or ")} mount: "mount --make-rshared ${mount.mountPoint}" on the node makes it one`,
  );
}
