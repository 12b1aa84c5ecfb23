import { describe, expect, it } from "@jest/globals";
import { hostsFile } from "./hosts.ts";

const LOCAL = [
  "127.0.0.1\tlocalhost",
  "::1\tlocalhost ip6-localhost ip6-loopback",
  "fe00::\tip6-localnet",
  "ff00::\tip6-mcastprefix",
  "ff02::1\tip6-allnodes",
  "ff02::2\tip6-allrouters",
];

describe("hostsFile", () => {
  it("names the container by its full and its short name on each of its addresses", () => {
    const text = hostsFile({
      hostname: "web",
      domainname: "example.com",
      ipAddresses: ["10.89.0.2", "fd00::2"],
      hostAliases: [{ ip: "10.1.2.3", hostnames: ["db", "db.example.com"] }],
    });
    expect(text.split("\n")).toEqual([
      ...LOCAL,
      "10.1.2.3\tdb db.example.com",
      "10.89.0.2\tweb.example.com web",
      "fd00::2\tweb.example.com web",
      "",
    ]);
  });

  it("has loopback alone for a container without addresses", () => {
    expect(hostsFile({ hostname: "web", ipAddresses: [] })).toBe([...LOCAL, ""].join("\n"));
  });

  it("adds aliases to the node's file, which may lack its last newline", () => {
    const wish = { hostname: "web", ipAddresses: [], hostAliases: [{ ip: "10.1.2.3", hostnames: ["db"] }] };
    expect(hostsFile({ ...wish, nodeFile: "127.0.0.1 node" })).toBe("127.0.0.1 node\n10.1.2.3\tdb\n");
    expect(hostsFile({ ...wish, nodeFile: "" })).toBe("10.1.2.3\tdb\n");
  });
});
