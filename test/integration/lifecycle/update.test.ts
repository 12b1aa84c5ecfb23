// Changes of the spec: those that a running container takes, and those for which it is made anew.
import { describe, expect, it } from "@jest/globals";
import type { Container, ContainerSpec } from "../../../src/api/index.ts";
import { endBy, pidOf } from "../../support/away.ts";
import { untilOutput } from "../../support/probe.ts";
import { conditionsOf, untilRestarted } from "../../support/restart.ts";
import { useNode } from "../../support/test-node.ts";

const test = useNode();

const TRAPS = "trap 'echo got TERM; exit 5' TERM; trap 'echo got USR1; exit 6' USR1; echo ready; sleep 3600 & wait";

async function change(container: Container, spec: { [field in keyof ContainerSpec]?: unknown }): Promise<Container> {
  return test().untilCondition(await test().patch(container, { spec }), "Ready");
}

/** What a run says that finds a new filesystem, and one that finds that of the run before it. */
const FIRST_RUN = "ls: /kept: No such file or directory\n";

/** What stays the same when a change is made in place. */
function run({ status }: Container): object {
  const { pid, containerID, restartCount, startedAt } = status ?? {};
  return { pid, containerID, restartCount, startedAt };
}

describe("in place", () => {
  it("change policy, grace period, signal, limits and logging of a container that runs", async () => {
    const created = await test().create({ command: ["sh", "-c", TRAPS], restartPolicy: "Never" });
    await untilOutput(test(), created, "ready");
    const before = await test().untilCondition(created, "Ready");
    const changes: Partial<ContainerSpec>[] = [
      { resources: { limits: { memory: "64Mi" } } },
      { pidsLimit: 30, logging: { maxFiles: 2 } },
      { terminationGracePeriodSeconds: 20 },
      { restartPolicy: "OnFailure", maxRestarts: 1 },
      { stopSignal: "SIGUSR1" },
    ];
    for (const spec of changes) expect(run(await change(created, spec))).toEqual(run(before));
    const stopped = await change(created, { desiredState: "Stopped" });
    expect(stopped.status?.exitCode).toBe(6);
    await test().delete(created);
  });

  it("change resources beside a limit that is larger than any JavaScript number, which the next start still takes", async () => {
    const created = await test().create({ ulimits: [{ name: "cpu", soft: -1, hard: -1 }] });
    await test().untilCondition(created, "Ready");
    await change(created, { resources: { limits: { memory: "64Mi" } } });
    await test().patch(created, { metadata: { annotations: { "berth.dev/restartedAt": "now" } } });
    await untilRestarted(test(), created, 1);
    await test().delete(created);
  });

  it("change a policy that is used only afterwards", async () => {
    const created = await test().create();
    const running = await change(await test().untilCondition(created, "Ready"), { restartPolicy: "Never" });
    await endBy("SIGKILL", pidOf(running));
    const ended = await test().untilCondition(running, "Failed");
    expect(ended.status).toMatchObject({ state: "Exited", exitCode: 137, restartCount: 0 });

    // The level holds, not the moment: what is wished to run always is started.
    await test().patch(created, { spec: { restartPolicy: "Always" } });
    await untilRestarted(test(), created, 1);
    await test().delete(created);
  });

  it("change the policy of a container that waits for its restart: it rests then", async () => {
    const created = await test().create({ command: ["false"], restartPolicy: "OnFailure" });
    await test().until(created, "waiting", ({ status }) => status?.state === "Restarting" && status.restartCount === 3);
    const ended = await test().untilCondition(
      await test().patch(created, { spec: { restartPolicy: "Never" } }),
      "Failed",
    );
    expect(ended.status).toMatchObject({ state: "Exited", exitCode: 1 });
    expect(ended.status).not.toHaveProperty("nextRetryAt");
    await test().delete(created);
  });

  it("of labels and annotations changes nothing", async () => {
    const created = await test().create();
    const before = await test().untilCondition(created, "Ready");
    await test().patch(created, { metadata: { labels: { a: "b" }, annotations: { c: "d" } } });
    const other = await change(created, { logging: { maxFiles: 5 } });
    expect(run(other)).toEqual(run(before));
    await test().delete(created);
  });

  it("that the kernel refuses leaves the container running, says why, and is made when it can be", async () => {
    // A tmpfs takes memory that can't be reclaimed.
    const hold =
      "head -c 30000000 /dev/zero > /dev/shm/x; echo ready; trap 'rm /dev/shm/x; echo freed' USR1; while :; do sleep 0.1; done";
    const created = await test().create({
      command: ["sh", "-c", hold],
      terminationGracePeriodSeconds: 0,
      resources: { limits: { memory: "128Mi" } },
    });
    await untilOutput(test(), created, "ready");
    const before = await test().untilCondition(created, "Ready");
    const patched = await test().patch(created, { spec: { resources: { limits: { memory: "8Mi" } } } });
    const refused = await test().until(
      patched,
      "refused",
      ({ status }) =>
        status?.observedGeneration === patched.metadata.generation &&
        !conditionsOf({ ...patched, status }).includes("Ready"),
    );
    expect(refused.status).toMatchObject({ state: "Running", pid: before.status?.pid });
    expect(refused.status?.message).toContain("memory");
    process.kill(pidOf(before), "SIGUSR1");
    const changed = await test().untilCondition(patched, "Ready");
    expect(run(changed)).toEqual(run(before));
    await test().delete(created);
  });
});

describe("any other change", () => {
  it.each<[string, () => Partial<ContainerSpec>]>([
    ["the command", () => ({ command: ["sh", "-c", "ls /kept; exec sleep 1800"] })],
    ["a variable", () => ({ env: [{ name: "A", value: "b" }] })],
    ["the image", () => ({ image: test().image("files") })],
    ["a volume", () => ({ volumes: [{ name: "v", emptyDir: {} }], volumeMounts: [{ name: "v", mountPath: "/v" }] })],
    ["the network", () => ({ network: { mode: "Host" } })],
  ])("recreates the container: %s", async (_, spec) => {
    const script = "ls /kept; touch /kept; exec sleep 3600";
    const created = await test().create({ command: ["sh", "-c", script], terminationGracePeriodSeconds: 0 });
    await untilOutput(test(), created, FIRST_RUN);
    const first = await test().untilCondition(created, "Ready");
    await endBy("SIGKILL", pidOf(first));
    await untilRestarted(test(), created, 1);
    await untilOutput(test(), created, "/kept\n");

    const after = await change(created, spec());
    expect(after.status).toMatchObject({ state: "Running", restartCount: 0 });
    expect(after.status?.containerID).not.toBe(first.status?.containerID);
    // The new container knows nothing of the old one's end, nor has it its files.
    expect(after.status).not.toHaveProperty("exitCode");
    await untilOutput(test(), after, FIRST_RUN + "/kept\n" + FIRST_RUN);
    const { container } = await test().audit();
    const own = container.filter((id) => id.startsWith(created.metadata.uid));
    expect(own).toEqual([after.status?.containerID?.replace("containerd://", "")]);
    await test().delete(created);
  });

  it("makes a container that had ended for good run once more", async () => {
    const created = await test().create({ command: ["sh", "-c", "exit 3"], restartPolicy: "Never" });
    await test().untilCondition(created, "Failed");
    const changed = await test().patch(created, { spec: { command: ["sh", "-c", "exit 0"] } });
    const { status } = await test().untilCondition(changed, "Complete");
    expect(status).toMatchObject({ exitCode: 0, restartCount: 0 });
    await test().delete(created);
  });

  it("of a Stopped container is made when it is to run again", async () => {
    const created = await test().create();
    await test().untilCondition(created, "Ready");
    const stopped = await change(created, { desiredState: "Stopped" });
    await change(created, { env: [{ name: "A", value: "b" }] });
    const again = await change(created, { desiredState: "Running" });
    expect(again.status).toMatchObject({ state: "Running", restartCount: 0 });
    expect(again.status?.containerID).not.toBe(stopped.status?.containerID);
    await test().delete(created);
  });
});
