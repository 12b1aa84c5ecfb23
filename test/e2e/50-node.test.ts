// What a node's owner sees and sets: the commands on the node, the budget, what a namespace allows, the helm test.
import { afterAll, describe, expect, it } from "@jest/globals";
import { RELEASE } from "./chart.ts";
import {
  apply,
  berth,
  CLOSED,
  container,
  helm,
  kubectl,
  NAMESPACE,
  once,
  remove,
  SYSTEM,
  TIMEOUT_S,
  until,
  untilCondition,
} from "./cluster.ts";

afterAll(() => kubectl("delete", "containers", "--all"));

describe("the commands on the node", () => {
  it("are reached by kubectl exec", async () => {
    await apply(container("web", { command: ["sh", "-c", "echo from within; sleep 3600"] }));
    await untilCondition("web", "Ready");
    expect(await berth("ps")).toContain(`${NAMESPACE}/web `);
    expect(await kubectl("exec", "--namespace", SYSTEM, "daemonset/berth", "--", "berth", "ps")).toMatch(
      /^NAMESPACE\/NAME /,
    );
    expect(await berth("exec", `${NAMESPACE}/web`, "--", "hostname")).toBe("web\n");
    expect(await berth("logs", `${NAMESPACE}/web`)).toBe("from within\n");
    expect(JSON.parse(await berth("inspect", `${NAMESPACE}/web`))).toMatchObject({ status: { state: "Running" } });
    await remove("web");
  });
});

describe("the budget", () => {
  it("is given out by requests, and waited for", async () => {
    const resources = { requests: { memory: "700Mi" } };
    await apply(container("first", { resources }));
    await untilCondition("first", "Ready");
    await apply(container("second", { resources }));
    const { message } = await until("second", "refused", ({ reason }) => reason === "InsufficientResources");
    expect(message).toMatch(/memory/);
    await remove("first");
    await untilCondition("second", "Ready");
    await remove("second");
  });

  it("is a limit of the cgroup of all Containers", async () => {
    const path = "/sys/fs/cgroup/memory/berth/memory.limit_in_bytes /sys/fs/cgroup/berth/memory.max";
    const volumes = [{ name: "cgroups", hostPath: { path: "/sys/fs/cgroup" } }];
    const volumeMounts = [{ name: "cgroups", mountPath: "/sys/fs/cgroup", readOnly: true }];
    await apply(once("limit", `grep -qsx ${String(2 ** 30)} ${path}`, { volumes, volumeMounts }));
    await untilCondition("limit", "Complete");
    await remove("limit");
  });
});

describe("what a namespace allows", () => {
  it("is asked of its labels", async () => {
    const label = (level: string): Promise<string> =>
      kubectl("label", "--overwrite", "namespace", NAMESPACE, `pod-security.kubernetes.io/enforce=${level}`);
    await label("baseline");
    try {
      await apply(container("root", { securityContext: { privileged: true } })).catch((error: unknown) => {
        // Where the server has ValidatingAdmissionPolicies, it says so itself.
        expect(String(error)).toMatch(/violates PodSecurity "baseline:latest": privileged/);
      });
      if ((await kubectl("get", "container", "root", "--ignore-not-found")) !== "") {
        const { message } = await until("root", "refused", ({ reason }) => reason === "Forbidden");
        expect(message).toMatch(/^violates PodSecurity "baseline:latest": privileged/);
      }
    } finally {
      await label("privileged");
    }
    await kubectl("delete", "container", "root", "--ignore-not-found");
  });
});

describe("rights", () => {
  it("over Containers are nobody's, unless given; the agents have no more than they need", async () => {
    const who = `--as=system:serviceaccount:${CLOSED}:default`;
    const can = (verb: string, what: string, as = who): Promise<string> =>
      kubectl("auth", "can-i", verb, what, as).catch((error: unknown) => String((error as { stdout?: string }).stdout));
    expect((await can("create", "containers.berth.dev")).trim()).toBe("no");
    const agent = `--as=system:serviceaccount:${SYSTEM}:berth`;
    expect((await can("create", "containers.berth.dev", agent)).trim()).toBe("no");
    expect((await can("create", "pods", agent)).trim()).toBe("no");
    expect((await can("list", "containers.berth.dev", agent)).trim()).toBe("yes");
  });
});

describe("helm test", () => {
  it("finds all well", async () => {
    expect(await helm("test", RELEASE, `--timeout=${String(TIMEOUT_S)}s`)).toMatch(/Phase:\s+Succeeded/);
  });
});
