// Namespaces say by their labels what a Container may wish for, as they say it of Pods.
import { afterAll, describe, expect, it } from "@jest/globals";
import type { Container, ContainerSpec } from "../../../src/api/index.ts";
import { namespacePath } from "../../../src/kube/index.ts";
import { endBy, pidOf } from "../../support/away.ts";
import { conditionsOf } from "../../support/restart.ts";
import { useNode } from "../../support/test-node.ts";

const ENFORCE = "pod-security.kubernetes.io/enforce";
const ENDS_WITH_7 = ["sh", "-c", "trap 'exit 7' USR1; trap 'exit 0' TERM; sleep 3600 & wait"];

const made: string[] = [];
// Before the node goes, with which the connection does.
afterAll(() => Promise.all(made.map((name) => test().api.delete(namespacePath(name)))));

const test = useNode({ flags: { "pod-security-default": "baseline" } });

/** A new namespace, which an agent has to ask for, with a level or none. */
async function namespaceOf(level?: string): Promise<string> {
  const name = `pod-security-${test().node.index}-${process.pid}-${made.length}`;
  await test().api.create(namespacePath(), {
    metadata: { name, labels: level === undefined ? {} : { [ENFORCE]: level } },
  });
  made.push(name);
  return name;
}

const relabel = (namespace: string, level: string): Promise<unknown> =>
  test().api.mergePatch(namespacePath(namespace), { metadata: { labels: { [ENFORCE]: level } } });

const isForbidden = ({ status }: Container): boolean => status?.reason === "Forbidden";
const untilForbidden = (container: Container): Promise<Container> =>
  test().until(
    container,
    "forbidden",
    (now) => isForbidden(now) && (now.status?.observedGeneration ?? 0) >= container.metadata.generation,
  );

/** Waits until labels that forbid more than before have come through: nothing tells of that but what they do. */
async function untilTightened(namespace: string): Promise<void> {
  for (let forbidden = false; !forbidden;) {
    const tried = await test().create({ desiredState: "Stopped" }, { namespace });
    forbidden = isForbidden(await test().until(tried, "judged", ({ status }) => status?.reason !== undefined));
    await test().delete(tried);
  }
}

describe("a Container that its namespace forbids", () => {
  it("is not made, says why in Pod Security's words, and is made when the labels allow it", async () => {
    const namespace = await namespaceOf();
    const created = await test().create({ hostPID: true }, { namespace });
    const forbidden = await untilForbidden(created);
    const words = 'violates PodSecurity "baseline:latest": host namespaces (hostPID=true)';
    expect(forbidden.status).toMatchObject({ state: "Exited", exitCode: 128, error: words });
    expect(forbidden.status?.message).toContain(words);
    expect(conditionsOf(forbidden)).toEqual(["Failed", "Stalled"]);
    expect(forbidden.status).not.toHaveProperty("containerID");
    await relabel(namespace, "privileged");
    await test().untilCondition(created, "Ready");
    await test().delete(created);
  });

  it("is made when its spec is changed to what is allowed", async () => {
    const created = await test().create({}, { namespace: await namespaceOf("restricted") });
    const { status } = await untilForbidden(created);
    expect(status?.error).toMatch(/^violates PodSecurity "restricted:latest": allowPrivilegeEscalation != false \(/);
    const securityContext: ContainerSpec["securityContext"] = {
      allowPrivilegeEscalation: false,
      capabilities: { drop: ["ALL"] },
      runAsNonRoot: true,
      runAsUser: 1000,
      seccompProfile: { type: "RuntimeDefault" },
    };
    await test().untilCondition(await test().patch(created, { spec: { securityContext } }), "Ready");
    await test().delete(created);
  });

  it("is still not made by the next agent", async () => {
    const namespace = await namespaceOf("baseline");
    const forbidden = await untilForbidden(await test().create({ cgroupParent: "a" }, { namespace }));
    await test().node.stopAgent("kill");
    test().node.startAgent();
    await test().node.agentReady();
    const allowed = await test().create({}, { namespace });
    await test().untilCondition(allowed, "Ready");
    expect(test().get(forbidden)?.status).toEqual(forbidden.status);
    await Promise.all([forbidden, allowed].map((container) => test().delete(container)));
  });
});

describe("a Container that was admitted", () => {
  it("runs on, and is started again, when the labels forbid it; a change into another one is not made", async () => {
    const namespace = await namespaceOf("privileged");
    const created = await test().create({ command: ENDS_WITH_7, hostIPC: true }, { namespace });
    const running = await test().untilCondition(created, "Ready");
    await relabel(namespace, "restricted");
    await untilTightened(namespace);
    expect(test().get(created)?.status).toEqual(running.status);
    await endBy("SIGUSR1", pidOf(running));
    await test().until(created, "restarted", ({ status }) => status?.restartCount === 1 && status.state === "Running");

    const stopped = await test().patch(created, { spec: { desiredState: "Stopped" } });
    await test().untilCondition(stopped, "Ready");
    const again = await test().patch(created, { spec: { desiredState: "Running" } });
    const { status } = await test().untilCondition(again, "Ready");

    const refused = await untilForbidden(await test().patch(created, { spec: { hostname: "other" } }));
    expect(refused.status).toMatchObject({ state: "Running", containerID: status?.containerID, pid: status?.pid });
    expect(conditionsOf(refused)).toEqual(["Stalled"]);
    await test().untilCondition(await test().patch(created, { spec: { hostname: null } }), "Ready");
    await test().delete(created);
  });
});
