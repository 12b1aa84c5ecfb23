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
  object("One condition of the container, found by the agent.", {
    type: text(
      "Ready (the desired state is reached), Complete (ended with 0 for good), Failed (ended otherwise, or its start failed, for good), Reconciling (on its way), Stalled (nothing goes on before a change) or DiskPressure (the disk of the logs is full).",
      {
        min: 1,
        max: 316,
      },
    ),
    status: word("Whether the condition holds: True, False, or Unknown where nobody can tell.", [
      "True",
      "False",
      "Unknown",
    ]),
    observedGeneration: optional(whole("The generation of the spec it was found for.", INT64)),
    lastTransitionTime: moment("When the condition's status last changed."),
    reason: text("Why the condition has its status, for a program, in CamelCase, such as Started or ErrImagePull.", {
      min: 1,
      max: 1024,
      form: { pattern: "^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$", says: "must be in CamelCase" },
    }),
    message: text("Why the condition has its status, for a person.", { max: 32768 }),
  }),
  { max: 16, keys: ["type"] },
);

const port = object("A port of the node that leads to the container.", {
  containerPort: whole("Port, such as 80, on which a process of the container listens.", { min: 1, max: MAX_PORT }),
  hostPort: optional(whole("Port of the node that is forwarded to containerPort.", { min: 1, max: MAX_PORT })),
  protocol: word("Protocol of the port: TCP, UDP or SCTP.", ["TCP", "UDP", "SCTP"]),
  hostIP: optional(text("The node's address on which it is open.", { max: 45 })),
});

const network = object("How the container is connected, as long as it holds an address.", {
  ipAddresses: optional(
    list(
      "The addresses at which the container is reached, in its network.",
      text("One of them, IPv4 or IPv6.", { max: 45 }),
      { max: 16 },
    ),
  ),
  gateway: optional(text("Address of the container's default gateway.", { max: 45 })),
  macAddress: optional(text("MAC address of the container's interface eth0.", { max: 17 })),
  ports: optional(list("Ports of the node that lead to the container.", port, { max: 200 })),
});

const health = object("What the healthcheck has found in this run, or in the one that it ended.", {
  status: word("Starting until the first success or the last retry, then Healthy or Unhealthy.", HEALTH_STATES),
  failingStreak: optional(whole("Failures in a row, counted as far as retries.", COUNT)),
  output: optional(text("What the check said that made it so, at most 4096 bytes.", { max: 4096 })),
});

/**
 * The status of an object that no agent has seen. Tools that go by kstatus (Flux, `kustomize`) take one without a status for
 * done; one whose generation was not observed is on its way.
 */
const UNOBSERVED = { observedGeneration: -1 };

/** The schema of `status`. */
export const containerStatus = object(
  "What the container is now, written by the node's agent.",
  {
    observedGeneration: optional(
      whole("The generation of the spec this status is about; -1 as long as no agent has written one.", {
        ...INT64,
        min: UNOBSERVED.observedGeneration,
      }),
    ),
    nodeName: optional(text("The node whose agent serves this Container.", { max: 253 })),
    state: optional(
      word(
        "What the container is now: Pending (not started yet), Running, Paused, Restarting, Exited, Dead (its removal failed half-way), Removing; Unknown: its agent is silent, and the controller says so.",
        STATES,
      ),
    ),
    reason: optional(
      text("Why it is in its state, for a program, such as Completed, OOMKilled or ErrImagePull.", { max: 256 }),
    ),
    message: optional(
      text("Why it is in its state, for a person, and what to do about it where that can be told.", { max: 32768 }),
    ),
    exitCode: optional(
      whole("Code of the last end: the process's own, 128 + n for signal n, or why the start failed.", {
        min: 0,
        max: 2147483647,
      }),
    ),
    oomKilled: optional(flag("Whether the kernel killed a process of it for want of memory before the last end.")),
    error: optional(
      text("The error of the last start in its own words, as the runtime, the registry or the node gave it.", {
        max: 32768,
      }),
    ),
    pid: optional(whole("Process id, on the node, of the container's first process, while it runs.", INT64)),
    containerID: optional(text("Id of the container in containerd, as containerd://<uid>-<generation>.", { max: 256 })),
    imageDigest: optional(
      text("Digest of the image that the container was created from, such as sha256:….", { max: 256 }),
    ),
    runtime: optional(text("The runtime that the container was created with, as spec.runtime names it.", { max: 256 })),
    startedAt: optional(moment("When the container was last started.")),
    finishedAt: optional(moment("When the container last ended.")),
    restartCount: optional(
      whole(
        "How often the container was started again since it was created: by restartPolicy or by berth.dev/restartedAt.",
        COUNT,
      ),
    ),
    startAttempts: optional(
      whole("How often its start was tried in vain since it last succeeded, or since the spec changed.", COUNT),
    ),
    nextRetryAt: optional(
      moment("When the failed start is tried again, or the container that ended is started again."),
    ),
    restartedAt: optional(
      text("The value of the annotation berth.dev/restartedAt that was last acted on.", { max: 1024 }),
    ),
    restoredFrom: optional(text("The value of spec.restoreFrom that was last used.", { max: 253 })),
    network: optional(network),
    health: optional(health),
    conditions: optional(conditions),
  },
  { preset: UNOBSERVED },
);
