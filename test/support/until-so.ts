/** Waiting for what nothing tells of. */
import { setTimeout as delay } from "node:timers/promises";

const TIMEOUT_MS = 20_000;
const POLL_MS = 20;

/**
 * Looks until something is so, which no event tells of.
 * @throws Error that says what did not come, after 20 s
 */
export async function untilSo(what: string, isSo: () => boolean | Promise<boolean>): Promise<void> {
  const deadline = Date.now() + TIMEOUT_MS;
  while (!(await isSo())) {
    if (Date.now() > deadline) throw new Error(`not within ${TIMEOUT_MS} ms: ${what}`);
    await delay(POLL_MS);
  }
}
