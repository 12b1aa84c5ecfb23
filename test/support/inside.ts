/** A running container's files, looked at from the node, as its process sees them. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import type { Container } from "../../src/api/index.ts";
import { pidOf } from "./away.ts";

const POLL_MS = 20;
const TIMEOUT_MS = 20_000;

/** The path on the node of a running container's file; absolute symlinks on the way lead astray. */
export function insideOf(container: Container, path: string): string {
  return join("/proc", String(pidOf(container)), "root", path);
}

/** Waits until a file of a running container has a content (undefined: is gone). Nothing tells a stranger of that: hence the looking. */
export async function untilContent(container: Container, path: string, wanted: string | undefined): Promise<void> {
  const deadline = Date.now() + TIMEOUT_MS;
  for (;;) {
    const content = contentOf(insideOf(container, path));
    if (content === wanted) return;
    if (Date.now() > deadline)
      throw new Error(`${path} of ${container.metadata.name} is not ${JSON.stringify(wanted)} but ${String(content)}`);
    await delay(POLL_MS);
  }
}

function contentOf(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return undefined;
  }
}
