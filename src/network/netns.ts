// Named network namespaces: a file onto which the kernel's handle of the namespace is mounted, so that the namespace
// lives without a process in it. They lie in Berth's own directory, where `ip netns` does not list them.
import { mkdir, open, stat, statfs, unlink } from "node:fs/promises";
import { dirname } from "node:path";
import { programLine, orMissing, run, unmount } from "../node/index.ts";

const NSFS_MAGIC = 0x6e736673;

/**
 * Makes a new network namespace at this path with its loopback interface up.
 *
 * @throws CommandError
 */
export async function createNetns(path: string): Promise<void> {
  await mkdir(dirname(path), { recursive: true, mode: 0o711 });
  await (await open(path, "w", 0o444)).close();
  // One process does it all: unshare(1) makes the namespace and mounts it on the file, then becomes ip(8) inside.
  await run("unshare", [`--net=${path}`, ...programLine("ip", ["link", "set", "lo", "up"])]);
}

/**
 * Switches IPv6 off on an interface in a namespace, as Docker does where the network gives IPv4 addresses alone.
 *
 * @throws CommandError
 */
export async function disableIPv6(path: string, ifName: string): Promise<void> {
  if ((await orMissing(stat("/proc/sys/net/ipv6"))) === undefined) return;
  const write = programLine("sh", ["-c", `echo 1 >/proc/sys/net/ipv6/conf/${ifName}/disable_ipv6`]);
  await run("nsenter", [`--net=${path}`, "--", ...write]);
}

/**
 * Gives a namespace a second name, by which it lives on when the first is removed.
 *
 * @throws CommandError
 */
export async function shareNetns(path: string, shared: string): Promise<void> {
  await mkdir(dirname(shared), { recursive: true, mode: 0o711 });
  await (await open(shared, "w", 0o444)).close();
  await run("mount", ["--bind", "--", path, shared]);
}

/** Whether two paths name one living namespace. */
export async function isSameNetns(a: string, b: string): Promise<boolean> {
  if (!(await netnsExists(a)) || !(await netnsExists(b))) return false;
  const [one, other] = await Promise.all([stat(a), stat(b)]);
  return one.ino === other.ino && one.dev === other.dev;
}

/** Whether a living namespace is at this path. After a reboot the file may still be there, but nothing is mounted on it. */
export async function netnsExists(path: string): Promise<boolean> {
  return (await orMissing(statfs(path)))?.type === NSFS_MAGIC;
}

/**
 * Removes the namespace's name; the namespace itself goes with its last process. Missing is fine.
 *
 * @throws CommandError
 */
export async function removeNetns(path: string): Promise<void> {
  // A crash between two mounts of one path can leave it mounted more than once.
  while (await netnsExists(path)) await unmount(path);
  await orMissing(unlink(path));
}
