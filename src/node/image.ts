// Berth in a Pod: this process is in the node's namespaces, and has a descriptor open on the root of its image, by which it
// came there (image/berth). Of the paths it knows, the node's are as they are; what came with the image or the Pod is below
// that root. On a node without the image nothing is different from one path to the other.
import { join } from "node:path";

/** As this process sees it, and as those do that it starts: they don't have the descriptor. */
const ROOT = process.env["BERTH_IMAGE_ROOT"];
const ROOT_FOR_OTHERS = ROOT?.replace("/self/", `/${process.pid}/`);

/**
 * The programs that come with the image: a node need not have them, or has others of the same names. All else that is run is
 * the node's: CNI plugins, and iptables, whose rules must be of one kind with theirs.
 */
const TOOLS = new Set(["cp", "flock", "ip", "mkfifo", "mount", "nsenter", "sh", "stty", "sync", "umount", "unshare"]);

/** The root below which files lie that were given to this process, such as its credentials; empty on a node without the image. */
export function podRoot(): string {
  return ROOT ?? "";
}

/**
 * A command as it has to be executed: a program of the image by the image's own loader, with the image's libraries. `root` is
 * for tests.
 */
export function programLine(command: string, args: readonly string[], root = ROOT_FOR_OTHERS): [string, ...string[]] {
  if (root === undefined || !TOOLS.has(command)) return [command, ...args];
  const libraries = ["--library-path", join(root, "opt/berth/lib")];
  return [join(root, "opt/berth/ld.so"), ...libraries, "--argv0", command, join(root, "usr/bin", command), ...args];
}
