/** What a container may use: cpu and memory, limits of its processes, devices. */
import { ABSOLUTE_PATH, MOUNT_PATH, list, object, optional, quantity, text, whole, word } from "./fields.ts";

/** `spec.resources`, as core/v1. */
export const resources = object(
  "How much cpu and memory the container may use, and how much is counted against the node.",
  {
    limits: optional(
      object("The most the container gets. A limit without a request is the request too.", {
        cpu: optional(
          quantity(
            'CPUs: 2, "0.5" or 500m (a fraction needs its quotes). The container is slowed down to it. Docker: --cpus.',
          ),
        ),
        memory: optional(
          quantity("Bytes of memory: 64Mi, 1Gi. A container that needs more is killed (OOMKilled). Docker: --memory."),
        ),
      }),
    ),
    requests: optional(
      object("What the container counts for in the node's budget for Containers.", {
        cpu: optional(
          quantity(
            "CPUs, as in limits; also its share when CPUs are short. The limit unless set. Docker: --cpu-shares.",
          ),
        ),
        memory: optional(
          quantity(
            "Bytes of memory, as in limits; the kernel takes it back last when memory is short. Docker: --memory-reservation.",
          ),
        ),
      }),
    ),
  },
);

/** The resource limits of setrlimit(2) that an ulimit can name. */
export const ULIMITS = [
  "as",
  "core",
  "cpu",
  "data",
  "fsize",
  "locks",
  "memlock",
  "msgqueue",
  "nice",
  "nofile",
  "nproc",
  "rss",
  "rtprio",
  "rttime",
  "sigpending",
  "stack",
] as const;

const LARGEST = Number.MAX_SAFE_INTEGER;

/** `spec.ulimits`. */
export const ulimits = list(
  "Limits of the container's processes (setrlimit); what is left out is the runtime's. Docker: --ulimit.",
  object(
    "One limit of the container's processes.",
    {
      name: word("Which limit, such as nofile, as setrlimit(2) names it without RLIMIT_.", ULIMITS),
      soft: whole("The limit in force, in the unit that setrlimit(2) has for it; -1 is unlimited.", {
        min: -1,
        max: LARGEST,
        format: "int64",
      }),
      hard: whole("How far the process may raise it itself; -1 is unlimited.", {
        min: -1,
        max: LARGEST,
        format: "int64",
      }),
    },
    {
      rules: [
        {
          rule: "self.hard == -1 || (self.soft != -1 && self.soft <= self.hard)",
          message: "the soft limit of an ulimit must not be above its hard limit (-1 is unlimited)",
          at: "soft",
        },
      ],
    },
  ),
  { max: ULIMITS.length, keys: ["name"] },
);

/** `spec.devices`. */
export const devices = list(
  "Devices of the node that the container may use. Docker: --device.",
  object("A device of the node, or a directory of the node: all devices below it.", {
    hostPath: text("The device on the node, such as /dev/fuse.", { min: 1, max: 4096, form: ABSOLUTE_PATH }),
    containerPath: optional(
      text("Where it appears in the container; defaults to hostPath.", { min: 1, max: 4096, form: MOUNT_PATH }),
    ),
    permissions: optional(
      text("What the container may do with the device: any of r (read), w (write) and m (mknod).", {
        max: 3,
        form: {
          pattern: "^(r|w|m|rw|wr|rm|mr|wm|mw|rwm|rmw|wrm|wmr|mrw|mwr)$",
          says: "must be made of r, w and m, each at most once",
        },
        default: "rwm",
      }),
    ),
  }),
  { max: 100 },
);
