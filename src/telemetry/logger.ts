import { createRequire } from "node:module";
import { pino, type DestinationStream, type Logger } from "pino";
import { correlation } from "./correlation.ts";

export const LOG_LEVELS = ["trace", "debug", "info", "warn", "error", "fatal"] as const;
export const LOG_FORMATS = ["json", "pretty"] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];
export type LogFormat = (typeof LOG_FORMATS)[number];

export type LoggerOptions = {
  level: LogLevel;
  /** `pretty` on a terminal and `json` elsewhere when unset. */
  format?: LogFormat | undefined;
  /** Where the lines go; standard error when unset, since standard output belongs to what a command prints. */
  destination?: DestinationStream;
};

const SECRET_NAMES = [
  "password",
  "token",
  "secret",
  "auth",
  "authorization",
  "Authorization",
  "credentials",
  "identitytoken",
];

/** Values that never reach a log, at the top of a line's fields and up to two levels down. */
const REDACT = SECRET_NAMES.flatMap((name) => [name, `*.${name}`, `*.*.${name}`]);

/** The agent's log: one JSON object a line, or something to read on a terminal. Lines of a reconcile bear its id. */
export function createLogger({ level, format, destination }: LoggerOptions): Logger {
  const chosen = format ?? (process.stderr.isTTY ? "pretty" : "json");
  const options = {
    level,
    base: null,
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: (label: string) => ({ level: label }) },
    redact: REDACT,
    mixin: correlation,
  };
  return pino(options, (chosen === "pretty" ? prettyStream(destination) : undefined) ?? destination ?? standardError());
}

function standardError(): DestinationStream {
  // Synchronous, so that the last lines before an end are there.
  return pino.destination({ dest: 2, sync: true });
}

/** pino-pretty is for people who develop Berth; where it is not installed the log is JSON. */
function prettyStream(destination: DestinationStream | undefined): DestinationStream | undefined {
  try {
    const pretty = createRequire(import.meta.url)("pino-pretty") as (options: object) => DestinationStream;
    const target = destination ?? standardError();
    return pretty({ destination: target, colorize: process.stderr.isTTY, translateTime: "HH:MM:ss.l", sync: true });
  } catch {
    return undefined;
  }
}
