import { describe, expect, it } from "@jest/globals";
import { sysctls } from "./sysctls.ts";

const NETNS = { netns: "/run/netns/x" };
const HOST = { netns: undefined };
type Spec = Parameters<typeof sysctls>[0];
const spec = (more: Partial<Spec> = {}): Spec => ({ nodeName: "n", image: "i", ...more });
const wishing = (name: string, more: Partial<Spec> = {}) =>
  spec({ securityContext: { sysctls: [{ name, value: "1" }] }, ...more });

describe("sysctls", () => {
  it("lets a container with its own network ping and listen on low ports, as Docker does", () => {
    const defaults = { "net.ipv4.ping_group_range": "0 2147483647", "net.ipv4.ip_unprivileged_port_start": "0" };
    expect(sysctls(spec(), NETNS)).toEqual(defaults);
    expect(sysctls(spec({ network: { mode: "None" } }), NETNS)).toEqual(defaults);
  });

  it("switches IPv6 off where the interface has IPv4 addresses alone, as Docker does", () => {
    const off = { "net.ipv6.conf.eth0.disable_ipv6": "1" };
    const ipv4 = { ...NETNS, addresses: ["10.0.0.2"], ipv6: true };
    expect(sysctls(spec(), ipv4)).toMatchObject(off);
    for (const other of [{ addresses: [] }, { addresses: ["10.0.0.2", "fd00::2"] }, { ipv6: false }]) {
      expect(sysctls(spec(), { ...ipv4, ...other })).not.toHaveProperty(["net.ipv6.conf.eth0.disable_ipv6"]);
    }
    expect(sysctls(spec({ network: { mode: "Container", container: "peer" } }), ipv4)).toEqual({});
  });

  it("changes nothing in a network that others use", () => {
    expect(sysctls(spec({ network: { mode: "Host" } }), HOST)).toEqual({});
    expect(sysctls(spec({ network: { mode: "Container", container: "peer" } }), NETNS)).toEqual({});
  });

  it("writes the domain name, and lets the spec override the defaults", () => {
    const result = sysctls(wishing("net.ipv4.ip_unprivileged_port_start", { domainname: "example.com" }), NETNS);
    expect(result).toMatchObject({ "kernel.domainname": "example.com", "net.ipv4.ip_unprivileged_port_start": "1" });
  });

  it.each(["net.core.somaxconn", "net/ipv4/conf/eth0.1/rp_filter", "fs.mqueue.msg_max", "kernel.shmmax"])(
    "takes %s",
    (name) => {
      expect(sysctls(wishing(name), NETNS)).toHaveProperty([name], "1");
    },
  );

  it.each([
    ["vm.swappiness", spec(), NETNS],
    ["kernel.hostname", spec(), NETNS],
    ["net.core.somaxconn", spec({ network: { mode: "Host" } }), HOST],
    ["fs.mqueue.msg_max", spec({ hostIPC: true }), NETNS],
    ["kernel.shmmax", spec({ hostIPC: true }), NETNS],
  ])("refuses %s, which would change the node", (name, more, netns) => {
    expect(() => sysctls(wishing(name, more), netns)).toThrow(
      `spec.securityContext.sysctls[0].name: "${name}" can't be set`,
    );
  });
});
