/** ContainerCheckpoints as tests take them: made, awaited, deleted. */
import { randomUUID } from "node:crypto";
import { join } from "node:path";
import { pino } from "pino";
import type { CheckpointSpec, Container, ContainerCheckpoint } from "../../src/api/index.ts";
import { checkpointPath, keyOf, ListWatch } from "../../src/kube/index.ts";
import { run } from "../../src/node/index.ts";
import type { TestNode } from "./test-node.ts";

const TIMEOUT_MS = 30_000;

/** Asks for a checkpoint of a Container, by its name alone. */
export async function askCheckpoint(
  test: TestNode,
  containerName: string,
  spec: Partial<CheckpointSpec> = {},
): Promise<ContainerCheckpoint> {
  const object = {
    apiVersion: "berth.dev/v1alpha1",
    kind: "ContainerCheckpoint",
    metadata: { name: `k-${randomUUID().slice(0, 8)}`, namespace: "default" },
    spec: { containerName, ...spec },
  };
  return test.api.create<ContainerCheckpoint>(checkpointPath("default"), object);
}

/** Waits until a checkpoint is as wanted (undefined: gone); the error tells what it was instead. */
export async function untilCheckpoint(
  test: TestNode,
  checkpoint: ContainerCheckpoint,
  wanted: (now: ContainerCheckpoint | undefined) => boolean,
): Promise<ContainerCheckpoint | undefined> {
  const done = Promise.withResolvers<ContainerCheckpoint | undefined>();
  const { name, namespace } = checkpoint.metadata;
  const look = (): void => {
    const now = watch.get(keyOf(checkpoint));
    if (watch.synced && wanted(now)) done.resolve(now);
  };
  const watch = new ListWatch<ContainerCheckpoint>({
    api: test.api,
    path: checkpointPath(namespace),
    fieldSelector: `metadata.name=${name}`,
    onChange: look,
    onSync: look,
    logger: pino({ level: "silent" }),
  });
  const timer = setTimeout(() => {
    const status = JSON.stringify(watch.get(keyOf(checkpoint))?.status);
    done.reject(new Error(`checkpoint ${name} was not as wanted: ${status}\n${test.agentLog()}`));
  }, TIMEOUT_MS);
  try {
    watch.start();
    return await done.promise;
  } finally {
    clearTimeout(timer);
    await watch.stop();
  }
}

/** Waits until a checkpoint is taken, or has failed, and answers it. */
export async function untilTaken(test: TestNode, checkpoint: ContainerCheckpoint): Promise<ContainerCheckpoint> {
  const isOver = (now: ContainerCheckpoint | undefined): boolean => (now?.status?.state ?? "Pending") !== "Pending";
  const taken = await untilCheckpoint(test, checkpoint, isOver);
  if (taken === undefined) throw new Error(`checkpoint ${checkpoint.metadata.name} is gone`);
  return taken;
}

/** Takes a checkpoint of a Container. */
export async function takeCheckpoint(
  test: TestNode,
  container: Container,
  spec: Partial<CheckpointSpec> = {},
): Promise<ContainerCheckpoint> {
  return untilTaken(test, await askCheckpoint(test, container.metadata.name, spec));
}

/** Waits until a checkpoint has a reason. */
export async function untilReason(test: TestNode, checkpoint: ContainerCheckpoint, reason: string): Promise<string> {
  const now = await untilCheckpoint(test, checkpoint, (seen) => seen?.status?.reason === reason);
  return now?.status?.message ?? "";
}

/** Deletes a checkpoint and waits until it is gone. */
export async function deleteCheckpoint(test: TestNode, checkpoint: ContainerCheckpoint): Promise<void> {
  const { namespace, name, uid } = checkpoint.metadata;
  await test.api.delete(checkpointPath(namespace, name));
  await untilCheckpoint(test, checkpoint, (now) => now?.metadata.uid !== uid);
}

/** Where the node keeps checkpoints. */
export function checkpointsDir(test: TestNode): string {
  return join(test.node.dataDir, "checkpoints");
}

/** Runs a shell script among a container's files and answers what it printed. */
export async function among({ status }: Container, script: string): Promise<string> {
  const { stdout } = await run("nsenter", [
    `--target=${String(status?.pid)}`,
    "--mount",
    "--net",
    "/bin/sh",
    "-c",
    script,
  ]);
  return stdout;
}
