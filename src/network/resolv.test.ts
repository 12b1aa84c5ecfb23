import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "@jest/globals";
import { readNodeResolvConf, resolvConf } from "./resolv.ts";

const NODE = `# made by hand
; nameserver 192.0.2.99
nameserver 127.0.0.1
nameserver 192.0.2.1
nameserver 2001:db8::1
nameserver fe80::1%eth0
domain old.example.com
search example.com sub.example.com
options ndots:2
options edns0
`;
const bridge = { hostNetwork: false, ipv6: false };

describe("resolvConf", () => {
  it("leaves out what the container can't reach", () => {
    const rest = "search example.com sub.example.com\noptions ndots:2 edns0\n";
    expect(resolvConf({ nodeFile: NODE, ...bridge })).toBe(`nameserver 192.0.2.1\n${rest}`);
    expect(resolvConf({ nodeFile: NODE, ...bridge, ipv6: true })).toBe(
      `nameserver 192.0.2.1\nnameserver 2001:db8::1\n${rest}`,
    );
  });

  it("falls back on public servers when nothing is left, as Docker", () => {
    expect(resolvConf({ nodeFile: "nameserver 127.0.0.53\n", ...bridge })).toBe(
      "nameserver 8.8.8.8\nnameserver 8.8.4.4\n",
    );
    expect(resolvConf({ nodeFile: "", ...bridge })).toContain("8.8.8.8");
  });

  it("is the node's own in the node's network", () => {
    expect(resolvConf({ nodeFile: NODE, hostNetwork: true, ipv6: false })).toBe(NODE);
  });

  it("puts each of the user's lists in the place of the node's, also loopback servers", () => {
    expect(resolvConf({ nodeFile: NODE, ...bridge, dns: { nameservers: ["127.0.0.1"] } })).toBe(
      "nameserver 127.0.0.1\nsearch example.com sub.example.com\noptions ndots:2 edns0\n",
    );
    const dns = { searches: ["a.example"], options: [{ name: "ndots", value: "5" }, { name: "rotate" }] };
    expect(resolvConf({ nodeFile: NODE, hostNetwork: true, ipv6: false, dns })).toBe(
      "nameserver 127.0.0.1\nnameserver 192.0.2.1\nnameserver 2001:db8::1\nnameserver fe80::1%eth0\n" +
        "search a.example\noptions ndots:5 rotate\n",
    );
  });

  it("takes an empty list for no wish and a dot for no search at all", () => {
    const wish = { nodeFile: "nameserver 192.0.2.1\nsearch example.com\n", ...bridge };
    expect(resolvConf({ ...wish, dns: { searches: [] } })).toContain("search example.com");
    expect(resolvConf({ ...wish, dns: { searches: ["."] } })).toBe("nameserver 192.0.2.1\n");
  });
});

describe("readNodeResolvConf", () => {
  let directory = "";
  beforeEach(async () => (directory = await mkdtemp(join(tmpdir(), "resolv-"))));
  afterEach(() => rm(directory, { recursive: true }));

  it("looks behind systemd-resolved's stub, and only behind that", async () => {
    const [node, resolved] = [join(directory, "node"), join(directory, "resolved")];
    await writeFile(node, "nameserver 127.0.0.53\n");
    await expect(readNodeResolvConf(node, resolved)).resolves.toBe("nameserver 127.0.0.53\n");
    await writeFile(resolved, "nameserver 192.0.2.1\n");
    await expect(readNodeResolvConf(node, resolved)).resolves.toBe("nameserver 192.0.2.1\n");
    await writeFile(node, "nameserver 127.0.0.53\nnameserver 192.0.2.2\n");
    await expect(readNodeResolvConf(node, resolved)).resolves.toContain("192.0.2.2");
  });

  it("takes a missing file for an empty one", async () => {
    await expect(readNodeResolvConf(join(directory, "none"), join(directory, "none"))).resolves.toBe("");
  });
});
