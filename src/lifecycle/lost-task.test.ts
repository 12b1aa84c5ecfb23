import { status } from "@grpc/grpc-js";
import { expect, it } from "@jest/globals";
import { ContainerdError } from "../containerd/index.ts";
import { lostTaskIn } from "./lost-task.ts";

const BUNDLES = "/run/containerd/io.containerd.runtime.v2.task";
const failed = (words: string, code = status.UNKNOWN): ContainerdError =>
  new ContainerdError("Tasks.Create", code, words);

it.each([
  ["a bundle", failed(`mkdir ${BUNDLES}/berth/a-1: file exists`), { bundle: `${BUNDLES}/berth/a-1` }],
  ["another container's bundle", failed(`mkdir ${BUNDLES}/berth/ba-1: file exists`), undefined],
  ["another tool's bundle", failed(`mkdir ${BUNDLES}/moby/a-1: file exists`), undefined],
  ["a directory of the container's own", failed(`runc create failed: mkdir /berth/a-1: file exists`), undefined],
  ["the runtime's state", failed("runc create failed: container with given ID already exists: unknown"), {}],
  ["a shim", failed("task a-1: already exists", status.ALREADY_EXISTS), {}],
  ["a command that is not there", failed(`exec: "x": executable file not found in $PATH`), undefined],
  ["what containerd has not said", new Error(`mkdir ${BUNDLES}/berth/a-1: file exists`), undefined],
])("tells %s in the way of a task from other failures", (_, error, inTheWay) => {
  expect(lostTaskIn(error, "berth", "a-1")).toEqual(inTheWay);
});
