/** `berth logs`: what a container has written. */
import { once } from "node:events";
import { type Command, InvalidArgumentError } from "commander";
import { addFlags } from "../config.ts";
import { keyOf } from "../lifecycle/record.ts";
import { logFile } from "../lifecycle/task.ts";
import { errorCode } from "../node/index.ts";
import { beginOf, readLog } from "../telemetry/index.ts";
import { CommandFailure, findContainer, onNode } from "./node.ts";

interface Flags {
  readonly namespace?: string;
  readonly follow?: boolean;
  readonly tail?: number;
  readonly since?: Date;
}

/** Adds the command. */
export function addLogs(program: Command): void {
  const command = program
    .command("logs")
    .description("show what a container has written")
    .argument("<name>", "NAME, NAMESPACE/NAME, or the beginning of an id")
    .option("-n, --namespace <namespace>", "of the container (default: default)")
    .option("-f, --follow", "go on with what it writes, until it is removed")
    .option("--tail <lines>", "only the last lines, so many", parseTail)
    .option("--since <time>", "10m, 1h30m, 2026-01-02T03:04:05Z; as exact as rotation makes it", parseSince);
  addFlags(command, "node").action(async (name: string, { namespace, ...flags }: Flags) => {
    await onNode(command, async (node) => {
      const { record } = await findContainer(node, { name, namespace });
      const path = logFile(node.config.logDir, record.applied);
      try {
        if (flags.since !== undefined) await tellBegin(path, flags.since);
        for await (const chunk of readLog(path, flags)) {
          if (!process.stdout.write(chunk)) await once(process.stdout, "drain");
        }
      } catch (error) {
        if (errorCode(error) !== "ENOENT") throw error;
        throw new CommandFailure(`container ${keyOf(record.applied)} has no output at ${path}: is --log-dir right?`);
      }
      return 0;
    });
  });
}

/** The output has no times of its own: only whole files can be left out. Whoever asks is told what is shown instead. */
async function tellBegin(path: string, since: Date): Promise<void> {
  const begin = await beginOf(path, since);
  const what = begin === undefined ? "all there is" : `all since ${begin.toISOString()}`;
  process.stderr.write(`berth: the output has no times within a file; this is ${what}\n`);
}

function parseTail(text: string): number | undefined {
  if (text === "all") return undefined;
  if (!/^\d{1,9}$/.test(text)) throw new InvalidArgumentError("must be a number of lines, or all");
  return Number(text);
}

const UNITS: Readonly<Record<string, number>> = { d: 86_400_000, h: 3_600_000, m: 60_000, s: 1000 };

/**
 * A time: a span before now, `10m`, `1h30m`, `2d`; or one in RFC 3339's form, in seconds since 1970, or a date.
 * @throws InvalidArgumentError
 */
export function parseSince(text: string, _before?: unknown, now = Date.now()): Date {
  if (/^(?:\d+[dhms])+$/.test(text)) {
    const spans = [...text.matchAll(/(\d+)([dhms])/g)].map(
      ([, count, unit = ""]) => Number(count) * (UNITS[unit] ?? 0),
    );
    return new Date(now - spans.reduce((sum, span) => sum + span, 0));
  }
  const time = /^\d+$/.test(text) ? Number(text) * 1000 : Date.parse(text);
  const isTime = /^\d+$|^\d{4}-\d\d-\d\d(?:[Tt ]|$)/.test(text) && Number.isFinite(time);
  if (isTime) return new Date(time);
  throw new InvalidArgumentError("must be a span (10m, 1h30m, 2d) or a time (2026-01-02T03:04:05Z)");
}
