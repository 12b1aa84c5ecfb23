import { describe, expect, it } from "@jest/globals";
import { addressProblem, bridgeNetwork, checkBridgeOptions } from "./bridge.ts";

const OPTIONS = {
  bridgeName: "berth0",
  bridgeSubnet: "10.89.0.0/16",
  addressDir: "/run/berth/cni/networks",
  firewall: false,
};

describe("the default network", () => {
  it("runs portmap only for containers that publish a port, and the firewall last", () => {
    const types = (firewall: boolean, ports: boolean) =>
      bridgeNetwork({ ...OPTIONS, firewall }, ports).plugins.map(({ type }) => type);
    expect(types(false, false)).toEqual(["bridge"]);
    expect(types(false, true)).toEqual(["bridge", "portmap"]);
    expect(types(true, true)).toEqual(["bridge", "portmap", "firewall"]);
  });

  it.each(["berth0", "br-a.b_c"])("takes the bridge name %s", (bridgeName) => {
    expect(() => {
      checkBridgeOptions({ ...OPTIONS, bridgeName });
    }).not.toThrow();
  });

  it.each(["", "a/b", "much-too-long-a-name"])("refuses the bridge name %j", (bridgeName) => {
    expect(() => {
      checkBridgeOptions({ ...OPTIONS, bridgeName });
    }).toThrow("--bridge-name");
  });

  it.each(["10.89.0.0", "10.89.0.0/33", "10.89.0.0/30", "fd00::/64", "10.89.0/16", "10.89.0.0/16/1", "10.89.0.0/x"])(
    "refuses the subnet %s",
    (bridgeSubnet) => {
      expect(() => {
        checkBridgeOptions({ ...OPTIONS, bridgeSubnet });
      }).toThrow("--bridge-subnet");
    },
  );
});

describe("an address of the subnet", () => {
  it.each(["10.89.0.2", "10.89.255.254"])("may be %s", (address) => {
    expect(addressProblem(address, "10.89.0.0/16")).toBeUndefined();
  });

  it.each([
    ["10.90.0.2", "is outside the subnet 10.89.0.0/16"],
    ["10.88.255.255", "is outside the subnet"],
    ["fd00::2", "is outside the subnet"],
    ["10.89.0.1", "is the address of the node's bridge itself"],
    ["10.89.0.0", "is no host's address"],
    ["10.89.255.255", "is no host's address"],
  ])("can't be %s, which %s", (address, says) => {
    expect(addressProblem(address, "10.89.0.0/16")).toContain(says);
  });

  it("is told by the subnet's first address, whichever one the flag names", () => {
    expect(addressProblem("10.89.0.9", "10.89.0.10/29")).toBe("is the address of the node's bridge itself");
    expect(addressProblem("10.89.0.16", "10.89.0.10/29")).toContain("is outside");
  });
});
