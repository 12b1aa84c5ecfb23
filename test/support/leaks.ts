/** What a node has left over. */
import { setTimeout as delay } from "node:timers/promises";
import { audit, type Audit, diff } from "../../hack/cluster/audit.ts";
import type { LocalNode } from "../../hack/cluster/local-node.ts";

const SETTLE_MS = 10_000;
const POLL_MS = 200;

/**
 * What has come or gone on a node since an audit, once it has settled; images and their committed snapshots aside, which stay.
 * A shim ends a moment after its task is deleted, and nothing tells of that: hence the looking again.
 */
export async function leaks(node: LocalNode, before: Audit): Promise<string[]> {
  const deadline = Date.now() + SETTLE_MS;
  for (;;) {
    const lines = diff(before, await audit(node), /^image /);
    if (lines.length === 0 || Date.now() > deadline) return lines;
    await delay(POLL_MS);
  }
}
