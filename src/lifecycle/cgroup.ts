/** A container's cgroup: where it lies, and how it goes. */
import { posix } from "node:path";
import { isNotFound } from "../containerd/index.ts";
import {
  cgroupPathOf,
  errorCode,
  findCgroups,
  removeCgroup,
  removeEmptyCgroups,
  scopeName,
  sliceBelow,
} from "../node/index.ts";
import { SpecError } from "../oci/index.ts";
import { endLostTask } from "./lost-task.ts";
import type { Parts } from "./parts.ts";
import { type Applied, generationOf } from "./record.ts";

const isContainer = (name: string): boolean => generationOf(name) > 0;

/** With which the names of systemd's units for containers begin. */
const UNIT_PREFIX = "berth";

/**
 * Where the cgroup of a container to be made will lie, as in the runtime spec's `cgroupsPath`: a path, or a unit of systemd's
 * for a runtime that leaves cgroups to that.
 * @throws SpecError for a `cgroupParent` that is not below the agent's own root, or is another container's cgroup
 */
export function cgroupsPath(
  { cgroupRoot }: Pick<Parts, "cgroupRoot">,
  id: string,
  spec: Applied["spec"],
  bySystemd = false,
): string {
  const parent = spec.cgroupParent ?? "";
  const names = parent.split("/");
  if (names.includes("..") || parent.startsWith("/")) {
    throw new SpecError("spec.cgroupParent", `"${parent}" must be a relative path without '..'`);
  }
  if (names.some(isContainer)) {
    throw new SpecError("spec.cgroupParent", `"${parent}" is the cgroup of a container: name one of its own`);
  }
  return bySystemd ? `${sliceBelow(cgroupRoot, parent)}:${UNIT_PREFIX}:${id}` : posix.join(cgroupRoot, parent, id);
}

/**
 * Where the cgroup of a container with a record lies. The runtime spec says it: the agent may have been started with
 * another root since, and the spec applied may be a newer one.
 */
export async function recordedCgroup(parts: Parts, id: string): Promise<string> {
  return cgroupPathOf((await parts.records.spec(id)).linux.cgroupsPath);
}

/**
 * Removes what is left of a container's cgroup, and the `cgroupParent` that it was the last one in. The container has no
 * task any more: whoever is still in there has been lost, and is ended.
 */
export async function removeCgroups(parts: Parts, id: string): Promise<void> {
  const { cgroups, cgroupRoot } = parts;
  for (const path of await cgroupsOf(parts, id)) {
    await removeCgroup(cgroups, path).catch(async (error: unknown) => {
      if (errorCode(error) !== "EBUSY") throw error;
      await endLostTask(parts, id, path);
      await removeCgroup(cgroups, path);
    });
    // systemd removes its own.
    if (!path.endsWith(".scope")) await removeEmptyCgroups(cgroups, path, cgroupRoot);
  }
}

async function cgroupsOf(parts: Parts, id: string): Promise<string[]> {
  try {
    return [await recordedCgroup(parts, id)];
  } catch (error) {
    if (!isNotFound(error)) throw error;
    // No record: a failed undo has left it.
    const names = [id, scopeName(UNIT_PREFIX, id)];
    const found = names.map((name) => findCgroups(parts.cgroups, parts.cgroupRoot, name, isContainer));
    return (await Promise.all(found)).flat();
  }
}
