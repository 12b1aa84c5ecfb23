/** A ContainerCheckpoint: the memory and files of a running Container, to go on from. */
import { flag, labelName, moment, object, optional, text, word } from "./fields.ts";

export const CHECKPOINT_STATES = ["Pending", "Completed", "Failed"] as const;

/** The schema of a checkpoint's `spec`. */
export const checkpointSpec = object(
  "Of which Container a checkpoint is taken, and how; it can't be changed.",
  {
    containerName: labelName(
      "Name of the Container that is held, of the same namespace; the checkpoint waits until it runs.",
    ),
    leaveRunning: optional(
      flag(
        "Whether the container goes on after it; with false it is ended, exit code 137. Docker: checkpoint create --leave-running.",
        true,
      ),
    ),
    tcpEstablished: optional(
      flag(
        "Whether open TCP connections are part of it; else it fails when there are any. A restored process finds them closed.",
        false,
      ),
    ),
    fileLocks: optional(
      flag("Whether locks of files (flock, fcntl) are part of it; else it fails when there are any.", false),
    ),
  },
  {
    rules: [
      { rule: "self == oldSelf", message: "a checkpoint's spec can't be changed: create another ContainerCheckpoint" },
    ],
  },
);

/** The schema of a checkpoint's `status`. */
export const checkpointStatus = object("What became of the checkpoint.", {
  state: optional(word("How the checkpoint stands: Pending, Completed or Failed.", CHECKPOINT_STATES)),
  reason: optional(
    text("Why it is in its state, for a program: Checkpointed, WaitingForContainer, Unsupported.", { max: 256 }),
  ),
  message: optional(text("Why it is in its state, for a person.", { max: 32768 })),
  nodeName: optional(text("Name of the node that took it and holds its data.")),
  size: optional(text("Size of the data on the node, such as 12Mi.", { max: 32 })),
  createdAt: optional(moment("When the container was held: memory and files are of that moment.")),
});
