/** Events as they come: what the agent tells of a Container, apart from its status. */
import { pino } from "pino";
import type { Container } from "../../src/api/index.ts";
import { type KubeObject, ListWatch } from "../../src/kube/index.ts";
import type { TestNode } from "./test-node.ts";

/** A core/v1 Event, as far as tests look at it. */
export interface ReportedEvent extends KubeObject {
  readonly type: "Normal" | "Warning";
  readonly reason: string;
  readonly message: string;
  readonly count: number;
}

const TIMEOUT_MS = 30_000;

/** Waits until the Events of a Container are as wanted, and answers them. They come a moment after the status. */
export async function untilEvents(
  test: TestNode,
  { metadata }: Container,
  wanted: (events: readonly ReportedEvent[]) => boolean,
): Promise<ReportedEvent[]> {
  const done = Promise.withResolvers<ReportedEvent[]>();
  const events = new ListWatch<ReportedEvent>({
    api: test.api,
    path: `/api/v1/namespaces/${metadata.namespace}/events`,
    fieldSelector: `involvedObject.uid=${metadata.uid}`,
    onChange: () => {
      if (wanted(events.list())) done.resolve(events.list());
    },
    logger: pino({ level: "silent" }),
  });
  const timer = setTimeout(() => {
    const lines = events.list().map(({ type, reason, count, message }) => `${type} ${reason} ×${count}: ${message}`);
    done.reject(new Error(`the Events of ${metadata.name} were not as wanted:\n${lines.join("\n")}`));
  }, TIMEOUT_MS);
  try {
    events.start();
    return await done.promise;
  } finally {
    clearTimeout(timer);
    await events.stop();
  }
}

/** Waits until an Event of a reason has been reported, `count` times in all its messages, and answers the first. */
export async function untilEvent(
  test: TestNode,
  container: Container,
  reason: string,
  count = 1,
): Promise<ReportedEvent> {
  const events = await untilEvents(test, container, (all) => countOf(all, reason) >= count);
  const event = events.find((each) => each.reason === reason);
  if (event === undefined) throw new Error(`no ${reason}`);
  return event;
}

/** How often a reason was reported. */
export function countOf(events: readonly ReportedEvent[], reason: string): number {
  return events.filter((event) => event.reason === reason).reduce((sum, { count }) => sum + count, 0);
}
