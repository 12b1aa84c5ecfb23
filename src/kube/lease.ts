/** coordination.k8s.io Leases, as far as agents and controller read and write them. */
import type { KubeObject } from "./object.ts";

/** A Lease's spec. Its times are the holder's own and are compared with nobody's. */
export type LeaseSpec = {
  holderIdentity?: string;
  leaseDurationSeconds?: number;
  acquireTime?: string;
  renewTime?: string;
  leaseTransitions?: number;
};

/** A Lease. */
export type Lease = KubeObject & { spec?: LeaseSpec };

const NODE_PREFIX = "berth-";

/** The name of the Lease by which a node's agent shows that it lives. */
export function nodeLeaseName(nodeName: string): string {
  return NODE_PREFIX + nodeName;
}

/** The node whose agent's Lease has this name; undefined when it is another Lease. */
export function nodeOfLease(name: string): string | undefined {
  return name.startsWith(NODE_PREFIX) ? name.slice(NODE_PREFIX.length) : undefined;
}

/** A metav1.MicroTime of milliseconds since the epoch. */
export function microTime(ms: number): string {
  return new Date(ms).toISOString().replace("Z", "000Z");
}
