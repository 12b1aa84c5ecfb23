/**
 * The API server's side: requests, a cache that follows a collection, the queue of keys to reconcile, and what an agent
 * writes beside its status (Events, its node's Lease). Knows Kubernetes' manners, not what a Container is.
 */
export { KubeApi } from "./api.ts";
export type { ObjectList, Query, RequestObserver, RequestOptions, Verb, WatchEnd, WatchEvent } from "./api.ts";
export type { Backoff } from "./backoff.ts";
export { systemClock } from "./clock.ts";
export type { Clock } from "./clock.ts";
export {
  ApiError,
  ApiUnavailable,
  isAlreadyExists,
  isConflict,
  isForbidden,
  isGone,
  isNotFound,
  isNotServed,
  isUnavailable,
} from "./errors.ts";
export { EventRecorder } from "./event-recorder.ts";
export type { EventRecorderOptions } from "./event-recorder.ts";
export { nodeLeaseName, nodeOfLease } from "./lease.ts";
export type { Lease } from "./lease.ts";
export { LeaderElector, NotLeader } from "./leader-election.ts";
export type { ElectionTiming, LeaderElectorOptions } from "./leader-election.ts";
export { ListWatch } from "./list-watch.ts";
export type { ListWatchOptions, ListWatchTiming } from "./list-watch.ts";
export { patchFor } from "./merge-patch.ts";
export { NODE_LEASE_SECONDS, NodeLease } from "./node-lease.ts";
export type { NodeLeaseOptions } from "./node-lease.ts";
export { ObjectFollower } from "./object-follower.ts";
export type { FollowedObject, ObjectFollowerOptions } from "./object-follower.ts";
export { KeyTimers } from "./key-timers.ts";
export { keyOf, parseKey } from "./object.ts";
export type { KubeMeta, KubeObject } from "./object.ts";
export * from "./paths.ts";
export { ReferenceWatcher } from "./reference-watcher.ts";
export type { Reference, ReferenceWatcherOptions } from "./reference-watcher.ts";
export { WorkQueue } from "./work-queue.ts";
export type { WorkQueueOptions, WorkScope } from "./work-queue.ts";
