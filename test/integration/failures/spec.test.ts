// Starts that fail because the spec, with this image and on this node, asks for what can't be: 128, for good, until the
// wish changes.
import { describe, expect, it } from "@jest/globals";
import { type Container, type ContainerSpec, RESTARTED_AT } from "../../../src/api/index.ts";
import {
  COMMAND_NOT_FOUND,
  expectFailedStart,
  expectVerdict,
  failedEvents,
  INVALID_SPEC,
  untilJudged,
} from "../../support/failed-start.ts";
import { useNode } from "../../support/test-node.ts";

const test = useNode();

describe("a spec that asks for what can't be", () => {
  it.each<[string, Partial<ContainerSpec>, string[]]>([
    ["a user that the image does not know", { user: "ghost" }, ["spec.user", "unable to find user ghost"]],
    ["a group that the image does not know", { user: "app:ghosts" }, ["spec.user", "unable to find group ghosts"]],
    [
      "root, where it must not be",
      { securityContext: { runAsNonRoot: true } },
      ["spec.securityContext.runAsNonRoot", "is root", "runAsUser"],
    ],
    [
      "a capability that there is not",
      { securityContext: { capabilities: { add: ["TIME_TRAVEL"] } } },
      ["spec.securityContext.capabilities.add[0]", "TIME_TRAVEL"],
    ],
    ["a runtime that the node does not have", { runtime: "kata" }, ["spec.runtime", '"kata"', "runc"]],
    [
      "what this version does not do yet",
      { volumes: [{ name: "v", emptyDir: { sizeLimit: "1Mi" } }] },
      ["spec.volumes[0].emptyDir.sizeLimit", "is not supported yet"],
    ],
  ])("ends with 128: %s", async (_, spec, says) => {
    await test().delete(await expectFailedStart(test(), spec, { ...INVALID_SPEC, says }));
  });

  it("ends with 128 when it is the image whose user is in no file", async () => {
    const spec = { image: test().image("user") };
    const says = ["spec.image", "unable to find user ghost"];
    await test().delete(await expectFailedStart(test(), spec, { ...INVALID_SPEC, says }));
  });
});

describe("a start that failed for good", () => {
  const NO_COMMAND = { ...COMMAND_NOT_FOUND, says: ["no-such-command"] };

  const fails = async (): Promise<Container> => expectFailedStart(test(), { command: ["no-such-command"] }, NO_COMMAND);

  /** Another Container from its creation to its end: whatever lay in the agent's queue before is done then. */
  const passTime = async (): Promise<void> => {
    const other = await test().create({ command: ["true"], restartPolicy: "Never" });
    await test().untilCondition(other, "Complete");
    await test().delete(other);
  };

  it("is not tried again by itself, also when its object is touched", async () => {
    const failed = await fails();
    const touched = await test().patch(failed, { metadata: { labels: { touched: "yes" } } });
    await passTime();
    expect(test().get(failed)?.metadata.resourceVersion).toBe(touched.metadata.resourceVersion);
    expect(await failedEvents(test(), failed)).toBe(1);
    await test().delete(failed);
  });

  it("is not tried again by the next agent", async () => {
    const failed = await fails();
    await test().node.stopAgent("kill");
    test().node.startAgent();
    await test().node.agentReady();
    await passTime();
    expect(test().get(failed)?.status).toEqual(failed.status);
    expect(await failedEvents(test(), failed)).toBe(1);
    await test().delete(failed);
  });

  it("is tried again when its spec changes, and may start then", async () => {
    const failed = await fails();
    const repaired = await test().patch(failed, { spec: { command: ["sleep", "3600"] } });
    const { status } = await test().untilState(repaired, "Running");
    for (const gone of ["exitCode", "error", "message", "startAttempts"]) expect(status).not.toHaveProperty(gone);
    expect((await test().untilCondition(repaired, "Ready")).status?.conditions).toHaveLength(1);
    await test().patch(repaired, { spec: { terminationGracePeriodSeconds: 0 } });
    await test().delete(repaired);
  });

  it("is tried again when its spec changes in place, and may fail again", async () => {
    const failed = await fails();
    const changed = await test().patch(failed, { spec: { restartPolicy: "OnFailure" } });
    const again = await untilJudged(test(), changed);
    expectVerdict(again, NO_COMMAND);
    expect(again.status?.startAttempts).toBe(1);
    await test().delete(failed);
  });

  it("is tried again once for each value of berth.dev/restartedAt", async () => {
    const failed = await fails();
    const restartedAt = "2026-01-01T00:00:00Z";
    const asked = await test().patch(failed, { metadata: { annotations: { [RESTARTED_AT]: restartedAt } } });
    const again = await test().until(asked, "judged again", (now) => now.status?.restartedAt === restartedAt);
    expectVerdict(again, NO_COMMAND);
    await passTime();
    expect(test().get(failed)?.status).toEqual(again.status);
    await test().delete(failed);
  });

  it("is not begun at all while desiredState is Stopped, and tells that it was not", async () => {
    const failed = await fails();
    const stopped = await test().patch(failed, { spec: { desiredState: "Stopped" } });
    await test().untilCondition(stopped, "Ready");
    const wanted = await test().patch(failed, { spec: { desiredState: "Running" } });
    expectVerdict(await untilJudged(test(), wanted), NO_COMMAND);
    await test().delete(failed);
  });
});
