import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import { Command } from "commander";
import { addFlags, type Config, readConfig } from "./config.ts";

let dir = "";
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), "berth-config-"));
});
afterAll(() => {
  rmSync(dir, { recursive: true });
});

function file(content: string): string {
  const path = join(dir, "config.yaml");
  writeFileSync(path, content);
  return path;
}

/** The configuration of a command line. Without exitOverride commander would end the process at a bad flag. */
function read(args: string[], env: NodeJS.ProcessEnv = {}): Config {
  const command = addFlags(new Command("agent"))
    .exitOverride()
    .configureOutput({ writeErr: () => undefined });
  command.parse(args, { from: "user" });
  return readConfig(command, env);
}

describe("readConfig", () => {
  it("has a default for all but what may be absent", () => {
    const config = read([]);
    expect(config).toMatchObject({
      containerdNamespace: "berth",
      stateDir: "/run/berth",
      cniBinDirs: ["/opt/cni/bin", "/usr/lib/cni"],
      bridgeSubnet: "10.89.0.0/16",
      spareNetworks: 32,
      runtimes: { runc: { type: "io.containerd.runc.v2", options: {} } },
    });
    expect(config.concurrency).toBeGreaterThanOrEqual(4);
    expect(config).not.toHaveProperty("kubeconfig");
    expect(config).not.toHaveProperty("registryHostsDir");
  });

  it("takes the flag, then the second environment variable, then the file, then the default", () => {
    const config = file("node-name: from-file\nbridge-name: br-file\nconcurrency: 7\n");
    expect(read(["--config", config, "--node-name", "from-flag"], { NODE_NAME: "from-env" }).nodeName).toBe(
      "from-flag",
    );
    expect(read(["--config", config], { NODE_NAME: "from-env" }).nodeName).toBe("from-env");
    expect(read(["--config", config])).toMatchObject({
      nodeName: "from-file",
      bridgeName: "br-file",
      concurrency: 7,
      dataDir: "/var/lib/berth",
    });
  });

  it("takes thresholds of the disk's use in percent, the lower one below the higher", () => {
    expect(read([])).toMatchObject({ imageGcHigh: 85, imageGcLow: 80 });
    expect(read(["--image-gc-high=100", "--image-gc-low=0"])).toMatchObject({
      imageGcHigh: 100,
      imageGcLow: 0,
    });
    expect(() => read(["--image-gc-low", "85"])).toThrow("image-gc-low: 85: must be less than image-gc-high");
    expect(() => read(["--image-gc-high", "101"])).toThrow("0 to 100");
    expect(() => read(["--config", file("image-gc-high: 79\n")])).toThrow("less than image-gc-high, which is 79");
    expect(() => read(["--config", file("image-gc-low: 8.5\n")])).toThrow("0 to 100");
  });

  it("takes a budget for all Containers in quantities, each resource for itself", () => {
    expect(read([]).budget).toEqual({});
    expect(read(["--cgroup-cpu=", "--cgroup-memory=4Gi"]).budget).toEqual({ memoryBytes: 4 * 2 ** 30 });
    const config = file("cgroup-cpu: 1.5\ncgroup-pids: 100\n");
    expect(read(["--config", config], { BERTH_CGROUP_PIDS: "200" }).budget).toEqual({ milliCPU: 1500, pids: 100 });
    expect(() => read(["--cgroup-root=/", "--cgroup-pids=9"])).toThrow("cgroup-root: /: can't have a budget");
  });

  it("takes a slice of systemd's as the cgroup root, where a runtime needs one", () => {
    const config = file("runtimes: {runc: {type: io.containerd.runc.v2, options: {SystemdCgroup: true}}}\n");
    const root = "/a.slice/a-b.slice";
    expect(read(["--config", config, "--cgroup-root", root]).cgroupRoot).toBe(root);
    expect(() => read(["--config", config])).toThrow(
      "cgroup-root: /berth: must be a slice, for example /berth.slice, for runtime runc has SystemdCgroup",
    );
    expect(() => read(["--cgroup-root=/a-b.slice"])).toThrow("systemd has this slice at /a.slice/a-b.slice");
  });

  it("adds the file's runtimes to runc", () => {
    const config = file(
      "runtimes:\n  other:\n    type: io.containerd.runc.v2\n    options: {BinaryName: /usr/bin/crun}\n",
    );
    expect(Object.keys(read(["--config", config]).runtimes)).toEqual(["runc", "other"]);
    expect(read(["--config", config]).runtimes["other"]?.options).toEqual({ BinaryName: "/usr/bin/crun" });
  });

  it.each([
    ["nodename: a", "nodename: unknown key"],
    ["bridge-subnet: 10.89.0.0/31", 'bridge-subnet: "10.89.0.0/31": must be an IPv4 subnet with a prefix of 8 to 30'],
    ["state-dir: [a]", "state-dir: must be a string or a number"],
    ["- a", "must be a YAML mapping"],
    ["runtimes: {other: {}}", "runtimes.other.type: must name a containerd runtime"],
    ["runtimes: {other: {type: a, kind: b}}", "runtimes.other.kind: unknown key"],
    ["runtimes: {other: {type: a, options: {Root: true}}}", "runtimes.other.options.Root: must be a string"],
  ])("refuses %j in the file, naming the key", (content, message) => {
    expect(() => read(["--config", file(content)])).toThrow(message);
  });

  it.each([
    [["--state-dir", "relative"], "must be an absolute path"],
    [["--cni-bin-dir", "/a:b"], "must be an absolute path"],
    [["--bridge-name", "longer-than-15-chars"], "at most 15 characters"],
    [["--spare-networks", "-1"], "whole number from 0 to 99"],
    [["--concurrency", "0"], "whole number from 1"],
    [["--cgroup-cpu", "0"], "must be a quantity of at least 1m, or empty for no budget"],
    [["--cgroup-memory", "2GB"], "must be a quantity of at least 6Mi, or empty for no budget"],
    [["--cgroup-pids", "1.5"], "must be a whole number from 1 to 9999999, or empty for no budget"],
    [["--log-level", "loud"], "must be one of trace"],
  ])("refuses %j", (args, message) => {
    expect(() => read(args)).toThrow(message);
  });
});
