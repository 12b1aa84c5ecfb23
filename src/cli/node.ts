/** What the commands on the node have in common: containerd and the agent's records there, and how errors are told. */
import { type Command, InvalidArgumentError } from "commander";
import { pino } from "pino";
import { type Config, readConfig } from "../config.ts";
import { Containerd, ContainerdError, isUnavailable } from "../containerd/index.ts";
import type { Instance } from "../lifecycle/decide.ts";
import { generationOf, keyOf, type Record } from "../lifecycle/record.ts";
import { Records } from "../lifecycle/records.ts";
import { errorCode } from "../node/index.ts";

/** Something that a command can't do. The message is for a person and says what to do where it can. */
export class CommandFailure extends Error {
  override readonly name = "CommandFailure";
  readonly exitCode: number;

  constructor(message: string, exitCode = 1) {
    super(message);
    this.exitCode = exitCode;
  }
}

/** This node, as the agent's records tell of it. */
export interface ThisNode {
  readonly config: Config;
  readonly containerd: Containerd;
  readonly records: Records;
}

/**
 * Runs a command's work and ends the process with its exit code; what goes wrong is told on standard error.
 * @param work answers the exit code, 0 for none
 */
export async function onNode(command: Command, work: (node: ThisNode) => Promise<number | undefined>): Promise<void> {
  // Whoever reads has seen enough, as in `berth ps | head -1`.
  process.stdout.on("error", (error) => {
    if (errorCode(error) === "EPIPE") process.exit(0);
    throw error;
  });
  const config = configOf(command);
  const { containerdAddress: address, containerdNamespace: namespace, snapshotter } = config;
  const containerd = new Containerd({ address, namespace, snapshotter, logger: pino({ level: "silent" }) });
  try {
    await containerd.ready().catch((error: unknown) => {
      if (!isUnavailable(error)) throw error;
      const advice = "is it running, are you root, and is --containerd-address right?";
      throw new CommandFailure(
        `containerd can't be reached at ${address}: ${error.details.replace(/\.$/, "")}: ${advice}`,
      );
    });
    process.exitCode = (await work({ config, containerd, records: new Records(containerd) })) ?? 0;
  } catch (error) {
    process.exitCode = error instanceof CommandFailure ? error.exitCode : 1;
    process.stderr.write(`berth: ${wordsOf(error)}\n`);
  } finally {
    containerd.close();
  }
}

/** A command's configuration; ends the process when it can't be meant. */
export function configOf(command: Command): Config {
  try {
    return readConfig(command, process.env);
  } catch (error) {
    if (error instanceof InvalidArgumentError) command.error(`error: ${error.message}`);
    throw error;
  }
}

/** Which container a command is about, as it was written: `namespace/name`, or `name` with or without `-n`. */
export interface Target {
  readonly name: string;
  readonly namespace?: string | undefined;
}

/**
 * The container of a name, or of an id or its beginning.
 * @throws CommandFailure when there is none, or more than one
 */
export async function findContainer(node: ThisNode, target: Target): Promise<Instance> {
  const { namespace, name } = parseName(target);
  // Of several, the others are leftovers.
  const [newest] = (await node.records.of({ namespace, name })).sort((a, b) => generationOf(b.id) - generationOf(a.id));
  if (newest !== undefined) return withTask(node, newest);
  const all = await node.records.list();
  const byId = target.namespace === undefined ? all.filter(({ id }) => id.startsWith(target.name)) : [];
  const [record, another] = byId;
  if (another !== undefined) {
    throw new CommandFailure(
      `"${target.name}" is ambiguous: it begins the ids of ${byId.map((each) => `${keyOf(each.applied)} (${each.id})`).join(", ")}`,
    );
  }
  if (record !== undefined) return withTask(node, record);
  const elsewhere = [...new Set(all.filter(({ applied }) => applied.name === name).map((each) => keyOf(each.applied)))];
  const hint = elsewhere.length === 0 ? "" : `; there is ${elsewhere.join(", ")}`;
  throw new CommandFailure(`no such container on this node: ${namespace}/${name}${hint}`);
}

async function withTask({ containerd }: ThisNode, record: Record): Promise<Instance> {
  const task = await containerd.task(record.id);
  return task === undefined ? { record } : { record, task };
}

/**
 * Namespace and name of a target, `default` where none is given.
 * @throws CommandFailure when two are
 */
export function parseName({ name, namespace }: Target): { namespace: string; name: string } {
  const [first = "", second, ...more] = name.split("/");
  if (more.length > 0 || first === "" || second === "") {
    throw new CommandFailure(`"${name}" is no name: give NAME or NAMESPACE/NAME`);
  }
  if (second === undefined) return { namespace: namespace ?? "default", name: first };
  if (namespace !== undefined && namespace !== first) {
    throw new CommandFailure(
      `"${name}" is in namespace "${first}", but --namespace is "${namespace}": give one of them`,
    );
  }
  return { namespace: first, name: second };
}

function wordsOf(error: unknown): string {
  if (error instanceof ContainerdError) return `containerd: ${error.details}`;
  return error instanceof Error ? error.message : String(error);
}
