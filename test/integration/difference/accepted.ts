/** A difference that has a reason, which docs/differences.md gives. */
export interface Accepted {
  readonly because: string;
  /** Which lines: `-` is Docker's, `+` Berth's, then the section. */
  readonly lines: RegExp;
  /** The wishes at which it shows; any when absent. */
  readonly only?: readonly string[];
}

export const ACCEPTED: readonly Accepted[] = [
  { because: "/.dockerenv is Docker's mark", lines: /^- files \/\.dockerenv / },
  { because: "Docker's comments in resolv.conf", lines: /^- resolv\.conf #/ },
  {
    because: "containers know each other by name, as on a user-defined network of Docker's",
    lines: /^\+ hosts (# (Kept up|End of)|ADDRESS )/,
    only: ["nothing", "dns", "add-host", "published port", "link"],
  },
  {
    because: "Docker writes a linked container's name twice when its host name is the same",
    lines: /^- hosts ADDRESS data-base (\S+) \1$/,
    only: ["link"],
  },
  {
    because: "the Docker that is compared with has a network of its own for the host's",
    lines: /^[-+] (network|sysctls net\/)/,
    only: ["network host"],
  },
  {
    because: "the host name is the Container's also in the node's network",
    lines: /^[-+] (env HOSTNAME=|hostname |names )/,
    only: ["network host"],
  },
  {
    because: "an emptyDir may be written by all, and has no sticky bit (core/v1)",
    lines: /^[-+] (files|mounts) \/scratch /,
    only: ["tmpfs"],
  },
  {
    because: "a limit of CPU is the request, too, and with it the share (core/v1)",
    lines: /^[-+] cgroup cpu(\/cpu\.shares|\.weight) /,
    only: ["cpus"],
  },
  {
    because: "Docker makes the working directory when it creates the container, and refuses that",
    lines: /^(- creation refused|\+ exit code 128)$/,
    only: ["workdir that is a file"],
  },
];
