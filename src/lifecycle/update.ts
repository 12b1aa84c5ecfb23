/** Changes of a spec that a container takes without being made anew. */
import { isDeepStrictEqual } from "node:util";
import type { Container, ContainerSpec } from "../api/index.ts";
import { packLinuxResources } from "../containerd/index.ts";
import { healthcheckOf, linuxResources, updatedResources } from "../oci/index.ts";
import type { Instance } from "./decide.ts";
import { at } from "./failure.ts";
import type { Parts } from "./parts.ts";

/**
 * Applies the fields that change in place: the resources go to the running task and into the runtime spec, the others
 * take effect where they are used next. The record then holds the spec as applied.
 *
 * @throws StartError when the resources can't be had
 */
export async function update(parts: Parts, instance: Instance, object: Container, spec: ContainerSpec): Promise<void> {
  const { record } = instance;
  const applied = { ...record.applied, spec, generation: object.metadata.generation };
  const { verdict, ...state } = record.state;
  // It was about this change, or an earlier one; whether a start then fails is seen anew.
  if (verdict !== undefined) await parts.records.saveState(record.id, state);
  await at("spec", () => healthcheckOf(spec, applied.image));
  const before = linuxResources(record.applied.spec, parts.facts);
  const after = linuxResources(spec, parts.facts);
  if (isDeepStrictEqual(before, after)) {
    await parts.records.saveApplied(record.id, applied);
    return;
  }
  await at("spec", () => updateTask(parts, instance, updatedResources(spec, parts.facts)));
  const runtimeSpec = await parts.records.spec(record.id);
  const linux = { ...runtimeSpec.linux, resources: { ...runtimeSpec.linux.resources, ...after } };
  await parts.records.saveApplied(record.id, applied, { ...runtimeSpec, linux });
}

async function updateTask(parts: Parts, { record, task }: Instance, resources: object): Promise<void> {
  if (task === undefined) return;
  await parts.containerd.tasks.update({ containerId: record.id, resources: packLinuxResources(resources) });
}
