import { type Case, mounts } from "./case.ts";

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
  {
    name: "files of a configMap",
    spec: {
      volumes: [
        {
          name: "v",
          configMap: { name: "c", items: [".a", "./b/..c", "b/a", "d.."].map((path) => ({ key: "k", path })) },
        },
        { name: "w", secret: { secretName: "s" } },
      ],
      volumeMounts: [
        { name: "v", mountPath: "/a", subPath: "..data/b" },
        { name: "v", mountPath: "/a/b" },
        { name: "v", mountPath: "/b", subPath: "b/./" },
        { name: "v", mountPath: "/c", subPath: "." },
        { name: "w", mountPath: "/d", subPath: "./key" },
      ],
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
