/** `status` of a Container: what the agent found and did. */
import { flag, list, moment, object, optional, text, whole, word } from "./fields.ts";
import { MAX_PORT } from "./network.ts";

export const STATES = ["Pending", "Running", "Paused", "Restarting", "Exited", "Dead", "Removing", "Unknown"] as const;
export const HEALTH_STATES = ["Starting", "Healthy", "Unhealthy"] as const;
export const CONDITION_TYPES = ["Ready", "Complete", "Failed", "Reconciling", "Stalled", "DiskPressure"] as const;

const INT64 = { min: 0, max: Number.MAX_SAFE_INTEGER, format: "int64" };
const COUNT = { min: 0, max: 2147483647 };

/** metav1.Condition, written out. */
export const conditions = list(
  "The container's conditions, in Kubernetes' standard shape: Ready, Complete, Failed, Reconciling, Stalled, DiskPressure.",
  object("One condition.", {
    type: text(
      "Ready (the desired state is reached), Complete (ended with 0 for good), Failed (for good), Reconciling, Stalled or DiskPressure.",
      {
        min: 1,
        max: 316,
      },
    ),
    status: word("Whether it holds.", ["True", "False", "Unknown"]),
    observedGeneration: optional(whole("The generation of the spec it was found for.", INT64)),
    lastTransitionTime: moment("When status last changed."),
    reason: text("Why, for a program, in CamelCase.", {
      min: 1,
      max: 1024,
      form: { pattern: "^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$", says: "must be in CamelCase" },
    }),
    message: text("Why, for a person.", { max: 32768 }),
  }),
  { max: 16, keys: ["type"] },
);

const port = object("A port that leads to the container.", {
  containerPort: whole("The port in the container's network.", { min: 1, max: MAX_PORT }),
  hostPort: optional(whole("The port of the node.", { min: 1, max: MAX_PORT })),
  protocol: word("Protocol of the port.", ["TCP", "UDP", "SCTP"]),
  hostIP: optional(text("The node's address on which it is open.", { max: 45 })),
});

const network = object("How the container is connected.", {
  ipAddresses: optional(list("Addresses of the container.", text("An IP address.", { max: 45 }), { max: 16 })),
  gateway: optional(text("Its default gateway.", { max: 45 })),
  macAddress: optional(text("Its MAC address.", { max: 17 })),
  ports: optional(list("Ports that lead to it.", port, { max: 200 })),
});

const health = object("Result of the healthcheck.", {
  status: word("Starting until the first success or the last retry, then Healthy or Unhealthy.", HEALTH_STATES),
  failingStreak: optional(whole("Failures in a row.", COUNT)),
  output: optional(text("What the last check said.", { max: 4096 })),
});

/** The schema of `status`. */
export const containerStatus = object("What the container is now, written by the node's agent.", {
  observedGeneration: optional(whole("The generation of the spec this status is about.", INT64)),
  nodeName: optional(text("The node whose agent serves this Container.", { max: 253 })),
  state: optional(word("What the container is now.", STATES)),
  reason: optional(text("Why, for a program, such as Completed, OOMKilled or ErrImagePull.", { max: 256 })),
  message: optional(text("Why, for a person, and what to do about it.", { max: 32768 })),
  exitCode: optional(
    whole("Code of the last end: the process's own, 128 + n for signal n, or why the start failed.", {
      min: 0,
      max: 2147483647,
    }),
  ),
  oomKilled: optional(flag("Whether the kernel killed a process of it for want of memory before the last end.")),
  error: optional(text("The last start's error in its own words.", { max: 32768 })),
  pid: optional(whole("Id of the first process on the node.", INT64)),
  containerID: optional(text("Id of the container in containerd.", { max: 256 })),
  imageDigest: optional(text("Digest of the image it was created from.", { max: 256 })),
  runtime: optional(text("The runtime that runs it.", { max: 256 })),
  startedAt: optional(moment("When it was last started.")),
  finishedAt: optional(moment("When it last ended.")),
  restartCount: optional(whole("How often it was started again since it was created.", COUNT)),
  startAttempts: optional(whole("How often its start was tried in vain since it last succeeded.", COUNT)),
  nextRetryAt: optional(moment("When it is tried again.")),
  restartedAt: optional(
    text("The value of the annotation berth.dev/restartedAt that was last acted on.", { max: 1024 }),
  ),
  restoredFrom: optional(text("The value of spec.restoreFrom that was last used.", { max: 253 })),
  network: optional(network),
  health: optional(health),
  conditions: optional(conditions),
});
