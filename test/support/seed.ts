/** What a test draws by chance is drawn by a seed, which it prints: whoever has that can have the same again. */
import { run } from "../../src/node/index.ts";

/**
 * The seed of this run: the one that the environment gives; else one that follows from the commit, so that each commit is
 * tried by another, and tried again by the same.
 * @throws CommandError outside a clone, where one must be given
 */
export async function seedOf(variable: string): Promise<number> {
  const given = process.env[variable] ?? "";
  if (given !== "") return Number(given);
  const { stdout } = await run("git", ["-C", import.meta.dirname, "rev-parse", "--short=7", "HEAD"]);
  return Number.parseInt(stdout, 16);
}
