import { expect, it } from "@jest/globals";
import { withNetworkOf } from "./joined.ts";
import type { OciSpec } from "./types.ts";

const SPEC = {
  hostname: "old",
  process: { env: ["PATH=/bin", "HOSTNAME=old", "OTHER=old"] },
  linux: {
    namespaces: [{ type: "mount" }, { type: "network", path: "/old" }, { type: "uts" }],
    sysctl: { "kernel.domainname": "old.example.com", "net.core.somaxconn": "1" },
  },
} as unknown as OciSpec;

it("withNetworkOf puts namespace, host name and domain of the joined container in the place of others", () => {
  const joined = withNetworkOf(SPEC, { hostname: "web", domainname: "example.com", netns: "/new" });
  expect(joined).toMatchObject({
    hostname: "web",
    process: { env: ["PATH=/bin", "HOSTNAME=web", "OTHER=old"] },
    linux: { sysctl: { "kernel.domainname": "example.com", "net.core.somaxconn": "1" } },
  });
  expect(joined.linux.namespaces).toEqual([{ type: "mount" }, { type: "uts" }, { type: "network", path: "/new" }]);
  const host = withNetworkOf(joined, { hostname: "node", netns: undefined });
  expect(host.linux.namespaces).toEqual([{ type: "mount" }, { type: "uts" }]);
  expect(host.linux.sysctl).toEqual({ "net.core.somaxconn": "1" });
});
