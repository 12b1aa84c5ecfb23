/** The names under which Kubernetes knows Berth's resources. */

/** The group of Berth's resources. */
export const GROUP = "berth.dev";
/** The version of Berth's resources. */
export const VERSION = "v1alpha1";
/** `apiVersion` of Berth's objects. */
export const API_VERSION = `${GROUP}/${VERSION}` as const;
/** Keeps a deleted object until its agent has removed what it owned on the node. */
export const FINALIZER = "berth.dev/cleanup";
/** The annotation whose every new value restarts the container in place. */
export const RESTARTED_AT = "berth.dev/restartedAt";
/**
 * Reasons of a status that `berth controller` has written for an agent that can't: nothing answers for what it says, and the
 * agent writes its own over it when it is back.
 */
export const MARK_REASONS = ["AgentUnreachable", "NodeNotReady", "NodeGone", "NoAgent"] as const;
