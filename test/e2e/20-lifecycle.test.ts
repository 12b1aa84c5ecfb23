// A Container's life: start, end, restart, stop, update, delete.
import { afterAll, describe, expect, it } from "@jest/globals";
import type { ContainerSpec } from "../../src/api/index.ts";
import {
  apply,
  berth,
  change,
  container,
  IMAGE,
  kubectl,
  NAMESPACE,
  nodeName,
  once,
  remove,
  statusOf,
  until,
  untilCondition,
} from "./cluster.ts";
import type { Status } from "./cluster.ts";

afterAll(() => kubectl("delete", "containers", "--all"));

describe("a Container", () => {
  it("starts on its node, and is shown, with its Events", async () => {
    await apply(container("web"));
    expect(await untilCondition("web", "Ready")).toMatchObject({
      state: "Running",
      reason: "Started",
      restartCount: 0,
    });
    const [head = "", row = ""] = (await kubectl("get", "ctr", "web")).split("\n");
    expect(head.split(/\s+/).slice(0, 3)).toEqual(["NAME", "NODE", "STATE"]);
    expect(row.split(/\s+/).slice(0, 3)).toEqual(["web", nodeName(), "Running"]);
    expect(await berth("ps")).toMatch(new RegExp(`^${NAMESPACE}/web +Running `, "m"));
    // The Event is written beside the status.
    const events = ["events", "--for", "container/web", "--types", "Normal"];
    expect(await kubectl(...events)).toMatch(/Started/);
  });

  it("is paused and goes on, is stopped and started on the same filesystem", async () => {
    const { pid, containerID } = await statusOf("web");
    await change("web", { desiredState: "Paused" });
    expect(await change("web", { desiredState: "Running" })).toMatchObject({ state: "Running", pid });
    expect(await change("web", { desiredState: "Stopped" })).toMatchObject({ state: "Exited", exitCode: 137 });
    const again = await change("web", { desiredState: "Running" });
    expect(again).toMatchObject({ state: "Running", containerID });
    expect(again.pid).not.toBe(pid);
  });

  it("is restarted in place by the annotation", async () => {
    const { containerID, startedAt } = await statusOf("web");
    await kubectl("annotate", "container/web", "berth.dev/restartedAt=once");
    const isSo = ({ state, restartedAt }: Status): boolean => state === "Running" && restartedAt === "once";
    const again = await until("web", "restarted", isSo);
    expect(again.containerID).toBe(containerID);
    expect(again.startedAt).not.toBe(startedAt);
  });

  it("is updated in place where that can be, and else made anew", async () => {
    const before = await statusOf("web");
    const { pid, containerID } = await change("web", { resources: { limits: { memory: "64Mi" } } });
    expect({ pid, containerID }).toEqual({ pid: before.pid, containerID: before.containerID });
    const other = await change("web", { env: [{ name: "COLOUR", value: "blue" }] });
    expect(other.containerID).not.toBe(containerID);
    expect(await berth("exec", `${NAMESPACE}/web`, "--", "sh", "-c", "echo $COLOUR")).toBe("blue\n");
  });

  it("is deleted with all that it had", async () => {
    await remove("web");
    expect(await berth("ps", "-a")).not.toContain(`${NAMESPACE}/web `);
  });
});

describe("an end", () => {
  it.each<[string, string, Partial<ContainerSpec>, Partial<Status>]>([
    ["Complete", "exit 0", { command: ["true"] }, { exitCode: 0, reason: "Completed" }],
    ["Failed", "exit 3", { command: ["sh", "-c", "exit 3"] }, { exitCode: 3, reason: "Error" }],
    [
      "Failed",
      "out of memory",
      { command: ["tail", "/dev/zero"], resources: { limits: { memory: "16Mi" } } },
      { exitCode: 137, reason: "OOMKilled", oomKilled: true },
    ],
    ["Failed", "no such command", { command: ["no-such"] }, { exitCode: 127, reason: "CommandNotFound" }],
    ["Failed", "no program", { command: ["/etc/passwd"] }, { exitCode: 126, reason: "CommandNotExecutable" }],
  ])("is %s: %s", async (condition, _what, spec, expected) => {
    await apply(container("end", { restartPolicy: "Never", ...spec }));
    expect(await untilCondition("end", condition)).toMatchObject({ state: "Exited", ...expected });
    await remove("end");
  });

  it("without an image is tried again", async () => {
    const image = `${IMAGE.replace(/:[^:/]+$/, "")}:no-such-tag`;
    await apply(container("end", { image }));
    const status = await until("end", "refused", ({ startAttempts = 0 }) => startAttempts > 1);
    expect(status).toMatchObject({ state: "Pending", reason: "ImagePullBackOff" });
    await remove("end");
  });

  it("is followed by restarts as the policy says", async () => {
    await apply(once("end", "exit 4", { restartPolicy: "OnFailure", maxRestarts: 2 }));
    expect(await untilCondition("end", "Failed")).toMatchObject({ state: "Exited", exitCode: 4, restartCount: 2 });
    await remove("end");
    await apply(once("end", "exit 0", { restartPolicy: "Always" }));
    await until("end", "restarted", ({ restartCount = 0 }) => restartCount > 1);
    await remove("end");
  });

  it("may be its object's, too", async () => {
    await apply(once("end", "exit 0", { autoRemove: true }));
    await kubectl("wait", "--for=delete", "container/end", "--timeout=60s");
    await untilGone("end");
  });
});

/** Deleted by the agent: what it wrote last is in the Event. */
async function untilGone(name: string): Promise<void> {
  expect(await kubectl("get", "container", name, "--ignore-not-found")).toBe("");
  expect(await kubectl("events", "--for", `container/${name}`)).toMatch(/Removed/);
}
