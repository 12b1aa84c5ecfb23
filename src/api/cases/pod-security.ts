/**
 * Wishes that a level of the Pod Security Standards forbids or allows, with the words: the agent's answer and the policies'
 * are tested with the same.
 */

/** What a spec has besides a node and an image; `says` is what is told of it, nothing where it is allowed. */
export type SecurityCase = { name: string; policy: string; spec: Record<string, unknown>; says?: string };

/** As little as `restricted` allows. */
const CONFINED = {
  allowPrivilegeEscalation: false,
  runAsNonRoot: true,
  capabilities: { drop: ["ALL"] },
  seccompProfile: { type: "RuntimeDefault" },
};
const confined = (more: object) => ({ securityContext: { ...CONFINED, ...more } });
const security = (securityContext: object) => ({ securityContext });
const sysctls = (...names: string[]) => security({ sysctls: names.map((name) => ({ name, value: "1" })) });
const mounted = (...sources: object[]) => ({
  volumes: sources.map((source, index) => ({ name: `v${index}`, ...source })),
});
const hostPath = { hostPath: { path: "/" } };

const BASELINE: readonly Omit<SecurityCase, "policy">[] = [
  { name: "as little as can be", spec: {} },
  { name: "what a Pod may have, too", spec: mounted({ emptyDir: {} }, { secret: { secretName: "s" } }) },
  { name: "a named volume", spec: mounted({ volume: { name: "data" } }) },
  { name: "root", spec: { user: "root" } },
  {
    name: "no AppArmor",
    spec: security({ appArmorProfile: { type: "Unconfined" } }),
    says: 'forbidden AppArmor profile (container "c" must not set AppArmor profile type to "Unconfined")',
  },
  {
    name: "profiles of the node",
    spec: security({
      appArmorProfile: { type: "Localhost", localhostProfile: "p" },
      seccompProfile: { type: "Localhost", localhostProfile: "p" },
    }),
  },
  {
    name: "capabilities",
    spec: security({ capabilities: { add: ["CHOWN", "NET_RAW", "ALL"] } }),
    says: 'non-default capabilities (container "c" must not include "NET_RAW", "ALL" in securityContext.capabilities.add)',
  },
  { name: "default capabilities", spec: security({ capabilities: { add: ["CHOWN", "SYS_CHROOT"] } }) },
  { name: "the node's network", spec: { network: { mode: "Host" } }, says: "host namespaces (hostNetwork=true)" },
  {
    name: "the node's processes and IPC",
    spec: { hostPID: true, hostIPC: true },
    says: "host namespaces (hostPID=true, hostIPC=true)",
  },
  { name: "the node's namespaces refused", spec: { hostPID: false, hostIPC: false, network: { mode: "None" } } },
  { name: "a path of the node", spec: mounted(hostPath), says: 'hostPath volumes (volume "v0")' },
  {
    name: "paths of the node",
    spec: mounted(hostPath, { emptyDir: {} }, hostPath),
    says: 'hostPath volumes (volumes "v0", "v2")',
  },
  {
    name: "a port of the node",
    spec: { ports: [{ containerPort: 80, hostPort: 8080 }, { containerPort: 81 }] },
    says: 'hostPort (container "c" uses hostPort 8080)',
  },
  {
    name: "ports of the node",
    spec: {
      ports: [
        { containerPort: 80, hostPort: 80 },
        { containerPort: 81, hostPort: 81 },
      ],
    },
    says: 'hostPort (container "c" uses hostPorts 80, 81)',
  },
  {
    name: "a request to another host",
    spec: { healthcheck: { httpGet: { port: 80, host: "10.0.0.1" } } },
    says: 'probe or lifecycle host (container "c" uses probe or lifecycle host "10.0.0.1")',
  },
  {
    name: "a connection to another host",
    spec: { healthcheck: { tcpSocket: { port: 80, host: "db" } } },
    says: 'probe or lifecycle host (container "c" uses probe or lifecycle host "db")',
  },
  { name: "a request to itself", spec: { healthcheck: { httpGet: { port: 80 } } } },
  {
    name: "privileged",
    spec: security({ privileged: true }),
    says: 'privileged (container "c" must not set securityContext.privileged=true)',
  },
  {
    name: "all of /proc",
    spec: security({ procMount: "Unmasked" }),
    says: 'procMount (container "c" must not set securityContext.procMount to "Unmasked")',
  },
  { name: "the usual /proc", spec: security({ procMount: "Default", privileged: false }) },
  {
    name: "no seccomp",
    spec: security({ seccompProfile: { type: "Unconfined" } }),
    says: 'seccompProfile (container "c" must not set securityContext.seccompProfile.type to "Unconfined")',
  },
  {
    name: "sysctls",
    spec: sysctls("net.core.somaxconn", "net.ipv4.tcp_rmem", "kernel.msgmax"),
    says: "forbidden sysctls (net.core.somaxconn, kernel.msgmax)",
  },
  {
    name: "another cgroup",
    spec: { cgroupParent: "system" },
    says: 'cgroupParent (container "c" must not set cgroupParent)',
  },
  {
    name: "another Container's network",
    spec: { network: { mode: "Container", container: "peer" } },
    says: 'network of another Container (container "c" must not set network.mode to "Container")',
  },
  {
    name: "devices",
    spec: { devices: [{ hostPath: "/dev/fuse" }, { hostPath: "/dev/kvm" }] },
    says: 'devices (container "c" uses devices "/dev/fuse", "/dev/kvm")',
  },
  {
    name: "to be spared when memory is short",
    spec: { oomScoreAdj: -1 },
    says: 'oomScoreAdj < 0 (container "c" must not set oomScoreAdj=-1)',
  },
  { name: "not to be spared", spec: { oomScoreAdj: 0 } },
  {
    name: "several at once, in Pod Security's order",
    spec: { hostPID: true, devices: [{ hostPath: "/dev/fuse" }], ...security({ privileged: true }) },
    says: 'host namespaces (hostPID=true), privileged (container "c" must not set securityContext.privileged=true), devices (container "c" uses device "/dev/fuse")',
  },
];

const RESTRICTED: readonly Omit<SecurityCase, "policy">[] = [
  {
    name: "as little as can be",
    spec: {},
    says: 'allowPrivilegeEscalation != false (container "c" must set securityContext.allowPrivilegeEscalation=false), unrestricted capabilities (container "c" must set securityContext.capabilities.drop=["ALL"]), runAsNonRoot != true (pod or container "c" must set securityContext.runAsNonRoot=true), seccompProfile (pod or container "c" must set securityContext.seccompProfile.type to "RuntimeDefault" or "Localhost")',
  },
  { name: "confined", spec: { ...confined({}), user: "web:web", ...mounted({ volume: { name: "data" } }) } },
  { name: "a low port", spec: confined({ capabilities: { add: ["NET_BIND_SERVICE"], drop: ["KILL", "ALL"] } }) },
  {
    name: "more privileges than its parent's",
    spec: confined({ allowPrivilegeEscalation: true }),
    says: 'allowPrivilegeEscalation != false (container "c" must set securityContext.allowPrivilegeEscalation=false)',
  },
  {
    name: "default capabilities",
    spec: confined({ capabilities: { add: ["CHOWN"], drop: ["KILL"] } }),
    says: 'unrestricted capabilities (container "c" must set securityContext.capabilities.drop=["ALL"]; container "c" must not include "CHOWN" in securityContext.capabilities.add)',
  },
  {
    name: "another spelling of a capability",
    spec: confined({ capabilities: { add: ["CAP_NET_BIND_SERVICE"], drop: ["ALL"] } }),
    says: 'unrestricted capabilities (container "c" must not include "CAP_NET_BIND_SERVICE" in securityContext.capabilities.add)',
  },
  {
    name: "all of /proc",
    spec: confined({ procMount: "Unmasked" }),
    says: 'procMount (container "c" must not set securityContext.procMount to "Unmasked")',
  },
  {
    name: "a path of the node",
    spec: { ...confined({}), ...mounted(hostPath) },
    says: 'restricted volume types (volume "v0" uses restricted volume type "hostPath")',
  },
  {
    name: "paths of the node",
    spec: { ...confined({}), ...mounted(hostPath, hostPath) },
    says: 'restricted volume types (volumes "v0", "v1" use restricted volume type "hostPath")',
  },
  {
    name: "root, if the image says so",
    spec: confined({ runAsNonRoot: false }),
    says: 'runAsNonRoot != true (pod or container "c" must set securityContext.runAsNonRoot=true)',
  },
  {
    // Contradictory, but that is not the policies' to say.
    name: "root by its id",
    spec: confined({ runAsUser: 0 }),
    says: 'runAsUser=0 (container "c" must not set runAsUser=0)',
  },
  ...["root", "root:web", "0", "00:1", "+0", "-0"].map((user) => ({
    name: `root as ${user}`,
    spec: { ...confined({}), user },
    says: `runAsUser=0 (container "c" must not set user=${user})`,
  })),
  ...["rooted", "10", "1:0", "w:root"].map((user) => ({
    name: `not root as ${user}`,
    spec: { ...confined({}), user },
  })),
  {
    name: "no seccomp",
    spec: confined({ seccompProfile: { type: "Unconfined" } }),
    says: 'seccompProfile (container "c" must not set securityContext.seccompProfile.type to "Unconfined")',
  },
  {
    name: "what baseline forbids, before all else",
    spec: { ...confined({ runAsNonRoot: false }), hostIPC: true },
    says: 'host namespaces (hostIPC=true), runAsNonRoot != true (pod or container "c" must set securityContext.runAsNonRoot=true)',
  },
];

/** What the standards did not say yet, or said otherwise, in an earlier version. */
const EARLIER: readonly SecurityCase[] = [
  { name: "another host", policy: "baseline:v1.33", spec: { healthcheck: { tcpSocket: { port: 80, host: "db" } } } },
  {
    name: "sysctls",
    policy: "baseline:v1.27",
    spec: sysctls("net.ipv4.ip_local_reserved_ports", "net.ipv4.tcp_keepalive_time"),
    says: "forbidden sysctls (net.ipv4.tcp_keepalive_time)",
  },
  {
    name: "sysctls",
    policy: "baseline:v1.36",
    spec: sysctls("net.ipv4.tcp_wmem", "net.ipv4.tcp_notsent_lowat"),
    says: "forbidden sysctls (net.ipv4.tcp_notsent_lowat)",
  },
  { name: "sysctls", policy: "baseline:v1.37", spec: sysctls("net.ipv4.tcp_notsent_lowat") },
  {
    name: "all that the first version asked for",
    policy: "restricted:v1.0",
    spec: mounted(hostPath),
    says: 'restricted volume types (volume "v0" uses restricted volume type "hostPath"), runAsNonRoot != true (pod or container "c" must set securityContext.runAsNonRoot=true)',
  },
  {
    name: "capabilities, by baseline's rule",
    policy: "restricted:v1.21",
    spec: confined({ capabilities: { add: ["NET_RAW"] } }),
    says: 'non-default capabilities (container "c" must not include "NET_RAW" in securityContext.capabilities.add)',
  },
  { name: "root by its id", policy: "restricted:v1.22", spec: confined({ runAsUser: 0 }) },
  {
    name: "no seccomp, by baseline's rule",
    policy: "restricted:v1.18",
    spec: confined({ seccompProfile: { type: "Unconfined" } }),
    says: 'seccompProfile (container "c" must not set securityContext.seccompProfile.type to "Unconfined")',
  },
];

/** All cases; each policy as `<level>:<version>`. */
export const SECURITY_CASES: readonly SecurityCase[] = [
  ...BASELINE.map((one) => ({ ...one, policy: "baseline:latest" })),
  ...RESTRICTED.map((one) => ({ ...one, policy: "restricted:latest" })),
  ...EARLIER,
];
