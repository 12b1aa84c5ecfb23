/** Tells from an OCI runtime's words, as containerd passes them on, what of a container's creation failed. */

/** What failed, and what a person can do about it (empty where the words say all). */
export interface RuntimeFault {
  readonly reason:
    | "CommandNotFound"
    | "CommandNotExecutable"
    | "MountMismatch"
    | "InvalidSpec"
    | "VolumeSetupFailed"
    | "NetworkSetupFailed"
    | "RuntimeError";
  readonly advice: string;
}

/** Docker's question, as its users know it. */
const MOUNT_QUESTION =
  "Are you trying to mount a directory onto a file (or vice-versa)? Check if the specified host path exists and is the expected type";

interface Rule {
  readonly pattern: RegExp;
  readonly fault: RuntimeFault;
}

const fault = (reason: RuntimeFault["reason"], advice = ""): RuntimeFault => ({ reason, advice });

const COMMAND_NOT_FOUND = fault("CommandNotFound", "check spec.command, or the image's own command");
const COMMAND_NOT_EXECUTABLE = fault(
  "CommandNotExecutable",
  "the command must be a file that the container's user may execute",
);
const MOUNT_MISMATCH = fault("MountMismatch", MOUNT_QUESTION);
const MOUNT_FAILED = fault("VolumeSetupFailed", "check the sources of spec.volumes on the node");
const NO_WORKING_DIRECTORY = fault("InvalidSpec", "spec.workingDir can't be a directory in the image");
const RUNTIME_BROKEN = fault("RuntimeError", "check the OCI runtime on the node");

/**
 * Parts of the runtime's work whose errors look like a missing command to Docker, or whose reason is another one. The
 * first that matches counts; texts are runc's (1.1 to 1.3) and crun's, in lower case and without names.
 */
const PARTS: readonly Rule[] = [
  // No runtime, or no shim, has run at all.
  {
    pattern:
      /unable to retrieve oci runtime error|failed to start shim|binary not installed|fork\/exec|failed to mount rootfs/,
    fault: RUNTIME_BROKEN,
  },
  // The command. Below a file, it is taken for a mount by Docker.
  { pattern: /exec: "".*(permission denied|is a directory)/s, fault: COMMAND_NOT_EXECUTABLE },
  { pattern: /exec: "".*(not found|no such file|not a directory)/s, fault: COMMAND_NOT_FOUND },
  { pattern: /error mounting.*(not a directory|is a directory|file exists)/s, fault: MOUNT_MISMATCH },
  { pattern: /error mounting|cannot stat/, fault: MOUNT_FAILED },
  { pattern: /error preparing rootfs|error jailing process/, fault: RUNTIME_BROKEN },
  // crun: mount `/source` to `/destination`: …
  { pattern: /\bmount `` to ``.*not a directory/s, fault: MOUNT_MISMATCH },
  { pattern: /\bmount `` to ``/, fault: MOUNT_FAILED },
  { pattern: /cgroup config|cgroup manager|\/sys\/fs\/cgroup/, fault: RUNTIME_BROKEN },
  { pattern: /\bmkdir .*not a directory|\bchdir .*(not a directory|no such file)/s, fault: NO_WORKING_DIRECTORY },
  {
    pattern: /\bchdir .*permission denied/s,
    fault: fault("CommandNotExecutable", "the container's user may not enter spec.workingDir"),
  },
  { pattern: /sysctl|\/proc\/sys\//, fault: fault("InvalidSpec", "check spec.securityContext.sysctls") },
  {
    pattern: /setting rlimit|setrlimit/,
    fault: fault("InvalidSpec", "the node does not grant what spec.ulimits asks for"),
  },
  {
    pattern: /oom-killed|memory limit too low/,
    fault: fault("InvalidSpec", "raise spec.resources.limits.memory: the runtime's own start needs more"),
  },
  { pattern: /netns|network namespace|ns\/net\b/, fault: fault("NetworkSetupFailed") },
  {
    pattern: /oom_score_adj|final child's pid/,
    fault: fault("RuntimeError", "a spec.oomScoreAdj below the runtime's own needs CAP_SYS_RESOURCE on the node"),
  },
  {
    pattern: /apparmor/,
    fault: fault("RuntimeError", "load the profile that spec.securityContext.appArmorProfile names on the node"),
  },
  { pattern: /cgroup|selinux|seccomp|session key|keyring|hook|pidfd/, fault: RUNTIME_BROKEN },
];

/** Docker's texts, in Docker's order. */
const DOCKER: readonly Rule[] = [
  { pattern: /permission denied|is a directory/, fault: COMMAND_NOT_EXECUTABLE },
  { pattern: /not a directory/, fault: MOUNT_MISMATCH },
  { pattern: /executable file .*not found|no such file or directory/, fault: COMMAND_NOT_FOUND },
];

/** What failed, from the text of an error of `Tasks.Create` or `Tasks.Start`. */
export function runtimeFault(text: string): RuntimeFault {
  const words = withoutNames(text).toLowerCase();
  return [...PARTS, ...DOCKER].find(({ pattern }) => pattern.test(words))?.fault ?? fault("RuntimeError");
}

// Names and paths are the user's: a command called "no such file or directory" must not decide.
function withoutNames(text: string): string {
  return text.replace(/"(?:[^"\\]|\\.)*"/g, '""').replace(/`[^`]*`/g, "``");
}
