import { expect, it } from "@jest/globals";
import type { Container, ContainerStatus } from "../api/index.ts";
import { isDone } from "./told.ts";

const told = (status: Partial<ContainerStatus>): Container => ({
  apiVersion: "berth.dev/v1alpha1",
  kind: "Container",
  metadata: { name: "web", namespace: "default", uid: "1", resourceVersion: "1", generation: 2 },
  spec: { nodeName: "node", image: "example.com/web:1" },
  status: {
    state: "Exited",
    conditions: [
      {
        type: "Failed",
        status: "True",
        reason: "x",
        message: "",
        observedGeneration: 2,
        lastTransitionTime: "2026-01-02T03:04:05Z",
      },
    ],
    ...status,
  },
});

it.each<[string, Partial<ContainerStatus>, boolean]>([
  ["ended", { reason: "Error", exitCode: 1 }, true],
  ["could not be started as it was asked for", { reason: "InvalidSpec", startAttempts: 1 }, true],
  ["was refused for its spec", { reason: "InvalidSpec" }, false],
  ["was refused for its namespace", { reason: "Forbidden" }, false],
])("one that %s is done: %s", (_, status, done) => {
  expect(isDone(told(status))).toBe(done);
});
