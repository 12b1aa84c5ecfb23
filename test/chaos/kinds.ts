/** The kinds of Containers that churn: what each is made of, what it may be wished, and what becomes of it. */
import type { ContainerSpec } from "../../src/api/index.ts";

/** What is different between two of the same kind. */
export interface Setting {
  readonly image: string;
  /** A folder of the node's for this object alone: `journal` and `control` are in it. */
  readonly dir: string;
  /** A port of the node that is this slot's. */
  readonly hostPort: number;
  /** Name of the Container that it joins or links to. */
  readonly peer: string;
}

/** A wish that a kind may be given once it is there. */
export type Verb = "stop" | "pause" | "restart" | "tune" | "rebuild" | "exit" | "oom" | "sick" | "delete" | "tear";

/** A kind of Container. */
export interface Kind {
  readonly spec: (setting: Setting) => Partial<ContainerSpec>;
  readonly verbs: readonly Verb[];
  /** It ends by itself soon after each start. */
  readonly endsByItself?: true;
  /** What its start fails with. */
  readonly fails?: { readonly state: string; readonly reasons: readonly string[]; readonly exitCode: number };
  /** It needs the anchor: in its network, or by a link. */
  readonly needs?: "network" | "link";
}

/**
 * What all of them run, pid 1 of the container. In `journal` stands a line for each start (`S`) and each end it comes to
 * itself (`E`, with its exit code), with what tells incarnations apart: a word in the writable layer. It then waits for
 * one line in `control`, a FIFO, without using the processor: `exit <code>`, `oom` or `sick`.
 */
function script(options: { stopSignal?: string; stopCode?: number; then?: string } = {}): string {
  const { stopSignal = "TERM", stopCode = 0, then = ORDERS } = options;
  return [
    `[ -s /incarnation ] || cat /proc/sys/kernel/random/uuid >/incarnation; read -r i </incarnation; rm -f /sick`,
    `end() { echo "E $i $1" >>/chaos/journal; exit "$1"; }`,
    ...(stopSignal === "" ? [] : [`trap 'end ${stopCode}' ${stopSignal}`]),
    `exec 3<>/chaos/control; echo "S $i" >>/chaos/journal`,
    then,
  ].join("\n");
}

const ORDERS = `while read -r order code <&3; do case $order in
exit) end "$code";;
oom) echo "O $i" >>/chaos/journal; if [ "$code" = child ]; then tail /dev/zero; end $?; else exec tail /dev/zero; fi;;
sick) touch /sick;;
esac; done; end 99`;

const LIVELY: readonly Verb[] = ["stop", "pause", "restart", "tune", "rebuild", "exit", "delete", "tear"];
const NONE = { mode: "None" } as const;

function sleeper(more: Partial<ContainerSpec> = {}, options: Parameters<typeof script>[0] = {}) {
  return ({ image, dir }: Setting): Partial<ContainerSpec> => ({
    image,
    command: ["sh", "-c", script(options)],
    network: NONE,
    terminationGracePeriodSeconds: 3,
    ...more,
    volumes: [{ name: "chaos", hostPath: { path: dir, type: "Directory" } }, ...(more.volumes ?? [])],
    volumeMounts: [{ name: "chaos", mountPath: "/chaos" }, ...(more.volumeMounts ?? [])],
  });
}

const failing = (state: string, exitCode: number, ...reasons: string[]): NonNullable<Kind["fails"]> => ({
  state,
  exitCode,
  reasons,
});
const STUCK: readonly Verb[] = ["tune", "rebuild", "restart", "delete", "tear"];

/** All kinds, by name. */
export const KINDS = {
  plain: { spec: sleeper(), verbs: LIVELY },
  bridge: { spec: sleeper({ network: { mode: "Bridge" } }), verbs: LIVELY },
  published: {
    spec: (setting) => ({
      ...sleeper({ network: { mode: "Bridge" } })(setting),
      ports: [{ containerPort: 80, hostPort: setting.hostPort }],
    }),
    verbs: LIVELY,
  },
  host: { spec: sleeper({ network: { mode: "Host" } }), verbs: LIVELY },
  joiner: {
    spec: (setting) => sleeper({ network: { mode: "Container", container: setting.peer } })(setting),
    verbs: LIVELY,
    needs: "network",
  },
  linker: {
    spec: (setting) =>
      sleeper({ network: { mode: "Bridge", links: [{ container: setting.peer, alias: "db" }] } })(setting),
    verbs: LIVELY,
    needs: "link",
  },
  volumes: {
    spec: sleeper({
      volumes: [
        { name: "disk", emptyDir: {} },
        { name: "memory", emptyDir: { medium: "Memory", sizeLimit: "1Mi" } },
        { name: "settings", configMap: { name: "chaos" } },
        { name: "login", secret: { secretName: "chaos" } },
        { name: "shared", volume: { name: "chaos" } },
      ],
      volumeMounts: [
        { name: "disk", mountPath: "/disk" },
        { name: "disk", mountPath: "/below", subPath: "below" },
        { name: "memory", mountPath: "/memory" },
        { name: "settings", mountPath: "/settings" },
        { name: "login", mountPath: "/login", readOnly: true },
        { name: "shared", mountPath: "/shared" },
      ],
    }),
    verbs: LIVELY,
  },
  never: { spec: sleeper({ restartPolicy: "Never" }, { stopCode: 5 }), verbs: LIVELY },
  twice: { spec: sleeper({ restartPolicy: "OnFailure", maxRestarts: 2 }, { stopCode: 6 }), verbs: LIVELY },
  removed: {
    spec: sleeper({ restartPolicy: "Never", autoRemove: true, network: { mode: "Bridge" } }),
    verbs: ["pause", "tune", "exit", "delete"],
  },
  limited: {
    spec: sleeper({ resources: { limits: { memory: "32Mi" } }, restartPolicy: "Always" }),
    verbs: [...LIVELY, "oom", "oom"],
  },
  limitedOnce: {
    spec: sleeper({ resources: { limits: { memory: "32Mi" } }, restartPolicy: "Never" }),
    verbs: [...LIVELY, "oom", "oom"],
  },
  checked: {
    spec: sleeper({
      healthcheck: {
        exec: { command: ["sh", "-c", "! test -e /sick"] },
        interval: "3s",
        timeout: "60s",
        retries: 1,
        onUnhealthy: "Restart",
      },
    }),
    verbs: [...LIVELY, "sick"],
  },
  signal: {
    spec: sleeper({ stopSignal: "SIGUSR1", network: { mode: "Bridge" } }, { stopSignal: "USR1", stopCode: 3 }),
    verbs: LIVELY,
  },
  deaf: { spec: sleeper({ terminationGracePeriodSeconds: 1 }, { stopSignal: "" }), verbs: LIVELY },
  abrupt: { spec: sleeper({ terminationGracePeriodSeconds: 0 }), verbs: LIVELY },
  terminal: { spec: sleeper({ tty: true, stdin: true }), verbs: LIVELY },
  job: {
    spec: sleeper({ restartPolicy: "Never", network: { mode: "Bridge" } }, { then: "sleep 1; end 7" }),
    verbs: ["stop", "restart", "tune", "rebuild", "delete", "tear"],
    endsByItself: true,
  },
  flapping: {
    spec: sleeper({ network: { mode: "Bridge" } }, { then: "usleep 300000; end 9" }),
    verbs: ["stop", "restart", "tune", "rebuild", "delete", "tear"],
    endsByItself: true,
  },
  notFound: {
    spec: (setting) => ({ ...sleeper({ network: { mode: "Bridge" } })(setting), command: ["/no/such/command"] }),
    verbs: STUCK,
    fails: failing("Exited", 127, "CommandNotFound"),
  },
  noVolume: {
    spec: (setting) => ({
      ...sleeper({ network: { mode: "Bridge" } })(setting),
      volumes: [{ name: "chaos", hostPath: { path: `${setting.dir}/missing`, type: "Directory" as const } }],
    }),
    verbs: STUCK,
    fails: failing("Pending", 128, "VolumeSetupFailed"),
  },
  noImage: {
    spec: (setting) => ({ ...sleeper()(setting), image: `${setting.image}-missing` }),
    verbs: STUCK,
    fails: failing("Pending", 128, "ErrImagePull", "ImagePullBackOff"),
  },
} as const satisfies Record<string, Kind>;

/** The name of a kind. */
export type KindName = keyof typeof KINDS;

/** A kind by its name. */
export function kindOf(name: KindName): Kind {
  return KINDS[name];
}

/** How often each is made, of those that need no place of their own. */
export const MIXED: readonly (readonly [KindName, number])[] = [
  ["plain", 2],
  ["bridge", 3],
  ["published", 2],
  ["host", 1],
  ["volumes", 3],
  ["never", 2],
  ["twice", 2],
  ["removed", 2],
  ["limited", 2],
  ["limitedOnce", 2],
  ["checked", 2],
  ["signal", 1],
  ["deaf", 1],
  ["abrupt", 1],
  ["terminal", 2],
  ["job", 2],
  ["flapping", 1],
  ["notFound", 1],
  ["noVolume", 1],
  ["noImage", 1],
];
