/** What shows how the agent is doing: its log, its health endpoints, and the bounds of its containers' logs. */
export { correlated } from "./correlation.ts";
export { HealthServer } from "./health-server.ts";
export type { HealthServerOptions } from "./health-server.ts";
export { LOG_FORMATS, LOG_LEVELS, createLogger } from "./logger.ts";
export type { LogFormat, LogLevel, LoggerOptions } from "./logger.ts";
export { beginOf, readLog } from "./log-reader.ts";
export type { ReadLogOptions } from "./log-reader.ts";
export { LogRotation } from "./log-rotation.ts";
export type { LogLimits } from "./log-file.ts";
export type { LogRotationOptions } from "./log-rotation.ts";
