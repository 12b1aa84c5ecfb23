/**
 * Specs that are refused or accepted, one for each rule and form of the schema: the agent's own checks and a real API
 * server's are tested with the same.
 */

/** What a spec has besides a node and an image, and what is wrong with it: the field and words of the message. */
export type Case = { name: string; spec: Record<string, unknown>; field?: string; says?: string; agentOnly?: boolean };

const mounts = (...mounted: object[]) => ({ volumes: [{ name: "v", emptyDir: {} }], volumeMounts: mounted });
const probe = { httpGet: { port: 80 } };

/** Refused by the structure of the schema: by every server. */
export const MALFORMED: readonly Case[] = [
  { name: "no image", spec: { image: undefined }, field: "spec.image", says: "Required value" },
  { name: "empty image", spec: { image: "" }, field: "spec.image" },
  { name: "image with a space", spec: { image: "a b" }, field: "spec.image" },
  {
    name: "unknown word",
    spec: { restartPolicy: "Sometimes" },
    field: "spec.restartPolicy",
    says: 'Unsupported value: "Sometimes"',
  },
  { name: "bad node name", spec: { nodeName: "node 1" }, field: "spec.nodeName" },
  { name: "text for a number", spec: { pidsLimit: "10" }, field: "spec.pidsLimit" },
  { name: "fraction for a whole number", spec: { pidsLimit: 1.5 }, field: "spec.pidsLimit" },
  { name: "object for a list", spec: { command: {} }, field: "spec.command" },
  { name: "port too large", spec: { ports: [{ containerPort: 70000 }] }, field: "spec.ports[0].containerPort" },
  { name: "port 0", spec: { ports: [{ containerPort: 80, hostPort: 0 }] }, field: "spec.ports[0].hostPort" },
  {
    name: "hostIP that is none",
    spec: { ports: [{ containerPort: 80, hostPort: 80, hostIP: "all" }] },
    field: "spec.ports[0].hostIP",
  },
  { name: "bad quantity", spec: { resources: { limits: { memory: "lots" } } }, field: "spec.resources.limits.memory" },
  {
    name: "quantity with a wrong suffix",
    spec: { resources: { limits: { memory: "64MB" } } },
    field: "spec.resources.limits.memory",
  },
  { name: "negative quantity", spec: { resources: { limits: { cpu: -1 } } }, field: "spec.resources.limits.cpu" },
  { name: "negative quantity in text", spec: { shmSize: "-1Mi" }, field: "spec.shmSize" },
  {
    name: "fraction without quotes",
    spec: { resources: { limits: { cpu: 0.5 } } },
    field: "spec.resources.limits.cpu",
  },
  { name: "bad duration", spec: { healthcheck: { ...probe, interval: "30" } }, field: "spec.healthcheck.interval" },
  {
    name: "probe's port too large",
    spec: { healthcheck: { httpGet: { port: 70000 } } },
    field: "spec.healthcheck.httpGet.port",
  },
  { name: "relative workingDir", spec: { workingDir: "srv" }, field: "spec.workingDir" },
  {
    name: "mountPath with ..",
    spec: mounts({ name: "v", mountPath: "/a/../b" }),
    field: "spec.volumeMounts[0].mountPath",
  },
  { name: "mountPath with :", spec: mounts({ name: "v", mountPath: "/a:b" }), field: "spec.volumeMounts[0].mountPath" },
  {
    name: "mountPath given twice",
    spec: mounts({ name: "v", mountPath: "/a" }, { name: "v", mountPath: "/a" }),
    field: "spec.volumeMounts[1]",
    says: "Duplicate value",
  },
  {
    name: "absolute subPath",
    spec: mounts({ name: "v", mountPath: "/a", subPath: "/b" }),
    field: "spec.volumeMounts[0].subPath",
  },
  {
    name: "relative hostPath",
    spec: { volumes: [{ name: "v", hostPath: { path: "a" } }] },
    field: "spec.volumes[0].hostPath.path",
  },
  {
    name: "hostPath leaving by ..",
    spec: { volumes: [{ name: "v", hostPath: { path: "/.." } }] },
    field: "spec.volumes[0].hostPath.path",
  },
  {
    name: "unknown hostPath type",
    spec: { volumes: [{ name: "v", hostPath: { path: "/a", type: "Pipe" } }] },
    field: "spec.volumes[0].hostPath.type",
  },
  {
    name: "volume's name in capitals",
    spec: { volumes: [{ name: "V", emptyDir: {} }] },
    field: "spec.volumes[0].name",
  },
  { name: "cgroupParent leaving by ..", spec: { cgroupParent: "a/../../b" }, field: "spec.cgroupParent" },
  { name: "absolute cgroupParent", spec: { cgroupParent: "/a" }, field: "spec.cgroupParent" },
  {
    name: "variable given twice",
    spec: { env: [{ name: "A" }, { name: "A" }] },
    field: "spec.env[1]",
    says: "Duplicate value",
  },
  { name: "variable with =", spec: { env: [{ name: "A=B" }] }, field: "spec.env[0].name" },
  { name: "variable without a name", spec: { env: [{ name: "" }] }, field: "spec.env[0].name" },
  {
    name: "unknown fieldPath",
    spec: { env: [{ name: "A", valueFrom: { fieldRef: { fieldPath: "status.podIP" } } }] },
    field: "spec.env[0].valueFrom.fieldRef.fieldPath",
  },
  { name: "unknown signal", spec: { stopSignal: "SIGSTOPP" }, field: "spec.stopSignal" },
  { name: "signal too large", spec: { stopSignal: "65" }, field: "spec.stopSignal" },
  { name: "host name with a space", spec: { hostname: "a b" }, field: "spec.hostname" },
  { name: "host name too long", spec: { hostname: "a".repeat(64) }, field: "spec.hostname", says: "Too long" },
  { name: "user with two colons", spec: { user: "a:b:c" }, field: "spec.user" },
  {
    name: "unknown capability form",
    spec: { securityContext: { capabilities: { add: ["net_admin"] } } },
    field: "spec.securityContext.capabilities.add[0]",
  },
  { name: "unknown ulimit", spec: { ulimits: [{ name: "files", soft: 1, hard: 1 }] }, field: "spec.ulimits[0].name" },
  {
    name: "too many name servers",
    spec: { network: { dns: { nameservers: ["1.1.1.1", "1.1.1.2", "1.1.1.3", "1.1.1.4"] } } },
    field: "spec.network.dns.nameservers",
    says: "Too many",
  },
  {
    name: "name server that is no address",
    spec: { network: { dns: { nameservers: ["dns"] } } },
    field: "spec.network.dns.nameservers[0]",
  },
  {
    name: "MAC address of a group",
    spec: { network: { macAddress: "01:42:0a:59:00:02" } },
    field: "spec.network.macAddress",
  },
  {
    name: "device permissions",
    spec: { devices: [{ hostPath: "/dev/fuse", permissions: "rx" }] },
    field: "spec.devices[0].permissions",
  },
];

/** Refused by a rule over several fields: by the agent, and by servers from 1.25 on. */
export const CONTRADICTORY: readonly Case[] = [
  {
    name: "maxRestarts with Always",
    spec: { maxRestarts: 3 },
    field: "spec.maxRestarts",
    says: "only for restartPolicy OnFailure",
  },
  {
    name: "autoRemove with Always",
    spec: { autoRemove: true },
    field: "spec.autoRemove",
    says: "needs restartPolicy Never",
  },
  {
    name: "user beside runAsUser",
    spec: { user: "web", securityContext: { runAsUser: 1 } },
    field: "spec.user",
    says: "beside securityContext.runAsUser",
  },
  {
    name: "user beside runAsGroup",
    spec: { user: "web", securityContext: { runAsGroup: 1 } },
    field: "spec.user",
    says: "beside securityContext.runAsUser",
  },
  {
    name: "another hostPort with Host",
    spec: { network: { mode: "Host" }, ports: [{ containerPort: 80, hostPort: 8080 }] },
    field: "spec.ports",
    says: "equal to containerPort",
  },
  {
    name: "hostPort with None",
    spec: { network: { mode: "None" }, ports: [{ containerPort: 80, hostPort: 80 }] },
    field: "spec.ports",
    says: "only Bridge publishes",
  },
  {
    name: "hostPort with Container",
    spec: { network: { mode: "Container", container: "peer" }, ports: [{ containerPort: 80, hostPort: 80 }] },
    field: "spec.ports",
    says: "only Bridge publishes",
  },
  {
    name: "Container without a container",
    spec: { network: { mode: "Container" } },
    field: "spec.network.container",
    says: "needed with network.mode Container",
  },
  {
    name: "container with Bridge",
    spec: { network: { container: "peer" } },
    field: "spec.network.container",
    says: "only allowed there",
  },
  {
    name: "own network joined",
    spec: { network: { mode: "Container", container: "hello" } },
    field: "spec.network.container",
    says: "own network",
  },
  {
    name: "linked to itself",
    spec: { network: { links: [{ container: "hello" }] } },
    field: "spec.network.links",
    says: "linked to itself",
  },
  {
    name: "hostname with Container",
    spec: { hostname: "a", network: { mode: "Container", container: "peer" } },
    field: "spec.hostname",
    says: "joined Container",
  },
  {
    name: "dns with Container",
    spec: { network: { mode: "Container", container: "peer", dns: {} } },
    field: "spec.network",
    says: "joined Container",
  },
  {
    name: "links with Host",
    spec: { network: { mode: "Host", links: [{ container: "db" }] } },
    field: "spec.network.links",
    says: "only for network.mode Bridge",
  },
  {
    name: "links of one name",
    spec: { network: { links: [{ container: "db" }, { container: "db2", alias: "db" }] } },
    field: "spec.network.links",
    says: "alias of its own",
  },
  {
    name: "network's name with None",
    spec: { network: { mode: "None", name: "lan" } },
    field: "spec.network.name",
    says: "only for network.mode Bridge",
  },
  {
    name: "address with Host",
    spec: { network: { mode: "Host", ipAddress: "10.0.0.1" } },
    field: "spec.network.ipAddress",
    says: "only for network.mode Bridge",
  },
  {
    name: "MAC address with Host",
    spec: { network: { mode: "Host", macAddress: "02:42:0a:59:00:02" } },
    field: "spec.network.macAddress",
    says: "only for network.mode Bridge",
  },
  {
    name: "ndots without a value",
    spec: { network: { dns: { options: [{ name: "ndots" }] } } },
    field: "spec.network.dns.options",
    says: "need a number",
  },
  {
    name: "hostPort given twice",
    spec: {
      ports: [
        { containerPort: 80, hostPort: 80 },
        { containerPort: 81, hostPort: 80 },
      ],
    },
    field: "spec.ports",
    says: "hostPort is given twice",
  },
  {
    name: "hostPort given twice at an address",
    spec: {
      ports: [
        { containerPort: 80, hostPort: 80, hostIP: "10.0.0.1" },
        { containerPort: 81, hostPort: 80, hostIP: "10.0.0.1" },
      ],
    },
    field: "spec.ports",
    says: "hostPort is given twice",
  },
  {
    name: "name of two ports",
    spec: {
      ports: [
        { name: "web", containerPort: 80 },
        { name: "web", containerPort: 81 },
      ],
    },
    field: "spec.ports",
    says: "must be unique",
  },
  {
    name: "volume without a source",
    spec: { volumes: [{ name: "v" }] },
    field: "spec.volumes[0]",
    says: "exactly one of hostPath",
  },
  {
    name: "volume with two sources",
    spec: { volumes: [{ name: "v", emptyDir: {}, hostPath: { path: "/a" } }] },
    field: "spec.volumes[0]",
    says: "exactly one of hostPath",
  },
  {
    name: "mount of no volume",
    spec: mounts({ name: "w", mountPath: "/w" }),
    field: "spec.volumeMounts",
    says: "not in volumes",
  },
  {
    name: "mount without volumes",
    spec: { volumeMounts: [{ name: "v", mountPath: "/v" }] },
    field: "spec.volumeMounts",
    says: "not in volumes",
  },
  {
    name: "Bidirectional without privileged",
    spec: mounts({ name: "v", mountPath: "/v", mountPropagation: "Bidirectional" }),
    field: "spec.volumeMounts",
    says: "needs securityContext.privileged",
  },
  {
    name: "value beside valueFrom",
    spec: { env: [{ name: "A", value: "b", valueFrom: { secretKeyRef: { name: "s", key: "k" } } }] },
    field: "spec.env[0].valueFrom",
    says: "not both",
  },
  {
    name: "valueFrom nothing",
    spec: { env: [{ name: "A", valueFrom: {} }] },
    field: "spec.env[0].valueFrom",
    says: "exactly one of fieldRef",
  },
  {
    name: "valueFrom two sources",
    spec: {
      env: [
        { name: "A", valueFrom: { secretKeyRef: { name: "s", key: "k" }, fieldRef: { fieldPath: "metadata.name" } } },
      ],
    },
    field: "spec.env[0].valueFrom",
    says: "exactly one of fieldRef",
  },
  {
    name: "envFrom nothing",
    spec: { envFrom: [{ prefix: "A" }] },
    field: "spec.envFrom[0]",
    says: "exactly one of configMapRef",
  },
  {
    name: "two probes",
    spec: { healthcheck: { ...probe, tcpSocket: { port: 80 } } },
    field: "spec.healthcheck",
    says: "not several",
  },
  {
    name: "soft limit above hard",
    spec: { ulimits: [{ name: "nofile", soft: 2, hard: 1 }] },
    field: "spec.ulimits[0].soft",
    says: "soft limit",
  },
  {
    name: "unlimited soft limit below a hard one",
    spec: { ulimits: [{ name: "nofile", soft: -1, hard: 1 }] },
    field: "spec.ulimits[0].soft",
    says: "soft limit",
  },
  {
    name: "Localhost profile without a file",
    spec: { securityContext: { seccompProfile: { type: "Localhost" } } },
    field: "spec.securityContext.seccompProfile.localhostProfile",
    says: "needed with type Localhost",
  },
  {
    name: "profile's file without Localhost",
    spec: { securityContext: { appArmorProfile: { type: "Unconfined", localhostProfile: "a" } } },
    field: "spec.securityContext.appArmorProfile.localhostProfile",
    says: "only allowed there",
  },
  {
    name: "privileged without escalation",
    spec: { securityContext: { privileged: true, allowPrivilegeEscalation: false } },
    field: "spec.securityContext.allowPrivilegeEscalation",
    says: "privileged container",
  },
  {
    name: "root that must not be root",
    spec: { securityContext: { runAsNonRoot: true, runAsUser: 0 } },
    field: "spec.securityContext.runAsUser",
    says: "runAsNonRoot forbids",
  },
  {
    name: "sysctl of the node's network",
    spec: { network: { mode: "Host" }, securityContext: { sysctls: [{ name: "net.core.somaxconn", value: "1" }] } },
    field: "spec.securityContext.sysctls",
    says: "change the node's",
  },
  {
    name: "limit below request",
    spec: { resources: { limits: { memory: "64Mi" }, requests: { memory: "65Mi" } } },
    field: "spec.resources.requests.memory",
    says: "memory limit of 64Mi",
    agentOnly: true,
  },
];

/** Accepted by all: what stands close to the border of a rule or form. */
export const ACCEPTED: readonly Case[] = [
  { name: "as little as can be", spec: {} },
  { name: "maxRestarts with OnFailure", spec: { restartPolicy: "OnFailure", maxRestarts: 0 } },
  { name: "autoRemove with Never", spec: { restartPolicy: "Never", autoRemove: true } },
  {
    name: "one container port on two of the node",
    spec: {
      ports: [
        { containerPort: 80, hostPort: 80 },
        { containerPort: 80, hostPort: 81 },
      ],
    },
  },
  {
    name: "one hostPort for two protocols",
    spec: {
      ports: [
        { containerPort: 53, hostPort: 53 },
        { containerPort: 53, hostPort: 53, protocol: "UDP" },
      ],
    },
  },
  {
    name: "one hostPort at two addresses",
    spec: {
      ports: [
        { containerPort: 1, hostPort: 1, hostIP: "10.0.0.1" },
        { containerPort: 1, hostPort: 1, hostIP: "fd00::1" },
      ],
    },
  },
  {
    name: "Host with its own ports",
    spec: { network: { mode: "Host" }, ports: [{ containerPort: 80, hostPort: 80 }, { containerPort: 81 }] },
  },
  {
    name: "another Container's network",
    spec: { network: { mode: "Container", container: "peer" }, ports: [{ containerPort: 80 }] },
  },
  { name: "links", spec: { network: { links: [{ container: "db" }, { container: "db", alias: "db2" }] } } },
  {
    name: "dns",
    spec: {
      network: {
        dns: {
          nameservers: ["10.0.0.1", "fd00::1"],
          searches: ["example.com", "."],
          options: [{ name: "ndots", value: "2" }, { name: "edns0" }],
        },
        hostAliases: [{ ip: "10.0.0.1", hostnames: ["a", "b.example.com"] }],
      },
    },
  },
  {
    name: "quantities",
    spec: {
      resources: { limits: { cpu: "0.5", memory: 67108864 }, requests: { cpu: "500m", memory: "64Mi" } },
      shmSize: "1e6",
      logging: { maxSize: "1.5Gi" },
    },
  },
  {
    name: "unusual paths",
    spec: {
      workingDir: "/",
      volumes: [{ name: "v", hostPath: { path: "/..a/.b/c..d//e:f/" } }],
      volumeMounts: [{ name: "v", mountPath: "/..a/.b/...", subPath: "..b" }],
    },
  },
  { name: "signals", spec: { stopSignal: "SIGRTMIN+3" } },
  { name: "signal by number", spec: { stopSignal: "15" } },
  {
    name: "ulimits",
    spec: {
      ulimits: [
        { name: "nofile", soft: 1, hard: -1 },
        { name: "core", soft: -1, hard: -1 },
        { name: "nproc", soft: 5, hard: 5 },
      ],
    },
  },
  {
    name: "empty value beside valueFrom",
    spec: {
      env: [
        { name: "A", value: "", valueFrom: { fieldRef: { apiVersion: "v1", fieldPath: "metadata.name" } } },
        { name: "a.b-c d" },
      ],
    },
  },
  {
    name: "healthcheck of the image, other times",
    spec: { healthcheck: { interval: "1m30s", timeout: "500ms", onUnhealthy: "Restart" } },
  },
  { name: "healthcheck of a named port", spec: { healthcheck: { httpGet: { port: "web", host: "fd00::1" } } } },
  {
    name: "privileged and Bidirectional",
    spec: {
      ...mounts({ name: "v", mountPath: "/v", mountPropagation: "Bidirectional" }),
      securityContext: { privileged: true },
    },
  },
  {
    name: "confinement",
    spec: {
      securityContext: {
        seccompProfile: { type: "Localhost", localhostProfile: "a/b.json" },
        capabilities: { add: ["NET_ADMIN", "CAP_SYS_TIME"], drop: ["ALL"] },
        sysctls: [{ name: "net.ipv4.ip_forward", value: "1" }],
      },
    },
  },
];

/** A whole object of a case's spec. */
export function objectOf({ spec }: Case): object {
  return {
    apiVersion: "berth.dev/v1alpha1",
    kind: "Container",
    metadata: { name: "hello", namespace: "default" },
    spec: { nodeName: "node-1", image: "example.com/hello:1", ...spec },
  };
}
