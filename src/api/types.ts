/** The TypeScript types of the resource, derived from its schema. */
import type { Static } from "typebox";
import type { API_VERSION, MARK_REASONS } from "./names.ts";
import type { checkpointSpec, checkpointStatus } from "./schema/checkpoint.ts";
import type { healthcheck, ON_UNHEALTHY } from "./schema/healthcheck.ts";
import type { network, NETWORK_MODES, ports } from "./schema/network.ts";
import type { env, envFrom } from "./schema/process.ts";
import type { devices, resources, ulimits } from "./schema/resources.ts";
import type { securityContext } from "./schema/security.ts";
import type { containerSpec, DESIRED_STATES, IMAGE_PULL_POLICIES, RESTART_POLICIES } from "./schema/spec.ts";
import type { conditions, CONDITION_TYPES, containerStatus, HEALTH_STATES, STATES } from "./schema/status.ts";
import type { volumeMounts, volumes } from "./schema/volumes.ts";

/** What Berth reads and writes of metav1.ObjectMeta. */
export type ObjectMeta = {
  name: string;
  namespace: string;
  uid: string;
  generation: number;
  resourceVersion: string;
  creationTimestamp?: string;
  deletionTimestamp?: string;
  finalizers?: string[];
  labels?: Record<string, string>;
  annotations?: Record<string, string>;
};

export type ContainerSpec = Static<typeof containerSpec>;
export type ContainerStatus = Static<typeof containerStatus>;
export type Container = {
  apiVersion: typeof API_VERSION;
  kind: "Container";
  metadata: ObjectMeta;
  spec: ContainerSpec;
  status?: ContainerStatus;
};

export type CheckpointSpec = Static<typeof checkpointSpec>;
export type CheckpointStatus = Static<typeof checkpointStatus>;
export type ContainerCheckpoint = {
  apiVersion: typeof API_VERSION;
  kind: "ContainerCheckpoint";
  metadata: ObjectMeta;
  spec: CheckpointSpec;
  status?: CheckpointStatus;
};

/** An amount in Kubernetes' notation; `parseQuantity` gives the number. */
export type Quantity = string | number;

export type DesiredState = (typeof DESIRED_STATES)[number];
export type RestartPolicy = (typeof RESTART_POLICIES)[number];
export type ImagePullPolicy = (typeof IMAGE_PULL_POLICIES)[number];
export type NetworkMode = (typeof NETWORK_MODES)[number];
export type OnUnhealthy = (typeof ON_UNHEALTHY)[number];

export type EnvVar = Static<typeof env>[number];
export type EnvFromSource = Static<typeof envFrom>[number];
export type Port = Static<typeof ports>[number];
export type NetworkSpec = Static<typeof network>;
export type DnsConfig = NonNullable<NetworkSpec["dns"]>;
export type HostAlias = NonNullable<NetworkSpec["hostAliases"]>[number];
export type Link = NonNullable<NetworkSpec["links"]>[number];
export type Resources = Static<typeof resources>;
export type Ulimit = Static<typeof ulimits>[number];
export type Device = Static<typeof devices>[number];
export type SecurityContext = Static<typeof securityContext>;
export type Volume = Static<typeof volumes>[number];
export type VolumeMount = Static<typeof volumeMounts>[number];
export type Healthcheck = Static<typeof healthcheck>;
export type Logging = NonNullable<ContainerSpec["logging"]>;

export type State = (typeof STATES)[number];
export type HealthState = (typeof HEALTH_STATES)[number];
export type ConditionType = (typeof CONDITION_TYPES)[number];
export type Condition = Static<typeof conditions>[number];
export type NetworkStatus = NonNullable<ContainerStatus["network"]>;
export type PortStatus = NonNullable<NetworkStatus["ports"]>[number];
export type HealthStatus = NonNullable<ContainerStatus["health"]>;

/** Why a start failed or waits. */
export type StartReason =
  | "CommandNotFound"
  | "CommandNotExecutable"
  | "MountMismatch"
  | "InvalidSpec"
  | "Forbidden"
  | "ErrImagePull"
  | "ImagePullBackOff"
  | "ErrImageNeverPull"
  | "InvalidImageName"
  | "VolumeSetupFailed"
  | "NetworkSetupFailed"
  | "RuntimeError"
  | "RuntimeUnavailable"
  | "WaitingForNamespace"
  | "WaitingForSecret"
  | "WaitingForConfigMap"
  | "WaitingForContainer"
  | "WaitingForCheckpoint"
  | "InsufficientResources";

/** Why a started container ended. */
export type EndReason = "Completed" | "Error" | "OOMKilled" | "Checkpointed" | "NodeRebooted" | "Unknown";

/** `status.reason` of a ContainerCheckpoint. */
export type CheckpointReason =
  "WaitingForContainer" | "Checkpointing" | "Checkpointed" | "Unsupported" | "RuntimeError" | "ContainerGone";
/** Why the controller answers for an agent. */
export type MarkReason = (typeof MARK_REASONS)[number];

/** `status.reason`, as far as it says why a start failed or a container ended. */
export type Reason = StartReason | EndReason;

/** An error of one field, named as its user writes it: `spec.volumes[0].hostPath.path`. */
export type FieldError = { field: string; message: string };
