import { UnsupportedContainerd } from "./errors.ts";

const NEEDED = { major: 1, minor: 7 };

/** A containerd's version, and what depends on it. */
export interface ContainerdVersion {
  /** As containerd says it: `1.7.24~ds1`, `v2.1.4`. */
  readonly version: string;
  /** Pulls know a folder of hosts.toml files (mirrors, plain HTTP). */
  readonly hasHostsDir: boolean;
}

/**
 * Judges the version a containerd says it has.
 * @throws UnsupportedContainerd when it is older than 1.7 (which brought the transfer service) or can't be read
 */
export function checkVersion(version: string): ContainerdVersion {
  const [, major = NaN, minor = NaN] = (/^v?(\d+)\.(\d+)/.exec(version) ?? []).map(Number);
  const supported = major > NEEDED.major || (major === NEEDED.major && minor >= NEEDED.minor);
  if (!supported) throw new UnsupportedContainerd(version, `${NEEDED.major}.${NEEDED.minor}.0`);
  return { version, hasHostsDir: major >= 2 };
}
