/** What of the node confines a container: seccomp profiles in files, AppArmor's in the kernel. */
import { readFile, stat } from "node:fs/promises";
import type { ContainerSpec } from "../api/index.ts";
import { loadAppArmorProfile, orMissing, resolveBelow } from "../node/index.ts";
import {
  APPARMOR_NAME,
  APPARMOR_PROFILE,
  capabilitySet,
  type OciSeccomp,
  readSeccomp,
  SpecError,
} from "../oci/index.ts";
import type { Parts } from "./parts.ts";

const SECCOMP_FIELD = "spec.securityContext.seccompProfile.localhostProfile";
/** Bytes; Docker's own profile has a few thousand. */
const MAX_PROFILE_BYTES = 1024 * 1024;

/**
 * The seccomp filter that `seccompProfile.type: Localhost` names, as its file says it now; undefined for another type.
 * @throws SpecError when there is no such file, or it can't be read as a profile
 */
export async function localhostSeccomp(
  parts: Pick<Parts, "facts" | "seccompDir">,
  { securityContext = {} }: ContainerSpec,
): Promise<OciSeccomp | undefined> {
  const { type, localhostProfile: name = "" } = securityContext.seccompProfile ?? {};
  if (type !== "Localhost") return undefined;
  const { capabilities: wish, privileged } = securityContext;
  const { facts } = parts;
  const text = await profileText(parts.seccompDir, name);
  try {
    return readSeccomp(text, { ...facts, capabilities: capabilitySet({ ...wish, privileged }, facts) });
  } catch (error) {
    if (error instanceof SpecError) throw error;
    const words = error instanceof Error ? error.message : String(error);
    throw new SpecError(SECCOMP_FIELD, `"${name}" is no seccomp profile: ${words}`, { cause: error });
  }
}

/** A symlink in the directory can't lead out of it. */
async function profileText(directory: string, name: string): Promise<string> {
  const path = await resolveBelow(directory, name);
  const stats = await orMissing(stat(path));
  if (stats === undefined) {
    throw new SpecError(SECCOMP_FIELD, `there is no profile "${name}" on this node: put it into ${directory}`);
  }
  if (!stats.isFile() || stats.size > MAX_PROFILE_BYTES) {
    throw new SpecError(SECCOMP_FIELD, `"${name}" in ${directory} must be a file of at most 1 MiB`);
  }
  return readFile(path, "utf8");
}

/**
 * Sees to it that Berth's AppArmor profile is loaded, for a container that names none. Answers its name; undefined where
 * there is no AppArmor, or no means of loading a profile: Docker runs containers without one then, too.
 *
 * @throws CommandError when the profile can't be loaded
 */
export async function defaultAppArmor(
  { facts }: Pick<Parts, "facts">,
  { securityContext = {} }: ContainerSpec,
): Promise<string | undefined> {
  const { appArmorProfile: { type } = { type: "RuntimeDefault" }, privileged } = securityContext;
  if (!facts.apparmor || type !== "RuntimeDefault" || privileged === true) return undefined;
  return (await loadAppArmorProfile(APPARMOR_NAME, APPARMOR_PROFILE)) ? APPARMOR_NAME : undefined;
}
