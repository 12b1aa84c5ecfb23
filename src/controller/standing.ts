/**
 * How a node's agent stands: a pure function of what was seen of its Lease and its Node, and for how long.
 *
 * No clock but this process's own is asked: an agent lives as long as its Lease is seen to change. What an agent that
 * lives says counts, whatever is said of its Node; the controller then says nothing.
 *
 * Who may be given up, so that the finalizers of what ran there are released:
 * - A Lease that was not renewed proves nothing: the machine may run on behind a broken network.
 * - A Node that was deleted, while the agent is silent, is gone: the cloud's controller or a person has said so. It must
 *   have been there: a machine outside of the cluster has no Node, and never had. That it was, is noted in the Lease.
 * - A Lease that is not there is a person's word, too: agents leave theirs when they end, and a live one makes it anew.
 */

/** What is known of a Node object. */
export type NodeFacts =
  /** The Nodes are not known (yet). */
  | "unknown"
  | { readonly missingSince: number }
  | { readonly uid: string; /** As the Node tells, when it is not Ready. */ readonly notReadySince?: string };

/** What is known of an agent's Lease. */
export type LeaseFacts =
  | {
      readonly missingSince: number;
      /** When the agent last contradicted that there is none. */
      readonly contradictedAt?: number;
    }
  | {
      /** When it was last seen to change, or first seen, or its agent contradicted that it is silent. */
      readonly heardAt: number;
      readonly durationMs: number;
      /** In its holder's words. */
      readonly renewTime?: string;
      /** Its Node has been seen. */
      readonly hadNode: boolean;
    };

/** What was seen of a node. All times are milliseconds of one clock that only goes while the API server is followed. */
export interface Facts {
  readonly lease: LeaseFacts;
  readonly node: NodeFacts;
}

/** How a node's agent stands. */
export type Standing =
  /** Too early to tell. */
  | { readonly kind: "undecided" }
  | { readonly kind: "alive" }
  /** Its Lease is not renewed. */
  | { readonly kind: "silent"; readonly renewTime?: string; readonly notReadySince?: string; readonly hasNode: boolean }
  /** Its Lease is not renewed, and its Node was deleted. */
  | { readonly kind: "gone"; readonly renewTime?: string }
  /** It has no Lease. */
  | { readonly kind: "none"; readonly hasNode: boolean; readonly givenUp: boolean };

/** How long something must be so, milliseconds. */
export interface Patience {
  /** No agent, until its Containers say so. */
  readonly noAgentMs: number;
  /** No agent, or no Node any more, until the node is given up. */
  readonly graceMs: number;
}

/**
 * An agent that may have no Lease, but lives. It can't be told from one that is gone but by what it writes, which on a
 * quiet node is nothing.
 */
const WITHOUT_LEASE_MS = 60 * 60_000;

/** The standing now, and when it is to be asked again if nothing is heard until then. */
export function standingOf(facts: Facts, now: number, patience: Patience): { standing: Standing; next?: number } {
  const { lease, node } = facts;
  const hasNode = node !== "unknown" && "uid" in node;
  if ("missingSince" in lease) {
    const { contradictedAt } = lease;
    const trusted = contradictedAt === undefined ? -Infinity : contradictedAt + WITHOUT_LEASE_MS;
    if (now < trusted) return { standing: { kind: "alive" }, next: trusted };
    const since = Math.max(lease.missingSince, trusted);
    const [told, givenUp] = [since + patience.noAgentMs, since + patience.graceMs];
    if (now < told) return { standing: { kind: "undecided" }, next: told };
    if (now < givenUp) return { standing: { kind: "none", hasNode, givenUp: false }, next: givenUp };
    return { standing: { kind: "none", hasNode, givenUp: true } };
  }
  const notReadySince = node !== "unknown" && "uid" in node ? node.notReadySince : undefined;
  // Where the kubelet is silent, too, one renewal that is missed is enough.
  const durationMs = notReadySince === undefined ? lease.durationMs : lease.durationMs / 2;
  const end = lease.heardAt + durationMs;
  if (now < end) return { standing: { kind: "alive" }, next: end };
  const renewTime = lease.renewTime === undefined ? {} : { renewTime: lease.renewTime };
  const wasDeleted = lease.hadNode && node !== "unknown" && "missingSince" in node;
  const silent = {
    kind: "silent",
    ...renewTime,
    ...(notReadySince === undefined ? {} : { notReadySince }),
    hasNode,
  } as const;
  if (!wasDeleted) return { standing: silent };
  const gone = node.missingSince + patience.graceMs;
  return now < gone ? { standing: silent, next: gone } : { standing: { kind: "gone", ...renewTime } };
}

/** Whether what ran there is given up: finalizers are released. */
export function isGivenUp(standing: Standing): boolean {
  return standing.kind === "gone" || (standing.kind === "none" && standing.givenUp);
}
