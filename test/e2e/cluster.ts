// The cluster under test, as its owner has it: by kubectl, and by Helm for what concerns the chart. What differs from
// cluster to cluster comes by the environment: CONTRIBUTING.md.
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import type { Container, ContainerSpec } from "../../src/api/index.ts";
import { run } from "../../src/node/index.ts";

/** Where Berth is installed. */
export const SYSTEM = "berth-system";
/** Where the tests' Containers are; the agents may read its Secrets and ConfigMaps. */
export const NAMESPACE = "berth-e2e";
/** One whose Secrets they may not. */
export const CLOSED = "berth-e2e-closed";
/** Of a container, and of Pods that look at the node: busybox. */
export const IMAGE = process.env["BERTH_E2E_IMAGE"] ?? "docker.io/library/busybox:1.36";
/** How long to wait for anything. */
export const TIMEOUT_S = Number(process.env["BERTH_E2E_TIMEOUT"] ?? "120");

const NODE = "BERTH_E2E_NODE";
const NODE_ADDRESS = "BERTH_E2E_NODE_ADDRESS";
/** More than a command's usual: a roll-out, a chart's hooks. */
const COMMAND_TIMEOUT_MS = 10 * 60_000;
const MAX_OUTPUT_BYTES = 16 * 1024 * 1024;

export type Status = NonNullable<Container["status"]>;

/** The node that the tests use: set before them by {@link chooseNode}. */
export function nodeName(): string {
  return chosen(NODE);
}

/** Its address in the cluster. */
export function nodeAddress(): string {
  return chosen(NODE_ADDRESS);
}

/** Chooses the node: BERTH_E2E_NODE, else the first with an agent. */
export async function chooseNode(): Promise<void> {
  const agents = ["--namespace", SYSTEM, "--selector", AGENTS];
  process.env[NODE] ??= await kubectl("get", "pods", ...agents, "-o", "jsonpath={.items[0].spec.nodeName}");
  const address = 'jsonpath={.status.addresses[?(@.type=="InternalIP")].address}';
  // Of two families the first one is the Pods' own.
  process.env[NODE_ADDRESS] = (await kubectl("get", "node", nodeName(), "-o", address)).split(" ", 1).join();
}

/**
 * Runs kubectl in the tests' namespace and answers what it printed.
 *
 * @throws CommandError
 */
export function kubectl(...args: readonly string[]): Promise<string> {
  return kubectlWith("", ...args);
}

/** The same, with an input. */
export async function kubectlWith(input: string, ...args: readonly string[]): Promise<string> {
  const command = ["--namespace", NAMESPACE, ...args];
  return (await run("kubectl", command, { input, timeoutMs: COMMAND_TIMEOUT_MS, maxOutputBytes: MAX_OUTPUT_BYTES }))
    .stdout;
}

/** Runs Helm; what it keeps for itself lies in a folder that goes again. */
export async function helm(...args: readonly string[]): Promise<string> {
  const home = mkdtempSync(join(tmpdir(), "berth-helm-"));
  const env = { ...(process.env as Record<string, string>), HOME: home };
  try {
    const command = ["--namespace", SYSTEM, ...args];
    return (await run("helm", command, { env, timeoutMs: COMMAND_TIMEOUT_MS, maxOutputBytes: MAX_OUTPUT_BYTES }))
      .stdout;
  } finally {
    rmSync(home, { recursive: true, force: true });
  }
}

/** Applies objects, of the tests' namespace unless they say otherwise. */
export async function apply(...objects: readonly object[]): Promise<void> {
  const list = { apiVersion: "v1", kind: "List", items: objects };
  await kubectlWith(JSON.stringify(list), "apply", "-f", "-");
}

/** A Container of the tests: one that runs until it is stopped, which takes no time, unless the spec says otherwise. */
export function container(name: string, spec: Partial<ContainerSpec> = {}): object {
  return {
    apiVersion: "berth.dev/v1alpha1",
    kind: "Container",
    metadata: { name },
    spec: { nodeName: nodeName(), image: IMAGE, command: ["sleep", "3600"], terminationGracePeriodSeconds: 0, ...spec },
  };
}

/** What a shell script makes of a Container: it runs once. */
export function once(name: string, script: string, spec: Partial<ContainerSpec> = {}): object {
  return container(name, { command: ["sh", "-ec", script], restartPolicy: "Never", ...spec });
}

/** A Container's status at this moment. */
export async function statusOf(name: string): Promise<Status> {
  return (JSON.parse(await kubectl("get", "container", name, "-o", "json")) as Container).status ?? {};
}

/** Waits for a condition of a Container to be true, and answers its status. */
export async function untilCondition(name: string, condition: string): Promise<Status> {
  await kubectl("wait", `container/${name}`, `--for=condition=${condition}`, `--timeout=${String(TIMEOUT_S)}s`);
  return statusOf(name);
}

/**
 * Waits until a Container's status is as it should be, by a watch.
 *
 * @throws Error with what was waited for and the last status, after {@link TIMEOUT_S}
 */
export async function until(name: string, what: string, isSo: (status: Status) => boolean): Promise<Status> {
  const format = 'jsonpath={.status}{"\\n"}';
  const child = spawn("kubectl", ["--namespace", NAMESPACE, "get", "container", name, "--watch", "-o", format]);
  const timer = setTimeout(() => child.kill(), TIMEOUT_S * 1000);
  let last = "";
  let errors = "";
  child.stderr.on("data", (chunk: Buffer) => (errors += chunk.toString()));
  try {
    for await (const line of createInterface({ input: child.stdout })) {
      last = line;
      const status = JSON.parse(line === "" ? "{}" : line) as Status;
      if (isSo(status)) return status;
    }
  } finally {
    clearTimeout(timer);
    child.kill();
  }
  throw new Error(`container ${name} was not ${what} in time; its status: ${last}${errors}`);
}

/** Waits until a Container is in a state, and answers its status. */
export function untilState(name: string, state: Status["state"]): Promise<Status> {
  return until(name, state ?? "", (status) => status.state === state);
}

/** Changes a Container's spec, waits until that is made so, and answers its status. */
export async function change(name: string, spec: object): Promise<Status> {
  const flags = ["--type=merge", "-p", JSON.stringify({ spec }), "-o", "jsonpath={.metadata.generation}"];
  const generation = Number(await kubectl("patch", "container", name, ...flags));
  return until(name, `Ready with ${JSON.stringify(spec)}`, ({ conditions }) =>
    (conditions ?? []).some(
      ({ type, status, observedGeneration }) =>
        type === "Ready" && status === "True" && observedGeneration === generation,
    ),
  );
}

/** Runs a command of Berth's on the node, by the agent's Pod there. */
export async function berth(...args: readonly string[]): Promise<string> {
  const pod = await agentPod();
  return kubectl("exec", "--namespace", SYSTEM, pod, "-c", "agent", "--", "berth", ...args);
}

/** The agent's Pod on the node, as `pod/<name>`. */
export async function agentPod(): Promise<string> {
  const onNode = ["--selector", AGENTS, "--field-selector", `spec.nodeName=${nodeName()}`];
  return (await kubectl("get", "pods", "--namespace", SYSTEM, ...onNode, "-o", "name")).trim();
}

/** What a Container has written. */
export function output(name: string): Promise<string> {
  return berth("logs", `${NAMESPACE}/${name}`);
}

/** Deletes Containers, and waits until they are gone. */
export async function remove(...names: readonly string[]): Promise<void> {
  await kubectl("delete", "container", ...names, `--timeout=${String(TIMEOUT_S)}s`);
}

const AGENTS = "app.kubernetes.io/name=berth,app.kubernetes.io/component=agent";

function chosen(variable: string): string {
  const value = process.env[variable];
  if (value === undefined) throw new Error(`${variable} is not set: no node was chosen`);
  return value;
}
