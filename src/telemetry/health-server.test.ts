import { afterEach, describe, expect, it } from "@jest/globals";
import { pino } from "pino";
import { HealthServer } from "./health-server.ts";

describe("HealthServer", () => {
  const servers: HealthServer[] = [];
  let broken = false;
  afterEach(() => Promise.all(servers.splice(0).map((server) => server.close())));

  function make(address: string, checks: string[] = []): HealthServer {
    const now = () => new Date("2024-05-01T10:00:00Z");
    const metrics = () => (broken ? Promise.reject(new Error("no metrics")) : Promise.resolve("up 1\n"));
    const server = new HealthServer({ address, checks, metrics, logger: pino({ level: "silent" }), now });
    servers.push(server);
    return server;
  }

  it("is ready when all checks are ok, and says since when which is not", async () => {
    const server = make("127.0.0.1:0", ["containerd", "apiserver"]);
    await server.start();
    const get = async (path: string) => {
      const response = await fetch(`http://127.0.0.1:${server.address?.port ?? 0}${path}`);
      return [response.status, await response.text()];
    };
    expect(await get("/healthz")).toEqual([200, "ok\n"]);
    server.set("containerd", true);
    server.set("apiserver", false, "connection\nrefused");
    const report = "containerd: ok\napiserver: connection refused since 2024-05-01T10:00:00.000Z\n";
    expect(await get("/readyz")).toEqual([503, report]);
    server.set("apiserver", true);
    expect(await get("/readyz?verbose")).toEqual([200, "containerd: ok\napiserver: ok\n"]);
    expect(server.states()).toEqual([
      ["containerd", true],
      ["apiserver", true],
    ]);
    expect((await get("/"))[0]).toBe(404);
    expect(await get("/metrics")).toEqual([200, "up 1\n"]);
    broken = true;
    expect(await get("/metrics")).toEqual([500, "Error: no metrics\n"]);
  });

  it.each(["", "0"])("is off with the address '%s'", async (address) => {
    const server = make(address);
    await server.start();
    expect(server.address).toBeUndefined();
  });

  it("names an address that is none, or that is taken", async () => {
    await expect(make("9469").start()).rejects.toThrow("metrics address 9469: not of the form host:port");
    const first = make("127.0.0.1:0");
    await first.start();
    const port = first.address?.port ?? 0;
    await expect(make(`127.0.0.1:${port}`).start()).rejects.toThrow(/metrics address .*EADDRINUSE/);
  });
});
