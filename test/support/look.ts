/** Looks into a running container from the node, by its process. */
import { readFileSync, readlinkSync, writeFileSync } from "node:fs";
import type { Container } from "../../src/api/index.ts";
import { run } from "../../src/node/index.ts";
import { pidOf } from "./away.ts";

/** A file as the container sees it. */
export function fileIn(container: Container, path: string): string {
  return readFileSync(`/proc/${pidOf(container)}/root${path}`, "utf8");
}

/** Appends to a file as the container would. */
export function appendIn(container: Container, path: string, text: string): void {
  writeFileSync(`/proc/${pidOf(container)}/root${path}`, text, { flag: "a" });
}

/** The name that the kernel has for the container's network namespace. */
export function netnsOf(container: Container): string {
  return readlinkSync(`/proc/${pidOf(container)}/ns/net`);
}

/** The environment that the container's process was started with. */
export function environmentOf(container: Container): Record<string, string> {
  const entries = readFileSync(`/proc/${pidOf(container)}/environ`, "utf8")
    .split("\0")
    .filter(Boolean);
  return Object.fromEntries(
    entries.map((entry) => [entry.slice(0, entry.indexOf("=")), entry.slice(entry.indexOf("=") + 1)] as const),
  );
}

/** Runs a script with the container's own shell in its namespaces, and answers what it wrote. */
export async function inside(container: Container, script: string): Promise<string> {
  const enter = ["--target", String(pidOf(container)), "--mount", "--net", "--uts", "--pid"];
  const { stdout } = await run("nsenter", [...enter, "/bin/sh", "-c", script], { env: { PATH: "/bin:/usr/bin" } });
  return stdout;
}

/** A container's first address, as its status tells. */
export function addressOf({ metadata, status }: Container): string {
  const [address] = status?.network?.ipAddresses ?? [];
  if (address === undefined) throw new Error(`${metadata.name} has no address`);
  return address;
}
