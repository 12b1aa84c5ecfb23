import { type Case, mounts } from "./case.ts";

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
    name: "subPath leaving by ..",
    spec: mounts({ name: "v", mountPath: "/a", subPath: "b/../../c" }),
    field: "spec.volumeMounts[0].subPath",
  },
  {
    name: "file of a secret leaving by ..",
    spec: { volumes: [{ name: "v", secret: { secretName: "s", items: [{ key: "k", path: "a/../b" }] } }] },
    field: "spec.volumes[0].secret.items[0].path",
  },
  {
    name: "file of a configMap beginning with ..",
    spec: { volumes: [{ name: "v", configMap: { name: "c", items: [{ key: "k", path: "..data/x" }] } }] },
    field: "spec.volumes[0].configMap.items[0].path",
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
