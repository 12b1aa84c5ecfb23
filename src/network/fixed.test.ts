import { describe, expect, it } from "@jest/globals";
import { checkGiven, fixedArgs, fixedConfig } from "./fixed.ts";

const LIST = { cniVersion: "1.0.0", name: "lan", plugins: [{ type: "ptp" }] };
const CAPABLE = { ...LIST, plugins: [{ type: "bridge", capabilities: { ips: true, mac: true } }] };
const WISH = { ipAddress: "10.0.0.5", macAddress: "02:42:0a:00:00:05", networkName: "lan" };
const result = (mac: string, ...ips: string[]) => ({
  cniVersion: "1.0.0",
  interfaces: [{ name: "eth0", sandbox: "/netns", mac }],
  ips: ips.map((address) => ({ address, interface: 0 })),
});

describe("fixed addresses", () => {
  it("are told by capability where a plugin declares it, else by CNI_ARGS", () => {
    expect(fixedConfig(WISH)).toEqual({ ips: ["10.0.0.5"], mac: "02:42:0a:00:00:05" });
    expect(fixedConfig({})).toEqual({});
    expect(fixedArgs(WISH, CAPABLE)).toBeUndefined();
    expect(fixedArgs(WISH, LIST)).toBe("IgnoreUnknown=1;IP=10.0.0.5;MAC=02:42:0a:00:00:05");
    expect(fixedArgs({}, LIST)).toBeUndefined();
  });

  it("are looked for in the answer, whatever their spelling", () => {
    expect(() => {
      checkGiven(WISH, result("02:42:0A:00:00:05", "10.0.0.5/24"));
      checkGiven({ ipAddress: "fd00::5" }, result("", "10.0.0.5/24", "fd00:0:0::0005/64"));
      checkGiven({}, undefined);
    }).not.toThrow();
  });

  it("that a plugin did not heed are an error that names the field, the network and what it gave", () => {
    expect(() => {
      checkGiven(WISH, result("02:42:0a:00:00:05", "10.0.0.9/24"));
    }).toThrow("spec.network.ipAddress: network lan does not give 10.0.0.5; it gave 10.0.0.9");
    expect(() => {
      checkGiven({ macAddress: "02:42:0a:00:00:05" }, result("02:42:0a:00:00:09", "10.0.0.5/24"));
    }).toThrow("spec.network.macAddress: the node's bridge does not give 02:42:0a:00:00:05; it gave 02:42:0a:00:00:09");
  });

  it("don't help a port at an address of the other family", () => {
    const ports = [{ containerPort: 80, hostPort: 8080, hostIP: "fd00::1" }];
    expect(() => {
      checkGiven({ ports }, result("", "10.0.0.5/24"));
    }).toThrow("hostPort fd00::1:8080/tcp can't be published: the container has no address of hostIP's family");
    expect(() => {
      checkGiven({ ports }, result("", "10.0.0.5/24", "fd00::5/64"));
    }).not.toThrow();
  });
});
