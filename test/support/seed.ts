/** What a test draws by chance is drawn by a seed, which it prints: whoever has that can have the same again. */
import { run } from "../../src/node/index.ts";

/**
 * The seed of this run: the one that the environment gives; else one that follows from the commit, so that each commit is
 * tried by another, and tried again by the same; else, outside a clone, any.
 */
export async function seedOf(variable: string): Promise<number> {
  const given = process.env[variable] ?? "";
  if (given !== "") return Number(given);
  try {
    // Whoever owns the checkout: nothing of it is run by this.
    const args = ["-c", "safe.directory=*", "-C", import.meta.dirname, "rev-parse", "--short=7", "HEAD"];
    return Number.parseInt((await run("git", args)).stdout, 16);
  } catch {
    return Math.floor(Math.random() * 2 ** 28);
  }
}
