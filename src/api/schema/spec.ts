/** `spec` of a Container: what a user asks for. */
import {
  DNS_LABEL,
  HOST_NAME,
  MOUNT_PATH,
  RELATIVE_PATH,
  flag,
  labelName,
  object,
  optional,
  quantity,
  text,
  whole,
  word,
} from "./fields.ts";
import { healthcheck } from "./healthcheck.ts";
import { network, ports } from "./network.ts";
import { args, command, env, envFrom, imagePullSecrets, stopSignal } from "./process.ts";
import { devices, resources, ulimits } from "./resources.ts";
import { specRules } from "./rules.ts";
import { securityContext } from "./security.ts";
import { volumeMounts, volumes } from "./volumes.ts";

export const DESIRED_STATES = ["Running", "Stopped", "Paused"] as const;
export const RESTART_POLICIES = ["Never", "OnFailure", "Always"] as const;
export const IMAGE_PULL_POLICIES = ["Always", "IfNotPresent", "Never"] as const;

const logging = object(
  "How much of the container's output is kept, in files of the node, <log-dir>/<namespace>/<name>/output.log. Docker: --log-opt.",
  {
    maxSize: optional(
      quantity(
        "Size at which the file is put aside as output.log.1 and a new one begun: 500Ki, 10Mi. Docker: max-size.",
        "10Mi",
      ),
    ),
    maxFiles: optional(
      whole("How many files are kept, the newest included. Docker: max-file.", { min: 1, max: 100, default: 3 }),
    ),
  },
  { preset: {} },
);

/** The schema of `spec`. */
export const containerSpec = object(
  "What the container is and how it runs. A change of desiredState, restartPolicy, maxRestarts, resources, pidsLimit, terminationGracePeriodSeconds, stopSignal, healthcheck or logging applies to the running container; any other recreates it.",
  {
    nodeName: text(
      "Name of the node whose agent runs the container, as kubectl get nodes shows it; it can't be changed.",
      {
        min: 1,
        form: {
          pattern: "^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$",
          says: "must be the name of a node: lower case letters, digits, '-' and '.'",
        },
        rules: [
          {
            rule: "self == oldSelf",
            message: "nodeName can't be changed: delete the Container and create it on the other node",
          },
        ],
      },
    ),
    desiredState: optional(
      word(
        "What the container shall be: Running (docker start), Stopped (docker stop) or Paused (docker pause; it is started first).",
        DESIRED_STATES,
        "Running",
      ),
    ),
    image: text("The image, as docker run takes it, name, name:tag or name@digest: docker.io/library/busybox:1.36.", {
      min: 1,
      max: 1024,
      form: { pattern: "^\\S+$", says: "must be the name of an image, without spaces" },
    }),
    imagePullPolicy: optional(
      word(
        "When the registry is asked: Always at each creation and when desiredState becomes Running, IfNotPresent when the node lacks the image, Never not at all. Always for the tag latest or none, else IfNotPresent.",
        IMAGE_PULL_POLICIES,
      ),
    ),
    imagePullSecrets: optional(imagePullSecrets),
    command: optional(command),
    args: optional(args),
    workingDir: optional(
      text(
        "Working directory of the command, made when it is missing; the image's WORKDIR unless set. Docker: --workdir.",
        {
          max: 4096,
          form: MOUNT_PATH,
        },
      ),
    ),
    env: optional(env),
    envFrom: optional(envFrom),
    ports: optional(ports),
    tty: optional(
      flag("Whether the process gets a terminal; its output is then the terminal's. Docker: --tty.", false),
    ),
    stdin: optional(
      flag("Whether the process's standard input stays open, fed by a FIFO on the node. Docker: --interactive.", false),
    ),
    hostname: optional(
      text("Host name in the container; metadata.name unless set. Docker: --hostname.", {
        min: 1,
        max: 63,
        form: HOST_NAME,
      }),
    ),
    domainname: optional(
      text("Domain name in the container, such as example.com; none unless set. Docker: --domainname.", {
        min: 1,
        max: 64,
        form: HOST_NAME,
      }),
    ),
    restartPolicy: optional(
      word(
        "When a container that ended by itself is started again: Never, OnFailure (exit code not 0) or Always. Docker: --restart.",
        RESTART_POLICIES,
        "Always",
      ),
    ),
    maxRestarts: optional(
      whole(
        "With OnFailure: how often it is started again; 0 is without limit, and so is leaving it out. Docker: --restart on-failure:N.",
        {
          min: 0,
          max: 1_000_000,
        },
      ),
    ),
    stopSignal: optional(stopSignal),
    terminationGracePeriodSeconds: optional(
      whole("Seconds from stopSignal to SIGKILL; 0 kills at once. Docker: --stop-timeout.", {
        min: 0,
        max: 86400 * 365,
        default: 10,
        format: "int64",
      }),
    ),
    autoRemove: optional(
      flag(
        "Whether the Container is deleted once it has ended or its start has failed for good; needs restartPolicy Never. Docker: --rm.",
        false,
      ),
    ),
    restoreFrom: optional(
      labelName(
        "Name of a ContainerCheckpoint of this namespace and node from which the container goes on; used once for each value.",
      ),
    ),
    runtime: optional(
      text("The runtime that runs it: runc, or a handler that the agent's configuration names. Docker: --runtime.", {
        min: 1,
        max: 63,
        form: DNS_LABEL,
        default: "runc",
      }),
    ),
    resources: optional(resources),
    pidsLimit: optional(
      whole(
        "The most processes and threads, such as 100; -1 is without limit, and so is leaving it out. Docker: --pids-limit.",
        {
          min: -1,
          max: 4194304,
          format: "int64",
        },
      ),
    ),
    securityContext: optional(securityContext),
    user: optional(
      text(
        "User and group of the process by name or id, looked up in the image: name[:group] or uid[:gid]; the image's USER unless set. Docker: --user.",
        {
          min: 1,
          form: { pattern: "^[^:\\s]+(:[^:\\s]+)?$", says: "must be name, name:group, uid or uid:gid" },
        },
      ),
    ),
    devices: optional(devices),
    ulimits: optional(ulimits),
    shmSize: optional(quantity("Size of /dev/shm, such as 256Mi; 64Mi unless set. Docker: --shm-size.")),
    oomScoreAdj: optional(
      whole(
        "Which process the kernel ends first when memory is short: from -1000 (never) to 1000 (first). Docker: --oom-score-adj.",
        {
          min: -1000,
          max: 1000,
        },
      ),
    ),
    hostPID: optional(flag("Whether the container sees the node's processes. Docker: --pid host.", false)),
    hostIPC: optional(
      flag("Whether the container shares the node's System V IPC and shared memory. Docker: --ipc host.", false),
    ),
    cgroupParent: optional(
      text(
        "The cgroup, below the agent's --cgroup-root, in which the container's is made, such as batch. Docker: --cgroup-parent.",
        {
          min: 1,
          max: 1024,
          form: RELATIVE_PATH,
        },
      ),
    ),
    network: optional(network),
    volumes: optional(volumes),
    volumeMounts: optional(volumeMounts),
    healthcheck: optional(healthcheck),
    logging: optional(logging),
  },
  { rules: specRules },
);
