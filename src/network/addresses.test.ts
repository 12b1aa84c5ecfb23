import { describe, expect, it } from "@jest/globals";
import { addresses } from "./addresses.ts";

describe("addresses", () => {
  it("are those of the interface inside the namespace", () => {
    expect(
      addresses({
        cniVersion: "1.0.0",
        interfaces: [
          { name: "berth0", mac: "aa:00:00:00:00:01" },
          { name: "eth0", mac: "aa:00:00:00:00:02", sandbox: "/run/berth/netns/x" },
        ],
        ips: [
          { address: "10.89.0.1/16", interface: 0 },
          { address: "10.89.0.2/16", gateway: "10.89.0.1", interface: 1 },
          { address: "fd00::2/64", gateway: "fd00::1", interface: 1 },
        ],
      }),
    ).toEqual({ ipAddresses: ["10.89.0.2", "fd00::2"], gateway: "10.89.0.1", macAddress: "aa:00:00:00:00:02" });
  });

  it("are taken as they are from a plugin that names no interfaces", () => {
    expect(addresses({ cniVersion: "0.3.1", ips: [{ address: "192.0.2.7/24" }] })).toEqual({
      ipAddresses: ["192.0.2.7"],
    });
    expect(addresses(undefined)).toEqual({ ipAddresses: [] });
  });
});
