// What the agent asks of the API server: each start tells its outcome once, and who has nothing to say is silent.
import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import type { Container } from "../../../src/api/index.ts";
import { countOf, untilEvents } from "../../support/events.ts";
import { RequestLog } from "../../support/request-log.ts";
import { useNode } from "../../support/test-node.ts";

// Other files' objects may be any agent's concern: a checkpoint of a Container that is nowhere.
const test = useNode({ startAgent: false, ownControlPlane: true });

/** That nothing was asked can be seen only by looking for a while. */
const QUIET_MS = 10_000;

let log: RequestLog;

beforeAll(async () => {
  log = await RequestLog.withAgent(test().node);
  // The image is on the node from here on.
  const first = await test().create();
  await test().untilState(first, "Running");
  await test().delete(first);
});
afterAll(() => log.close());

const statusWrites = ({ metadata }: Container): string[] => log.calls(`/containers/${metadata.name}/status`);

/** Another Container from its creation to its end: what the agent still had to tell of earlier ones is told by then. */
async function passTime(): Promise<void> {
  const other = await test().create({ command: ["true"], restartPolicy: "Never" });
  await test().untilCondition(other, "Complete");
  await test().delete(other);
}

describe("a start", () => {
  it("writes the status once when nothing has to be pulled, and reads nothing", async () => {
    const container = await test().create();
    await test().untilState(container, "Running");
    await passTime();
    const path = `/containers/${container.metadata.name}`;
    expect(statusWrites(container)).toHaveLength(1);
    expect(log.calls(path).map((call) => call.replace(/\/apis.*\/containers/, ""))).toEqual(
      expect.arrayContaining([`PATCH /${container.metadata.name}`, `PATCH /${container.metadata.name}/status`]),
    );
    // The finalizer's, and the status.
    expect(log.calls(path)).toHaveLength(2);
    await test().delete(container);
  });

  it("writes the status twice when it has to ask the registry", async () => {
    const container = await test().create({ imagePullPolicy: "Always" });
    const reasons = new Set<string | undefined>();
    await test().until(container, "Running", ({ status }) => {
      reasons.add(status?.reason);
      return status?.state === "Running";
    });
    await passTime();
    expect(statusWrites(container)).toHaveLength(2);
    expect([...reasons].filter((reason) => reason !== undefined)).toEqual(["Pulling", "Started"]);
    await test().delete(container);
  });

  it("that fails for good writes the status once", async () => {
    const container = await test().create({ command: ["no-such-command"] });
    await test().untilCondition(container, "Failed");
    await passTime();
    expect(statusWrites(container)).toHaveLength(1);
    await test().delete(container);
  });

  it("and the end after it write the status at most twice", async () => {
    const container = await test().create({ command: ["false"], restartPolicy: "Never" });
    await test().untilCondition(container, "Failed");
    await passTime();
    const written = statusWrites(container).length;
    expect(written).toBeGreaterThanOrEqual(1);
    expect(written).toBeLessThanOrEqual(2);
    await test().delete(container);
  });
});

describe("an idle agent", () => {
  it("makes no request but its watch's and a Lease's renewal", async () => {
    const running = await test().create();
    const ended = await test().create({ command: ["true"], restartPolicy: "Never" });
    const failed = await test().create({ command: ["no-such-command"] });
    await test().untilCondition(running, "Ready");
    await test().untilCondition(ended, "Complete");
    await test().untilCondition(failed, "Failed");
    // The last that there is to tell, after all that is told of others.
    await untilEvents(test(), running, (all) => countOf(all, "Started") === 1);
    await untilEvents(test(), ended, (all) => countOf(all, "Exited") === 1);
    await untilEvents(test(), failed, (all) => countOf(all, "Failed") === 1);
    const from = log.requests.length;
    await new Promise((resolve) => setTimeout(resolve, QUIET_MS));
    const calls = log.requests.slice(from).map(({ method, path }) => `${method} ${path}`);
    const renewals = calls.filter((call) => call.includes("/leases/"));
    const others = calls.filter((call) => !call.includes("/leases/"));
    expect(renewals.length).toBeLessThanOrEqual(1);
    expect(others).toEqual([]);
  });
});
