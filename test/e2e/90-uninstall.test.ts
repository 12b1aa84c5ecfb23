// The chart taken away with everything that is Berth's.
import { describe, expect, it } from "@jest/globals";
import { removeRest, uninstall } from "./chart.ts";
import { apply, container, IMAGE, kubectl, NAMESPACE, nodeName, SYSTEM, TIMEOUT_S, untilCondition } from "./cluster.ts";

/** What there is on the node of containers, a line each: tasks, mounts, files. */
const LOOK = `
ls /run/containerd/io.containerd.runtime.v2.task/berth
grep -E '/run/berth|/var/lib/berth|/rootfs .*berth' /proc/self/mounts
find /run/berth /var/lib/berth /var/log/berth ! -type d
find /sys/fs/cgroup -type d -path '*/berth/*'
ls /sys/class/net/berth0/brif
iptables-save -t nat | grep -E 'CNI-(DN|SN)-'
`;
/** What the agent keeps of itself, and CNI's bookkeeping (docs/agent.md). */
const BOOKKEEPING = /\/(holder|cluster|budget|lock|last_reserved_ip\.\d+)$/;

describe("an uninstall that takes all along", () => {
  it("has the agents remove the Containers before they go", async () => {
    const ports = [{ containerPort: 80, hostPort: 18_081 }];
    const volumes = [{ name: "memory", emptyDir: { medium: "Memory" as const } }];
    const volumeMounts = [{ name: "memory", mountPath: "/memory" }];
    await apply(container("one", { ports, volumes, volumeMounts }), container("two", { desiredState: "Paused" }));
    await untilCondition("one", "Ready");
    await untilCondition("two", "Ready");
    expect(await look()).toMatch(/\/run\/berth/);
    await uninstall({ all: true });
    expect(await kubectl("get", "containers,containercheckpoints", "--all-namespaces", "-o", "name")).toBe("");
  });

  it("leaves nothing of them on the node", async () => {
    const left = (await look()).split("\n").filter((line) => line !== "" && !BOOKKEEPING.test(line));
    expect(left).toEqual([]);
  });

  it("leaves nothing in the cluster but the CRDs, which go, and so do the namespaces", async () => {
    await kubectl("wait", "--for=delete", "pods", "--all", "--namespace", SYSTEM, `--timeout=${String(TIMEOUT_S)}s`);
    const all = "daemonsets,deployments,pods,jobs,serviceaccounts,roles,rolebindings,configmaps";
    const ours = (await kubectl("get", all, "--namespace", SYSTEM, "-o", "name")).split("\n");
    expect(ours.filter((name) => name.includes("berth"))).toEqual([]);
    const names = (await kubectl("get", "clusterroles,clusterrolebindings", "-o", "name")).split("\n");
    expect(names.filter((name) => name.includes("berth"))).toEqual([]);
    await removeRest();
    expect(await kubectl("get", "namespace", NAMESPACE, "--ignore-not-found")).toBe("");
  });
});

/** Looks at the node from a Pod in its namespaces. */
async function look(): Promise<string> {
  await apply({
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name: "look" },
    spec: {
      nodeName: nodeName(),
      hostPID: true,
      restartPolicy: "Never",
      tolerations: [{ operator: "Exists" }],
      containers: [
        {
          name: "look",
          image: IMAGE,
          command: ["busybox", "nsenter", "-t", "1", "-m", "-n", "--", "sh", "-c", `(${LOOK}) 2>/dev/null; true`],
          securityContext: { privileged: true },
        },
      ],
    },
  });
  await kubectl("wait", "--for=jsonpath={.status.phase}=Succeeded", "pod/look", `--timeout=${String(TIMEOUT_S)}s`);
  const seen = await kubectl("logs", "look");
  await kubectl("delete", "pod", "look");
  return seen;
}
