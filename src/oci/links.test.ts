import { describe, expect, it } from "@jest/globals";
import { linkVariables, visibleEnv, withLinks, withSecretNames } from "./links.ts";
import type { OciSpec } from "./types.ts";

const peer = (ports: string[], env: string[] = []) => ({ address: "10.89.0.3", ports, env });
const spec = (env: string[]): OciSpec => ({ process: { env } }) as unknown as OciSpec;

describe("linkVariables", () => {
  it("tells name and environment of a container without ports", () => {
    expect(linkVariables("web", "my-db", peer([], ["A=1", "B=x=y", "none"]))).toEqual([
      "MY_DB_NAME=/web/my-db",
      "MY_DB_ENV_A=1",
      "MY_DB_ENV_B=x=y",
    ]);
  });

  it("tells each port four ways, the first one for short: TCP before the others, then by number", () => {
    expect(linkVariables("web", "db", peer(["53/udp", "8080", "443/tcp", "443/tcp", "1-2/tcp"]))).toEqual([
      "DB_PORT=tcp://10.89.0.3:443",
      "DB_PORT_443_TCP=tcp://10.89.0.3:443",
      "DB_PORT_443_TCP_ADDR=10.89.0.3",
      "DB_PORT_443_TCP_PORT=443",
      "DB_PORT_443_TCP_PROTO=tcp",
      "DB_PORT_8080_TCP=tcp://10.89.0.3:8080",
      "DB_PORT_8080_TCP_ADDR=10.89.0.3",
      "DB_PORT_8080_TCP_PORT=8080",
      "DB_PORT_8080_TCP_PROTO=tcp",
      "DB_PORT_53_UDP=udp://10.89.0.3:53",
      "DB_PORT_53_UDP_ADDR=10.89.0.3",
      "DB_PORT_53_UDP_PORT=53",
      "DB_PORT_53_UDP_PROTO=udp",
      "DB_NAME=/web/db",
    ]);
  });

  it("tells of ports that follow each other where they begin and end", () => {
    const variables = linkVariables("web", "db", peer(["82/tcp", "80/tcp", "81/tcp", "83/udp", "90/tcp"]));
    expect(variables.filter((entry) => /_START=|_END=/.test(entry))).toEqual([
      "DB_PORT_80_TCP_START=tcp://10.89.0.3:80",
      "DB_PORT_80_TCP_PORT_START=80",
      "DB_PORT_80_TCP_END=tcp://10.89.0.3:82",
      "DB_PORT_80_TCP_PORT_END=82",
    ]);
  });
});

describe("withLinks", () => {
  it("adds variables, but none that the image or the spec has, and takes its own back before it adds others", () => {
    const first = withLinks(spec(["PATH=/bin", "DB_NAME=mine"]), ["DB_NAME=/web/db", "DB_PORT=tcp://10.89.0.3:80"]);
    expect(first.process.env).toEqual(["PATH=/bin", "DB_NAME=mine", "DB_PORT=tcp://10.89.0.3:80"]);
    const again = withLinks(first, ["DB_NAME=/web/db", "DB_PORT=tcp://10.89.0.9:80"]);
    expect(again.process.env).toEqual(["PATH=/bin", "DB_NAME=mine", "DB_PORT=tcp://10.89.0.9:80"]);
    expect(withLinks(again, []).process.env).toEqual(["PATH=/bin", "DB_NAME=mine"]);
  });
});

describe("visibleEnv", () => {
  it("is what the image and the spec have, without secrets, links, and what is each container's own", () => {
    const env = ["PATH=/bin", "HOSTNAME=db", "TERM=xterm", "HOME=/root", "A=1", "PASSWORD=x", "A,B=2"];
    const linked = withLinks(withSecretNames(spec(env), ["PASSWORD", "A,B"]), ["X_NAME=/db/x"]);
    expect(visibleEnv(linked)).toEqual(["A=1"]);
    expect(visibleEnv(withSecretNames(linked, []))).toEqual(["A=1", "PASSWORD=x", "A,B=2"]);
  });
});
