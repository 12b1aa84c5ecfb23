/** A container's status from the node's own records: what the agent writes when the API server is there. */
import { API_VERSION, type ContainerStatus } from "../api/index.ts";
import { type Instance, recordedWish } from "../lifecycle/decide.ts";
import { statusOf } from "../lifecycle/status.ts";
import { type Attachment, Network } from "../network/index.ts";
import { pino } from "pino";
import type { ThisNode } from "./node.ts";

/** A container's attachment to its network; undefined when it has none. */
export async function networkOf({ config }: ThisNode, { record }: Instance): Promise<Attachment | undefined> {
  if (record.state.holdsNetwork !== true) return undefined;
  return new Network({ ...config, logger: pino({ level: "silent" }) }).status(record.id);
}

/** The status of a container, as far as its record and its task tell it. */
export function statusOnNode(instance: Instance, network: Attachment | undefined, now: Date): ContainerStatus {
  const { namespace, name, uid, generation, spec } = instance.record.applied;
  const { waiting } = instance.record.state;
  const observed = { current: instance, leftovers: [] };
  return statusOf({
    object: {
      apiVersion: API_VERSION,
      kind: "Container",
      metadata: { namespace, name, uid, generation, resourceVersion: "" },
      spec,
    },
    desired: recordedWish(observed),
    observed,
    nodeName: spec.nodeName,
    now,
    ...(network === undefined ? {} : { network }),
    ...(waiting === undefined ? {} : { waiting }),
  });
}
