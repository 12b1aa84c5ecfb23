/** Programs that take a container's output: children of its shim, which no audit of containerd's shows. */
import { readdirSync, readFileSync } from "node:fs";
import type { Container } from "../../src/api/index.ts";

/** The process ids of the programs that a shim has started to take a container's output. */
export function loggersOf({ status }: Container): string[] {
  const mark = `CONTAINER_ID=${status?.containerID?.replace("containerd://", "") ?? ""}`;
  return readdirSync("/proc").filter((pid) => /^\d+$/.test(pid) && environment(pid).includes(mark));
}

function environment(pid: string): string[] {
  try {
    return readFileSync(`/proc/${pid}/environ`, "utf8").split("\0");
  } catch {
    return [];
  }
}
