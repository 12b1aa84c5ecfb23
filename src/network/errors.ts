// What can go wrong when a container gets its network.

/** A network that could not be set up. The message says what to do about it. */
export class NetworkError extends Error {
  override readonly name = "NetworkError";
  readonly reason = "NetworkSetupFailed";
}

/** The error object a CNI plugin answers (CNI spec 1.0.0, section 5, "Error"), with the plugin it came from. */
export class CniError extends Error {
  override readonly name = "CniError";
  readonly plugin: string;
  /** Codes below 100 are the spec's, 100 and above the plugin's own; undefined when it died without an answer. */
  readonly code: number | undefined;
  readonly msg: string;
  readonly details: string | undefined;

  constructor(plugin: string, answer: { code?: number | undefined; msg: string; details?: string | undefined }) {
    const details = answer.details === undefined || answer.details === "" ? "" : ` (${answer.details})`;
    super(`CNI plugin ${plugin}: ${answer.msg}${details}`);
    this.plugin = plugin;
    this.code = answer.code;
    this.msg = answer.msg;
    this.details = answer.details;
  }
}

/** A plugin that is in none of the directories searched. */
export class PluginMissingError extends Error {
  override readonly name = "PluginMissingError";

  constructor(plugin: string, searched: readonly string[]) {
    super(
      `CNI plugin ${plugin} is in none of ${searched.join(", ")}: install the containernetworking plugins on the ` +
        `node or set --cni-bin-dir`,
    );
  }
}

/** Words a start error with what its user or the node's operator can do. */
export function explain(error: unknown, network: { name: string; subnet?: string | undefined }): NetworkError {
  if (error instanceof NetworkError) return error;
  const message = error instanceof Error ? error.message : String(error);
  const advice = adviceFor(message, network);
  return new NetworkError(`network ${network.name}: ${message}${advice === "" ? "" : `: ${advice}`}`, { cause: error });
}

// The texts are those of the containernetworking plugins; they have no code of their own for these cases.
const EXHAUSTED = /no IP addresses available/;
const NOT_TO_HAVE = /requested ip|failed to allocate all requested IPs/i;

/** Whether an attach failed because an address that it needs is another's, or all are. */
export function isAddressMissing(error: unknown): boolean {
  return error instanceof CniError && [EXHAUSTED, NOT_TO_HAVE].some((words) => words.test(error.message));
}

function adviceFor(message: string, network: { name: string; subnet?: string | undefined }): string {
  if (EXHAUSTED.test(message)) {
    return network.subnet === undefined
      ? "all its addresses are in use; remove Containers or widen the range in its configuration"
      : `all addresses of ${network.subnet} are in use; remove Containers or give the agent a larger --bridge-subnet`;
  }
  if (NOT_TO_HAVE.test(message)) {
    return "spec.network.ipAddress must be a free address of this network: choose another, or leave it out";
  }
  if (message.includes("already has an IP address different from")) {
    return "the bridge has an address outside the subnet; remove the bridge or set --bridge-name and --bridge-subnet to match";
  }
  return "";
}
