import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { dirname } from "node:path";
import { readText } from "./daemon.ts";

/**
 * Loopback ports for these names, free when first asked for; the file keeps them, so that a server that is started again
 * has the address its clients know.
 */
export async function fixedPorts<N extends string>(file: string, names: readonly N[]): Promise<Record<N, number>> {
  if (readText(file) === undefined) {
    const ports = await freePorts(names.length);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, JSON.stringify(Object.fromEntries(names.map((name, index) => [name, ports[index]]))));
  }
  return JSON.parse(readFileSync(file, "utf8")) as Record<N, number>;
}

// All are held at once, so that they differ.
async function freePorts(count: number): Promise<number[]> {
  const servers = Array.from({ length: count }, () => createServer());
  const ports = await Promise.all(
    servers.map(
      (server) =>
        new Promise<number>((resolve, reject) => {
          server.once("error", reject);
          server.listen(0, "127.0.0.1", () => {
            const address = server.address();
            resolve(typeof address === "object" && address !== null ? address.port : 0);
          });
        }),
    ),
  );
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return ports;
}
