import type { Timestamp } from "@bufbuild/protobuf/wkt";
import { timestampDate } from "@bufbuild/protobuf/wkt";
import type { Process } from "./proto/task_pb.ts";
import { Status } from "./proto/task_pb.ts";

/** A task's state, in containerd's words. */
export type TaskStatus = "created" | "running" | "stopped" | "paused" | "pausing" | "unknown";

/** A task as it is now. */
export interface TaskState {
  readonly containerId: string;
  readonly pid: number;
  readonly status: TaskStatus;
  /** Of a stopped task: the process's code, or 128 + the signal's number. */
  readonly exitStatus: number;
  /** Of a stopped task. */
  readonly exitedAt?: Date;
}

const STATUS: Partial<Record<number, TaskStatus>> = {
  [Status.CREATED]: "created",
  [Status.RUNNING]: "running",
  [Status.STOPPED]: "stopped",
  [Status.PAUSED]: "paused",
  [Status.PAUSING]: "pausing",
};

/** A task from what Tasks.Get and Tasks.List answer. */
export function taskState(process: Process): TaskState {
  const exitedAt = dateOf(process.exitedAt);
  return {
    // List fills in only the id.
    containerId: process.containerId === "" ? process.id : process.containerId,
    pid: process.pid,
    status: STATUS[process.status] ?? "unknown",
    exitStatus: process.exitStatus,
    ...(exitedAt === undefined ? {} : { exitedAt }),
  };
}

/** A time as Date; undefined when it isn't set, which Go writes as the year 1. */
export function dateOf(timestamp: Timestamp | undefined): Date | undefined {
  return timestamp === undefined || timestamp.seconds <= 0n ? undefined : timestampDate(timestamp);
}
