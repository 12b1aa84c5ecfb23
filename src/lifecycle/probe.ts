/** One check of a container: a command in it, a request or a connection to it. */
import http from "node:http";
import https from "node:https";
import { connect } from "node:net";
import { ContainerdError, isAlreadyExists, isCancelled, isUnavailable } from "../containerd/index.ts";
import { hasTooManyFiles, isDiskFull } from "../node/index.ts";
import { execProcess, type Healthcheck, type Probe } from "../oci/index.ts";
import { capture, clearExec, execDirectory } from "./exec.ts";
import { MAX_OUTPUT_BYTES, type ProbeResult } from "./health.ts";
import type { Parts } from "./parts.ts";
import type { Applied } from "./record.ts";

/** A container to check. */
export interface ProbeTarget {
  readonly id: string;
  readonly applied: Applied;
  readonly check: Healthcheck;
}

type ProbeParts = Pick<Parts, "containerd" | "records" | "network" | "stateDir">;

/** The exec id of all checks: there is one at a time, and by it what a crash has left of one is found. */
const PROBE_EXEC_ID = "healthcheck";

const LOOPBACK = "127.0.0.1";

/**
 * Checks a container once. A check that can't be made has failed.
 * @throws ContainerdError when containerd is away, the signal's reason when it was aborted, an error of a full disk or of too
 * many open files on the node: none of them says anything of the container
 */
export async function runProbe(parts: ProbeParts, target: ProbeTarget, signal: AbortSignal): Promise<ProbeResult> {
  const { probe, timeoutMs } = target.check;
  const limit = AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]);
  try {
    switch (probe.kind) {
      case "exec":
        return await execProbe(parts, target, probe.args, signal);
      case "http":
        return await httpProbe(probe, await hostOf(parts, target, probe), limit);
      case "tcp":
        return await tcpProbe(await hostOf(parts, target, probe), probe.port, limit);
    }
  } catch (error) {
    signal.throwIfAborted();
    if (isUnavailable(error) || isCancelled(error) || isDiskFull(error) || hasTooManyFiles(error)) throw error;
    if (limit.aborted) return failure(tookTooLong(timeoutMs));
    return failure(error instanceof ContainerdError ? error.details : (error as Error).message);
  }
}

/** Ends what a check of an agent that died has left: process, exec, FIFOs. */
export async function clearProbe(
  { containerd, stateDir }: Pick<Parts, "containerd" | "stateDir">,
  id: string,
): Promise<void> {
  const directory = execDirectory(stateDir, id);
  await clearExec(containerd.tasks, { containerID: id, id: PROBE_EXEC_ID, directory });
}

function failure(output: string): ProbeResult {
  return { healthy: false, output: output.slice(0, MAX_OUTPUT_BYTES) };
}

function tookTooLong(timeoutMs: number): string {
  return `the check took longer than ${timeoutMs / 1000} s`;
}

async function execProbe(
  parts: ProbeParts,
  { id, check }: ProbeTarget,
  args: readonly string[],
  signal: AbortSignal,
): Promise<ProbeResult> {
  const { process } = await parts.records.spec(id);
  const run = (): ReturnType<typeof capture> =>
    capture(parts.containerd.tasks, {
      containerID: id,
      id: PROBE_EXEC_ID,
      process: execProcess(process, { args }),
      directory: execDirectory(parts.stateDir, id),
      maxBytes: MAX_OUTPUT_BYTES,
      timeoutMs: check.timeoutMs,
      signal,
    });
  const { exitCode, output } = await run().catch(async (error: unknown) => {
    if (!isAlreadyExists(error)) throw error;
    // The last one could not be ended: its container was frozen, or containerd away.
    await clearProbe(parts, id);
    return run();
  });
  if (exitCode !== undefined) return { healthy: exitCode === 0, output };
  return failure(output === "" ? tookTooLong(check.timeoutMs) : `${tookTooLong(check.timeoutMs)}: ${output}`);
}

/** Where a container is asked: at its address, the node's own with `Host`, which is reached from the node. */
async function hostOf(parts: ProbeParts, { id, applied }: ProbeTarget, { host }: { host?: string }): Promise<string> {
  if (host !== undefined) return host;
  if (applied.spec.network?.mode === "Host") return LOOPBACK;
  const address = (await parts.network.status(id))?.ipAddresses[0];
  if (address === undefined) throw new Error("the container has no address");
  return address;
}

function httpProbe(probe: Probe & { kind: "http" }, host: string, signal: AbortSignal): Promise<ProbeResult> {
  const { scheme, port, path } = probe;
  const headers: Record<string, string[]> = { "user-agent": ["berth"] };
  for (const { name, value } of probe.headers) (headers[name.toLowerCase()] ??= []).push(value);
  const send = scheme === "HTTPS" ? https.request : http.request;
  const done = Promise.withResolvers<ProbeResult>();
  // The container's certificate is nobody's business here: it is asked at its address.
  const request = send({ host, port, path, headers, signal, agent: false, rejectUnauthorized: false }, (response) => {
    const { statusCode = 0, statusMessage = "" } = response;
    const healthy = statusCode >= 200 && statusCode < 400;
    let output = `HTTP ${statusCode} ${statusMessage}\n`;
    const finish = (): void => {
      done.resolve({ healthy, output: output.slice(0, MAX_OUTPUT_BYTES) });
      request.destroy();
    };
    response.setEncoding("utf8");
    response.on("data", (text: string) => {
      output += text;
      if (output.length >= MAX_OUTPUT_BYTES) finish();
    });
    response.once("end", finish);
    response.once("error", done.reject);
  });
  request.once("error", done.reject);
  request.end();
  return done.promise;
}

function tcpProbe(host: string, port: number, signal: AbortSignal): Promise<ProbeResult> {
  const done = Promise.withResolvers<ProbeResult>();
  const socket = connect({ host, port });
  const onAbort = (): void => {
    done.reject(signal.reason as Error);
  };
  signal.addEventListener("abort", onAbort, { once: true });
  socket.once("connect", () => {
    done.resolve({ healthy: true, output: `connected to ${host}:${port}` });
  });
  socket.on("error", done.reject);
  return done.promise.finally(() => {
    signal.removeEventListener("abort", onAbort);
    socket.destroy();
  });
}
