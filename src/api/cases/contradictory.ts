import { type Case, mounts } from "./case.ts";

const probe = { httpGet: { port: 80 } };
const part = (subPath: string) => ({ name: "v", mountPath: "/v", subPath });
const files = (...paths: string[]) => paths.map((path, index) => ({ key: `k${index}`, path }));

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
    name: "hostPort given at an address and at all",
    spec: {
      ports: [
        { containerPort: 80, hostPort: 8080, hostIP: "127.0.0.1" },
        { containerPort: 81, hostPort: 8080, hostIP: "0.0.0.0" },
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
    name: "two mounts on one path, spelled differently",
    spec: mounts({ name: "v", mountPath: "/a/b" }, { name: "v", mountPath: "/a/./b/" }),
    field: "spec.volumeMounts[1].mountPath",
    says: "spec.volumeMounts[0] has it",
    agentOnly: true,
  },
  {
    name: "mount on the root",
    spec: mounts({ name: "v", mountPath: "/." }),
    field: "spec.volumeMounts[0].mountPath",
    says: "must not be the container's root",
    agentOnly: true,
  },
  {
    name: "two keys as one file",
    spec: { volumes: [{ name: "v", configMap: { name: "c", items: files("a", "./a") } }] },
    field: "spec.volumes[0].configMap.items[1].path",
    says: "spec.volumes[0].configMap.items[0] is it",
    agentOnly: true,
  },
  {
    name: "file below a file",
    spec: { volumes: [{ name: "v", secret: { secretName: "s", items: files("a/b/c", "a/b") } }] },
    field: "spec.volumes[0].secret.items[0].path",
    says: "spec.volumes[0].secret.items[1] is it",
    agentOnly: true,
  },
  {
    name: "file that begins with .. by another spelling",
    spec: { volumes: [{ name: "v", configMap: { name: "c", items: files("./..data/a") } }] },
    field: "spec.volumes[0].configMap.items[0].path",
    says: "must not begin with '..'",
    agentOnly: true,
  },
  {
    name: "subPath that is no key",
    spec: { volumes: [{ name: "v", secret: { secretName: "s" } }], volumeMounts: [part("a/b")] },
    field: "spec.volumeMounts[0].subPath",
    says: "must be a key",
    agentOnly: true,
  },
  {
    name: "subPath that is no item",
    spec: { volumes: [{ name: "v", configMap: { name: "c", items: files("a/b", "c") } }], volumeMounts: [part("b")] },
    field: "spec.volumeMounts[0].subPath",
    says: "must be the path of an item of volume v: a/b, c",
    agentOnly: true,
  },
  {
    name: "file without a name",
    spec: { volumes: [{ name: "v", configMap: { name: "c", items: files(".") } }] },
    field: "spec.volumes[0].configMap.items[0].path",
    says: "must name a file",
    agentOnly: true,
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
