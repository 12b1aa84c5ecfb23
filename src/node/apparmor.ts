// AppArmor profiles in the kernel.
import { readFile } from "node:fs/promises";
import { isCommandMissing, run } from "./run.ts";

/** Profiles that are loaded, a line each: `name (mode)`. Only there where securityfs is mounted. */
const LOADED = "/sys/kernel/security/apparmor/profiles";

/** The program that reads profiles into the kernel. */
const PARSER = "apparmor_parser";

/**
 * Sees to it that a profile is in the kernel, and answers whether it is: without the parser on the node it can't be.
 * `where` is for tests.
 *
 * @throws CommandError when the parser fails
 */
export async function loadAppArmorProfile(
  name: string,
  text: string,
  where = { loaded: LOADED, parser: PARSER },
): Promise<boolean> {
  const profiles = await readFile(where.loaded, "utf8").catch(() => "");
  if (profiles.split("\n").some((line) => line.startsWith(`${name} (`))) return true;
  try {
    // In place of an earlier version, and without the parser's own cache.
    await run(where.parser, ["--replace", "--skip-cache"], { input: text });
    return true;
  } catch (error) {
    if (isCommandMissing(error)) return false;
    throw error;
  }
}
