/** What tests of restarts, stops and ends share. */
import type { Container } from "../../src/api/index.ts";
import type { TestNode } from "./test-node.ts";

/** Asks for a restart in place. */
export async function askRestart(test: TestNode, container: Container, value: string): Promise<Container> {
  return test.patch(container, { metadata: { annotations: { "berth.dev/restartedAt": value } } });
}

/** Waits until a Container runs after so many restarts. */
export async function untilRestarted(test: TestNode, container: Container, restarts: number): Promise<Container> {
  return test.until(
    container,
    `running after ${restarts} restart(s)`,
    ({ status }) => status?.state === "Running" && status.restartCount === restarts,
  );
}

/** The conditions that are True. */
export function conditionsOf({ status }: Container): string[] {
  return (status?.conditions ?? []).filter((condition) => condition.status === "True").map(({ type }) => type);
}

/** Milliseconds between the recorded end of the last run and the restart that follows it. */
export function waitOf({ status }: Container): number {
  return Date.parse(status?.nextRetryAt ?? "") - Date.parse(status?.finishedAt ?? "");
}
